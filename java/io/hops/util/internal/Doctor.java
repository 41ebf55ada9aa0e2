package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;

/** Answers {@code doctor}: looks for everything that can be wrong, here and through the core. Changes nothing. */
public final class Doctor {
  private Doctor() {}

  /**
   * Looks at everything that keeps roles from being assumed, refreshed or seen by S3A.
   *
   * @return a line for each check, and one that counts the problems
   * @throws CloudCredentialException on an executor, without the native library, or when a truststore cannot be read
   */
  public static String examine() throws CloudCredentialException {
    LiveRoles.requireDriver();
    JvmSettings settings = JvmSettings.readWithCertificates();
    Findings findings = new Findings();
    HostLoader.host().examine(findings);
    LiveSet set = LiveStore.findCurrent();
    if (set != null) {
      String properties = set.findOwn(LiveRole.APPLICATION) == null ? null : PropertiesEffect.explainSet();
      if (properties != null) {
        findings.problem("system properties", properties);
      }
      for (LiveRole role : set.roles()) {
        if (!role.lastError.isEmpty()) {
          findings.problem("refresh", "of " + role.roleArn + ": " + role.lastError);
        }
      }
    }
    return Native.loaded().examine(settings, findings.toTriples());
  }
}
