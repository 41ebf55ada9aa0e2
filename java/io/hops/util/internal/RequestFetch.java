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
    try {
      return ask(true);
    } catch (CloudCredentialException e) {
      long retryAfterMillis = Clocks.retryAfterMillis(failures, leftMillis, validForMillis);
      throw new FetchFailure(e.isRetryable(), e.isWithdrawal(), e.getMessage(), retryAfterMillis);
    }
  }
}
