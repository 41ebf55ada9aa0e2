package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.time.Instant;

/** What users see of the roles in use: of one path, and of everything that can be wrong. Changes nothing. */
public final class Look {
  private static final String SCHEME = "s3a://";

  private Look() {}

  /**
   * Says with which role a path is read, and how that role fares.
   *
   * @param path the path, from {@code s3a://} on
   * @return a line for each fact
   * @throws CloudCredentialException on an executor to which the roles came damaged
   */
  public static String explain(String path) throws CloudCredentialException {
    if (path == null || !path.startsWith(SCHEME) || bucket(path).isEmpty()) {
      throw new IllegalArgumentException("invalid path: \"" + path + "\" is not of the form s3a://bucket/key");
    }
    String bucket = bucket(path);
    String foreign = HostLoader.host().findForeignProvider(bucket);
    if (foreign != null) {
      return path + " is read with " + foreign + ", which the user chose for bucket " + bucket + "; no role of ours counts there";
    }
    Binding binding;
    try {
      LiveSet here = LiveStore.setHere();
      LiveSet set = here == null ? HostLoader.host().readPushed() : here;
      binding = set == null ? null : set.binding(bucket);
    } catch (IOException e) {
      throw new CloudCredentialException(e.getMessage(), e, 0);
    }
    if (binding == null) {
      return path + " is read without a role of ours; call assumeRole";
    }
    StringBuilder text = new StringBuilder(path);
    text.append(binding.bucket.isEmpty() ? " is read with the application's role" : " is read with the role of bucket " + bucket);
    line(text, "role", binding.role);
    line(text, "source", source());
    text.append("\nmode=").append(HostLoader.host().mode());
    line(text, "access key", binding.accessKeyId);
    line(text, "ends", Instant.ofEpochMilli(binding.expirationMillis).toString());
    long[] times = LiveStore.refreshTimes(binding.bucket);
    if (times != null) {
      line(text, "last refresh", times[0] == 0 ? "none yet" : Instant.ofEpochMilli(times[0]).toString());
      line(text, "next refresh", Instant.ofEpochMilli(times[1]).toString());
    }
    line(text, "last error", binding.trouble.isEmpty() ? "none" : binding.trouble);
    return text.toString();
  }

  /**
   * Looks at everything that keeps roles from being assumed, refreshed or seen by S3A.
   *
   * @return a line for each check, and one that counts the problems
   * @throws CloudCredentialException on an executor, without the native library, or when a truststore cannot be read
   */
  public static String doctor() throws CloudCredentialException {
    Roles.onDriver();
    Native library = Native.loaded();
    JvmSettings settings = JvmSettings.readWithCertificates();
    Findings findings = new Findings();
    HostLoader.host().examine(findings);
    LiveSet here = LiveStore.setHere();
    if (here != null) {
      for (Binding binding : here.bindings()) {
        if (!binding.trouble.isEmpty()) {
          findings.problem("refresh", "of " + binding.role + ": " + binding.trouble);
        }
      }
    }
    return library.examine(settings, findings.flat());
  }

  /** On executors nothing of ours is native; there the driver is the source. */
  private static String source() {
    if (HostLoader.host().isExecutor()) {
      return "the driver";
    }
    try {
      return Native.loaded().source(JvmSettings.readWithCertificates());
    } catch (CloudCredentialException e) {
      return e.getMessage();
    }
  }

  private static void line(StringBuilder text, String name, String value) {
    text.append('\n').append(name).append(": ").append(value);
  }

  private static String bucket(String path) {
    String rest = path.substring(SCHEME.length());
    int slash = rest.indexOf('/');
    return slash < 0 ? rest : rest.substring(0, slash);
  }
}
