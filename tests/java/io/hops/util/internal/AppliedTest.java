package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.internal.Applied.WrittenKey;
import java.util.Collections;
import org.junit.jupiter.api.Test;

class AppliedTest {
  private static final String[] ENVIRONMENT = {
    "AWS_PROFILE", "mine", null, "AWS_ACCESS_KEY_ID", "AKIAOWN", "ASIAOURS", "AWS_SECRET_ACCESS_KEY", null, "canary-secret"
  };

  private static Applied all() {
    return Applied.NOTHING
        .withEnvironment(ENVIRONMENT)
        .withKeys(Collections.singletonMap("hadoop:fs.s3a.secret.key", new WrittenKey(null, "canary-secret")))
        .withKeys(Collections.singletonMap("property:fs.s3a.impl", new WrittenKey("before", "last")))
        .withContext("app-1", "live");
  }

  private static void check(Applied applied) {
    assertArrayEquals(ENVIRONMENT, applied.environment());
    assertTrue(applied.hasWritten("AWS_ACCESS_KEY_ID"));
    assertEquals("AKIAOWN", applied.environmentBefore("AWS_ACCESS_KEY_ID"));
    assertNull(applied.environmentBefore("AWS_SECRET_ACCESS_KEY"));
    assertFalse(applied.hasWritten("AWS_PROFILE"));
    assertFalse(applied.hasWritten("AWS_SESSION_TOKEN"));
    assertTrue(applied.hasReached("app-1"));
    assertEquals("live", applied.mode());
    assertNull(applied.find("hadoop:fs.s3a.secret.key").before);
    assertEquals("canary-secret", applied.find("hadoop:fs.s3a.secret.key").last);
    assertEquals("before", applied.list("property:").get("fs.s3a.impl").before);
    assertEquals(1, applied.list("property:").size());
  }

  @Test
  void anotherCopyOfTheJarReadsAll() {
    check(all());
    check(Applied.fromMap(all().toMap()));
    Applied nothing = Applied.fromMap(Applied.NOTHING.toMap());
    assertEquals(0, nothing.environment().length);
    assertNull(nothing.mode());
    assertFalse(nothing.hasReached("app-1"));
    assertEquals(0, nothing.list("").size());
  }

  @Test
  void theKeysOfOnePlaceAreForgottenAlone() {
    Applied applied = all().withoutKeys("hadoop:");
    assertEquals(Collections.singleton("property:fs.s3a.impl"), applied.list("").keySet());
  }

  @Test
  void itShowsNoValue() {
    assertEquals(
        "Applied{context=app-1, mode=live, keys=[hadoop:fs.s3a.secret.key, property:fs.s3a.impl]}", all().toString());
  }
}
