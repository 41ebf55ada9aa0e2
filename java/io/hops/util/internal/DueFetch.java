package io.hops.util.internal;

import java.util.concurrent.TimeUnit;

/**
 * The next run of a {@link Fetch}, and what has happened since the last success. Whoever reads or writes one holds the monitor
 * of the {@link Refresher}.
 */
final class DueFetch {
  private static final long DELIVER_AGAIN_MILLIS = 1000;

  /** The answer from which the time to the refresh counts. */
  private Clocks answered;

  private long refreshAfterMillis;
  private long validForMillis;
  private long expirationMillis;

  /** The last failure, from which the time to the next try counts; null while there is none. */
  private Clocks failed;

  private long retryAfterMillis;
  private int failures;

  /** When newer credentials last did not reach every place; null when they have. */
  private Clocks undelivered;

  private long lastMillis;

  /** Fetches that fail, and newer credentials that do not reach every place. */
  final Trouble fetching = new Trouble();

  final Trouble delivering = new Trouble();

  /** A trouble that lasts, of which the log is told at first and every five minutes. */
  static final class Trouble {
    private static final long REMIND_MILLIS = TimeUnit.MINUTES.toMillis(5);

    private Clocks since;
    private Clocks told;

    /** Returns when the trouble began, in milliseconds since 1970, if the log is to be told now; else 0. */
    long tell(Clocks now) {
      if (told != null && told.due(REMIND_MILLIS, now) > 0) {
        return 0;
      }
      since = since == null ? now : since;
      told = now;
      return since.millis();
    }

    /** Ends the trouble. Returns true if there was one. */
    boolean end() {
      boolean was = since != null;
      since = null;
      told = null;
      return was;
    }
  }

  DueFetch(Clocks answered, long refreshAfterMillis, long validForMillis, long expirationMillis) {
    succeed(answered, refreshAfterMillis, validForMillis, expirationMillis);
  }

  void succeed(Clocks answered, long refreshAfterMillis, long validForMillis, long expirationMillis) {
    this.answered = answered;
    this.refreshAfterMillis = refreshAfterMillis;
    this.validForMillis = validForMillis;
    this.expirationMillis = expirationMillis;
    failed = null;
    failures = 0;
  }

  void refreshed(Clocks now) {
    lastMillis = now.millis();
  }

  void fail(Clocks now, long retryAfterMillis) {
    failed = now;
    this.retryAfterMillis = retryAfterMillis;
    failures++;
  }

  void undelivered(Clocks now) {
    undelivered = now;
  }

  void delivered() {
    undelivered = null;
  }

  boolean isUndelivered() {
    return undelivered != null;
  }

  int failures() {
    return failures;
  }

  long validForMillis() {
    return validForMillis;
  }

  long expirationMillis() {
    return expirationMillis;
  }

  long lastMillis() {
    return lastMillis;
  }

  /** Returns how long it is until the next fetch. */
  long dueMillis(Clocks now) {
    return failed == null ? answered.due(refreshAfterMillis, now) : failed.due(retryAfterMillis, now);
  }

  /** Returns true if there is something to fetch or to deliver now. */
  boolean isReady(Clocks now) {
    return dueMillis(now) == 0 || undelivered != null && undelivered.due(DELIVER_AGAIN_MILLIS, now) == 0;
  }

  /** Returns how long to sleep before looking again. */
  long waitMillis(Clocks now) {
    long wait = failed == null ? answered.wait(refreshAfterMillis, now) : failed.wait(retryAfterMillis, now);
    return undelivered == null ? wait : Math.min(wait, undelivered.wait(DELIVER_AGAIN_MILLIS, now));
  }

  /** Returns for how long the credentials in use are still valid. */
  long leftMillis(Clocks now) {
    return answered.left(validForMillis, expirationMillis, now);
  }
}
