package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * One reading of both clocks: the monotonic one, which stands still while the machine sleeps, and the time of day, which others
 * set. The core decides what both together mean.
 */
final class Clocks {
  static final Supplier<Clocks> SYSTEM = () -> new Clocks(System.nanoTime(), System.currentTimeMillis());

  private final long nanos;
  private final long millis;

  Clocks(long nanos, long millis) {
    this.nanos = nanos;
    this.millis = millis;
  }

  /** The time of day, in milliseconds since 1970. */
  long millis() {
    return millis;
  }

  /** See {@link Native#dueMillis}. */
  long due(long spanMillis, Clocks now) {
    return library().dueMillis(millis, spanMillis, passedMillis(now), now.millis);
  }

  /** See {@link Native#waitMillis}. */
  long wait(long spanMillis, Clocks now) {
    return library().waitMillis(millis, spanMillis, passedMillis(now), now.millis);
  }

  /** See {@link Native#leftMillis}. */
  long left(long validForMillis, long expirationMillis, Clocks now) {
    return library().leftMillis(millis, validForMillis, expirationMillis, passedMillis(now), now.millis);
  }

  /**
   * Says when to fetch again after a fetch that failed, in milliseconds from then. The arguments are those of {@link
   * Fetch#fetch}; see {@link Native#retryAfterMillis}.
   */
  static long retryAfterMillis(long failures, long leftMillis, long validForMillis) {
    return library().retryAfterMillis(failures + 1, leftMillis, validForMillis, ThreadLocalRandom.current().nextDouble());
  }

  private long passedMillis(Clocks now) {
    return TimeUnit.NANOSECONDS.toMillis(now.nanos - nanos);
  }

  private static Native library() {
    try {
      return Native.loaded();
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("the library that fetched is loaded", e);
    }
  }
}
