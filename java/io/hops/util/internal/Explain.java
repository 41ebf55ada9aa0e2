package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Answers {@code explain}: with which role a path is read, and how that role fares. Changes nothing. */
public final class Explain {
  private static final Pattern PATH = Pattern.compile("([a-z0-9]+)://([^/]+)(/.*)?", Pattern.DOTALL);

  private Explain() {}

  /**
   * Says with which role a path is read, and how that role fares.
   *
   * @param path the path, from {@code s3a://} on, or from another scheme that the configuration gives to S3A or a catalog of Iceberg reads
   * @return a line for each fact
   * @throws CloudCredentialException on an executor to which the roles came damaged
   */
  public static String explain(String path) throws CloudCredentialException {
    Matcher parts = PATH.matcher(path == null ? "" : path);
    boolean isPath = parts.matches();
    boolean isReadByS3a = isPath && HostLoader.host().readsScheme(parts.group(1));
    List<String> lines = new ArrayList<>();
    if (isPath) {
      lines.addAll(HostLoader.host().explainCatalogs(parts.group(1)));
    }
    if (!isReadByS3a && lines.isEmpty()) {
      throw new IllegalArgumentException("invalid path: \"" + path + "\" is not of the form s3a://bucket/key");
    }
    lines.add(0, isReadByS3a ? explainS3a(path, parts.group(2)) : path + " is not a path that S3A reads");
    return String.join("\n", lines);
  }

  private static String explainS3a(String path, String bucket) throws CloudCredentialException {
    String foreign = HostLoader.host().findForeignProvider(bucket);
    if (foreign != null) {
      return path + " is read with " + foreign + ", which the user chose for bucket " + bucket + "; no role of ours counts there";
    }
    String refusal = HostLoader.host().explainRefusal(bucket);
    if (refusal != null) {
      return refusal + "; where it is open already it is read with the role";
    }
    LiveRole role = LiveRoles.find(bucket);
    if (role == null) {
      return path + " is read without a role of ours; call assumeRole";
    }
    StringBuilder text = new StringBuilder(path);
    text.append(role.bucket.isEmpty() ? " is read with the application's role" : " is read with the role of bucket " + bucket);
    appendLine(text, "role", role.roleArn);
    appendLine(text, "source", source());
    text.append("\nmode=").append(HostLoader.host().mode());
    appendLine(text, "access key", role.accessKeyId);
    appendLine(text, "ends", Instant.ofEpochMilli(role.expirationMillis).toString());
    long[] times = LiveStore.refreshTimes(role.bucket);
    if (times != null) {
      appendLine(text, "last refresh", times[0] == 0 ? "none yet" : Instant.ofEpochMilli(times[0]).toString());
      appendLine(text, "next refresh", Instant.ofEpochMilli(times[1]).toString());
    }
    appendLine(text, "last error", role.lastError.isEmpty() ? "none" : role.lastError);
    return text.toString();
  }

  /** An executor loads no native library; there the driver is the source. */
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

  private static void appendLine(StringBuilder text, String name, String value) {
    text.append('\n').append(name).append(": ").append(value);
  }
}
