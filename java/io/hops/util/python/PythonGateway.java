package io.hops.util.python;

import io.hops.util.CredentialsProvider.AssumeRoleRequest;
import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.EnvironmentEffect;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveRoles;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.PythonDriver;

/**
 * The calls that the Python package makes to the driver's JVM.
 *
 * <p>Problem: py4j, which carries the calls, logs every answer at DEBUG, and a bean takes one call for each property. Solution:
 * the credentials cross as one text, in one call, and the package silences py4j's log meanwhile.
 */
public final class PythonGateway {
  private PythonGateway() {}

  /**
   * Gives this JVM the base identity of the Python process that started it after it had assumed a role.
   *
   * @param before see {@link EnvironmentEffect#inherit}
   */
  public static void inherit(String[] before) {
    EnvironmentEffect.inherit(before);
  }

  /**
   * Assumes the role of the application, or of some of its buckets.
   *
   * @param request the request
   * @return its credentials, as {@link #current} returns those of the application; the time of the refresh is the application's
   * @throws CloudCredentialException when there are no credentials, or a place cannot be written; then every place is as before
   */
  public static String assume(AssumeRoleRequest request) throws CloudCredentialException {
    PythonDriver.found();
    return text(request.send());
  }

  /**
   * Returns the current credentials of the application's role.
   *
   * @return a line each: access key id, secret access key, session token, expiration in ms since 1970, role ARN or nothing,
   *     ms until the next refresh; null when no role is in use
   * @throws CloudCredentialException when they cannot be applied to a SparkContext that was made after the role; in a Thrift or
   *     Connect server, where any SQL user could call this and take the role home
   */
  public static String current() throws CloudCredentialException {
    LiveRoles.refuseSharedServer();
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
