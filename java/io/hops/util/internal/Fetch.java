package io.hops.util.internal;

import io.hops.util.CredentialsProvider.AssumeRoleRequest;
import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;

/** Fetches the credentials of one request, in the words of {@link Refresher}. */
final class Fetch implements Function<long[], Object[]> {
  private final AssumeRoleRequest request;

  Fetch(AssumeRoleRequest request) {
    this.request = request;
  }

  /** The first fetch, whose failure is the caller's to know. */
  Object[] first() throws CloudCredentialException {
    Native library = Native.loaded();
    Fetched fetched = library.assumeRole(Configuration.read(), request);
    Credentials credentials = fetched.credentials;
    return new Object[] {
      credentials.getAccessKeyId(),
      credentials.getSecretAccessKey(),
      credentials.getSessionToken(),
      credentials.getRoleArn(),
      credentials.getExpiration().toEpochMilli(),
      library.refreshAfterMillis(fetched.lifeMillis, ThreadLocalRandom.current().nextDouble()),
      fetched.lifeMillis,
      fetched.sessionName
    };
  }

  @Override
  public Object[] apply(long[] failuresLeftLife) {
    try {
      return first();
    } catch (CloudCredentialException e) {
      return failure(e.isPassing(), e.getMessage(), failuresLeftLife);
    } catch (RuntimeException e) {
      return failure(false, e.toString(), failuresLeftLife);
    }
  }

  private static Object[] failure(boolean isPassing, String reason, long[] failuresLeftLife) {
    long failures = failuresLeftLife[0] + 1;
    double chance = ThreadLocalRandom.current().nextDouble();
    try {
      long retryAfterMillis =
          Native.loaded()
              .retryAfterMillis(failures, failuresLeftLife[1], failuresLeftLife[2], chance);
      return new Object[] {isPassing, reason, retryAfterMillis};
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("the library that fetched is loaded", e);
    }
  }
}
