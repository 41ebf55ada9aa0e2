package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import java.time.Instant;

/**
 * A role in use: the bucket that reads with it, and its newest credentials. Immutable; a refresh makes a new one.
 *
 * <p>The bucket {@link #APPLICATION} stands for every bucket without a role of its own.
 */
public final class LiveRole {
  /** Stands for the application in place of a bucket, since no bucket has an empty name. */
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

  /** Makes a role in use of credentials just fetched. */
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

  /** Returns the same credentials with the reason why the last refresh brought no newer ones. */
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
   * Returns the same credentials, which have ended at this instant at the latest, whatever the time of day is: whoever gave them
   * has said no to the role since, or the other clock says so.
   */
  LiveRole ended(long nowMillis) {
    return new LiveRole(
        bucket,
        roleArn,
        accessKeyId,
        secretAccessKey,
        sessionToken,
        // Never what the fetch brought, by which the refresher knows credentials that may be good.
        Math.min(expirationMillis - 1, nowMillis),
        lastError,
        errorIsFinal);
  }

  /**
   * Returns the ARN of the role.
   *
   * @return the ARN
   */
  public String roleArn() {
    return roleArn;
  }

  /**
   * Returns the credentials as users see them.
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
