package io.hops.util.spark;

import java.util.concurrent.TimeUnit;

/** What is known of one executor that was given a task and has not answered: when to ask it again, and when to stop. */
final class AskedExecutor {
  static final long LONGEST_PAUSE_MILLIS = 30_000;

  private static final long FIRST_PAUSE_MILLIS = 100;
  private static final long LATE_NANOS = TimeUnit.MINUTES.toNanos(10);

  /** Tasks that failed or were cancelled, in about 25 s. An executor that is busy fails none. */
  private static final int MOST_FAILURES = 8;

  private final long since = System.nanoTime();
  private long pauseMillis = FIRST_PAUSE_MILLIS;
  private long dueNanos = since;
  private int failures;
  private boolean wasAsked;
  private boolean isUnderWay;

  /** Counts it as asked now. Returns true the first time. */
  boolean begin() {
    boolean isFirst = !wasAsked;
    wasAsked = true;
    isUnderWay = true;
    return isFirst;
  }

  /** Counts its task as over, without an answer. */
  void end(boolean hasFailed) {
    isUnderWay = false;
    failures += hasFailed ? 1 : 0;
    postpone();
  }

  /** Asks it some time later, each time later than the last. */
  void postpone() {
    dueNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(pauseMillis);
    pauseMillis = Math.min(2 * pauseMillis, LONGEST_PAUSE_MILLIS);
  }

  /** Returns for how long not to ask it, in milliseconds; 0 when it is due. */
  long waitMillis() {
    if (isUnderWay || isGivenUp()) {
      return LONGEST_PAUSE_MILLIS;
    }
    long left = dueNanos - System.nanoTime();
    return left <= 0 ? 0 : TimeUnit.NANOSECONDS.toMillis(left) + 1;
  }

  boolean isGivenUp() {
    return failures >= MOST_FAILURES;
  }

  /** Returns true while it is asked and has had time enough to find room for a task. */
  boolean isLate() {
    return !isGivenUp() && System.nanoTime() - since > LATE_NANOS;
  }
}
