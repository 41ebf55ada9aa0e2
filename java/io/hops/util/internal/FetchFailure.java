package io.hops.util.internal;

/** A fetch that brought no credentials: the reason, and when to try again. The message holds no secret. */
final class FetchFailure extends Exception {
  private static final long serialVersionUID = 1L;

  /** Whether the same may succeed later although nobody acts. */
  final boolean isRetryable;

  /** Whether the credentials in use must not be used any more. */
  final boolean isWithdrawal;

  final long retryAfterMillis;

  FetchFailure(boolean isRetryable, boolean isWithdrawal, String reason, long retryAfterMillis) {
    super(reason);
    this.isRetryable = isRetryable;
    this.isWithdrawal = isWithdrawal;
    this.retryAfterMillis = retryAfterMillis;
  }
}
