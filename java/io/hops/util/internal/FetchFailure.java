package io.hops.util.internal;

/** A fetch that brought no credentials: the reason, and when to try again. The message holds no secret. */
final class FetchFailure extends Exception {
  private static final long serialVersionUID = 1L;

  /** Whether the same may succeed later although nobody acts. */
  final boolean isRetryable;

  final long retryAfterMillis;

  FetchFailure(boolean isRetryable, String reason, long retryAfterMillis) {
    super(reason);
    this.isRetryable = isRetryable;
    this.retryAfterMillis = retryAfterMillis;
  }
}
