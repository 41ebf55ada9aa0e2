package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import java.time.Instant;

/**
 * One role in use: which bucket reads with it, and its newest credentials. Does not change; a refresh makes a new one.
 *
 * <p>The bucket {@link #APPLICATION} stands for every bucket without a role of its own.
 */
public final class LiveRole {
  /** The bucket of the application's role: no bucket has an empty name. */
  public static final String APPLICATION = "";

  final String bucket;
  final String roleArn;
  final String accessKeyId;
  final String secretAccessKey;
  final String sessionToken;
  final long expirationMillis;
  final String lastError;
  final boolean errorIsFinal;

  private LiveRole(
      String bucket,
      String roleArn,
      String accessKeyId,
      String secretAccessKey,
      String sessionToken,
      long expirationMillis,
      String lastError,
      boolean errorIsFinal) {
    this.bucket = bucket;
    this.roleArn = roleArn;
    this.accessKeyId = accessKeyId;
    this.secretAccessKey = secretAccessKey;
    this.sessionToken = sessionToken;
    this.expirationMillis = expirationMillis;
    this.lastError = lastError;
    this.errorIsFinal = errorIsFinal;
  }

  LiveRole(
      String bucket,
      String roleArn,
      String accessKeyId,
      String secretAccessKey,
      String sessionToken,
      long expirationMillis) {
    this(bucket, roleArn, accessKeyId, secretAccessKey, sessionToken, expirationMillis, "", false);
  }

  /** Binds a bucket to credentials just fetched. */
  static LiveRole from(String bucket, Fetched fetched) {
    Credentials credentials = fetched.credentials;
    return new LiveRole(
        bucket,
        credentials.getRoleArn(),
        credentials.getAccessKeyId(),
        credentials.getSecretAccessKey(),
        credentials.getSessionToken(),
        credentials.getExpiration().toEpochMilli());
  }

  /** The same credentials, with the reason why the last refresh brought no new ones. */
  LiveRole withError(String reason, boolean isFinal) {
    return new LiveRole(
        bucket,
        roleArn,
        accessKeyId,
        secretAccessKey,
        sessionToken,
        expirationMillis,
        reason,
        isFinal);
  }

  /**
   * The role.
   *
   * @return its ARN
   */
  public String roleArn() {
    return roleArn;
  }

  /**
   * The credentials as users see them.
   *
   * @return a snapshot
   */
  public Credentials credentials() {
    return new Credentials(
        accessKeyId,
        secretAccessKey,
        sessionToken,
        Instant.ofEpochMilli(expirationMillis),
        roleArn);
  }

  /** Shows bucket, role and access key id; never secret access key or session token. */
  @Override
  public String toString() {
    return "LiveRole{bucket=" + bucket + ", roleArn=" + roleArn + ", accessKeyId=" + accessKeyId + "}";
  }
}
