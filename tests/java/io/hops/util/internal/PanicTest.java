package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** A panic in Rust reaches Java as an unchecked exception; the JVM lives on. */
class PanicTest {
  @Test
  void aPanicIsAnUncheckedExceptionWithItsText() throws Exception {
    Native library = Native.loaded();
    // The library relies on one value for each variable; no caller of ours hands over fewer.
    RuntimeException panic =
        assertThrows(RuntimeException.class, () -> library.environmentRestore(new String[] {"canary"}));
    assertEquals(RuntimeException.class, panic.getClass());
    assertEquals(
        "panic in native code: environmentPut returned one value per variable", panic.getMessage());
    assertEquals(1000, library.retryAfterMillis(1, 1_200_000, 3_600_000, 0));
  }
}
