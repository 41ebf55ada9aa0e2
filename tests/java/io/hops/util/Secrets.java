package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertFalse;

/** Values that must not appear in anything that a program leaves behind. */
final class Secrets {
  static final String SECRET_ACCESS_KEY = "canary-secret-access-key-9f2c";
  static final String SESSION_TOKEN = "canary-session-token-41d7";
  static final String BASE_SECRET = "canary-base-secret-77aa";
  static final String API_KEY = "canary-api-key-c0de";
  static final String STORE_PASSWORD = "canary-store-password-12";

  private static final String[] ALL = {
    SECRET_ACCESS_KEY, SESSION_TOKEN, BASE_SECRET, API_KEY, STORE_PASSWORD
  };

  private Secrets() {}

  static void assertNoneIn(String text) {
    for (String secret : ALL) {
      assertFalse(text.contains(secret), () -> "a secret is in: " + text.replace(secret, "<SECRET>"));
    }
  }
}
