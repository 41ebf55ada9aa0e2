package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

/** A panic in Rust reaches Java as an unchecked exception; the JVM lives on. */
class PanicTest {
  @Test
  void aPanicIsAnUncheckedExceptionWithItsText() throws Exception {
    Native library = Native.loaded();
    // The library relies on a number; no caller of ours hands over anything else.
    RuntimeException panic =
        assertThrows(RuntimeException.class, () -> library.retryAfterMillis(1, 1_200_000, 3_600_000, Double.NaN));
    assertEquals(RuntimeException.class, panic.getClass());
    assertEquals(
        "panic in native code: cannot convert float seconds to Duration: value is either too big or NaN", panic.getMessage());
    assertEquals(1000, library.retryAfterMillis(1, 1_200_000, 3_600_000, 0));
  }
}
