package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.concurrent.ThreadLocalRandom;

/** Asks the source that the settings of this JVM name at that moment. */
final class RequestFetch extends Fetch {
  private final RoleRequest request;

  RequestFetch(RoleRequest request) {
    this.request = request;
  }

  /** Fetches for the first time, when the caller gets the exception itself. */
  Fetched fetchFirst() throws CloudCredentialException {
    // The caller may use them to their end.
    return ask(false);
  }

  private Fetched ask(boolean renews) throws CloudCredentialException {
    double chance = ThreadLocalRandom.current().nextDouble();
    return Native.loaded().assumeRole(JvmSettings.readWithCertificates(), request, renews, chance);
  }

  @Override
  Fetched fetch(long failures, long leftMillis, long validForMillis) throws FetchFailure {
    boolean isRetryable;
    boolean isWithdrawal;
    String reason;
    try {
      return ask(true);
    } catch (CloudCredentialException e) {
      isRetryable = e.isRetryable();
      isWithdrawal = e.isWithdrawal();
      reason = e.getMessage();
    } catch (RuntimeException e) {
      isRetryable = false;
      isWithdrawal = false;
      reason = e.toString();
    }
    double chance = ThreadLocalRandom.current().nextDouble();
    try {
      long retryAfterMillis =
          Native.loaded().retryAfterMillis(failures + 1, leftMillis, validForMillis, chance);
      throw new FetchFailure(isRetryable, isWithdrawal, reason, retryAfterMillis);
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("the library that fetched is loaded", e);
    }
  }
}
