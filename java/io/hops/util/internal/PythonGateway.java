package io.hops.util.internal;

import io.hops.util.CredentialsProvider.AssumeRoleRequest;
import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.Collections;

/**
 * What the Python package asks of the driver's JVM.
 *
 * <p>Problem: py4j, which carries the calls, logs every answer at DEBUG, and a bean is one call per property. Solution: the
 * credentials cross as one text, in one call, during which the package holds py4j's log off.
 */
public final class PythonGateway {
  private PythonGateway() {}

  /**
   * Assumes the role of the application.
   *
   * @param request what is asked for
   * @return as {@link #current}
   * @throws CloudCredentialException when there are no credentials, or one place cannot be written; then all are as they were
   */
  public static String assume(AssumeRoleRequest request) throws CloudCredentialException {
    return text(LiveRoles.assume(request.copy(), Collections.emptyList()));
  }

  /**
   * The credentials of the application's role as they are now.
   *
   * @return a line each: access key id, secret access key, session token, expiration in ms since 1970, role ARN or nothing,
   *     ms until the next refresh; null when no role is in use
   * @throws CloudCredentialException when they cannot be brought to a SparkContext that was made after the role
   */
  public static String current() throws CloudCredentialException {
    Credentials credentials = LiveRoles.current(LiveRole.APPLICATION);
    return credentials == null ? null : text(credentials);
  }

  private static String text(Credentials credentials) {
    long[] times = LiveStore.refreshTimes(LiveRole.APPLICATION);
    long now = System.currentTimeMillis();
    return String.join(
        "\n",
        credentials.getAccessKeyId(),
        credentials.getSecretAccessKey(),
        credentials.getSessionToken(),
        Long.toString(credentials.getExpiration().toEpochMilli()),
        credentials.getRoleArn() == null ? "" : credentials.getRoleArn(),
        Long.toString(times == null ? 0 : Math.max(0, times[1] - now)));
  }
}
