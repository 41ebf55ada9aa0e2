package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import java.time.Instant;
import java.util.function.Function;

/**
 * Brings newer credentials for one request.
 *
 * <p>Problem: another copy of this jar may take over what this one began, see {@link LiveStore}, and does not know its
 * classes. Solution: a fetch is also a function over JDK types, which {@link #fromOtherCopy} turns back into a fetch.
 */
abstract class Fetch implements Function<long[], Object[]> {
  /**
   * Fetches.
   *
   * @param failures how often it has failed since the last success
   * @param leftMillis how long the credentials in use are still valid
   * @param validForMillis for how long they were valid when they were fetched
   */
  abstract Fetched fetch(long failures, long leftMillis, long validForMillis) throws FetchFailure;

  /**
   * Fetches for another copy of this jar.
   *
   * @param arguments those of {@link #fetch}, in its order
   * @return access key id, secret access key, session token, role ARN, expiration in ms since 1970, {@link
   *     Fetched#refreshAfterMillis}, {@link Fetched#validForMillis} and session name or null; of a failure {@link
   *     FetchFailure#isRetryable}, the reason, {@link FetchFailure#retryAfterMillis} and {@link FetchFailure#isWithdrawal}
   */
  @Override
  public final Object[] apply(long[] arguments) {
    try {
      Fetched fetched = fetch(arguments[0], arguments[1], arguments[2]);
      Credentials credentials = fetched.credentials;
      return new Object[] {
        credentials.getAccessKeyId(),
        credentials.getSecretAccessKey(),
        credentials.getSessionToken(),
        credentials.getRoleArn(),
        credentials.getExpiration().toEpochMilli(),
        fetched.refreshAfterMillis,
        fetched.validForMillis,
        fetched.sessionName
      };
    } catch (FetchFailure e) {
      return new Object[] {e.isRetryable, e.getMessage(), e.retryAfterMillis, e.isWithdrawal};
    }
  }

  /** Returns the function as the copy of the jar that began it made it. */
  Function<long[], Object[]> toFunction() {
    return this;
  }

  /** Converts back from the function that another copy of this jar holds. */
  static Fetch fromOtherCopy(Function<long[], Object[]> function) {
    // A fetch makes a round trip when this copy began it, another one took it over, and now this one takes it back.
    return function instanceof Fetch ? (Fetch) function : new OtherCopy(function);
  }

  /** A fetch that another copy of this jar began. */
  private static final class OtherCopy extends Fetch {
    private final Function<long[], Object[]> function;

    OtherCopy(Function<long[], Object[]> function) {
      this.function = function;
    }

    @Override
    Function<long[], Object[]> toFunction() {
      return function;
    }

    @Override
    Fetched fetch(long failures, long leftMillis, long validForMillis) throws FetchFailure {
      Object[] answer = function.apply(new long[] {failures, leftMillis, validForMillis});
      if (answer.length == 4) {
        throw new FetchFailure((Boolean) answer[0], (Boolean) answer[3], (String) answer[1], (Long) answer[2]);
      }
      Credentials credentials =
          new Credentials(
              (String) answer[0],
              (String) answer[1],
              (String) answer[2],
              Instant.ofEpochMilli((Long) answer[4]),
              (String) answer[3]);
      return new Fetched(credentials, (Long) answer[6], (Long) answer[5], (String) answer[7]);
    }
  }
}
