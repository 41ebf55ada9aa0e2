package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import java.time.Instant;

/**
 * One role in use: which bucket reads with it, and its newest credentials. Does not change; a refresh makes a new one.
 *
 * <p>The bucket {@link #APPLICATION} stands for every bucket without a role of its own.
 */
public final class Binding {
  /** The bucket of the application's role: no bucket has an empty name. */
  public static final String APPLICATION = "";

  final String bucket;
  final String role;
  final String accessKeyId;
  final String secretAccessKey;
  final String sessionToken;
  final long expirationMillis;
  final String trouble;
  final boolean refused;

  private Binding(
      String bucket,
      String role,
      String accessKeyId,
      String secretAccessKey,
      String sessionToken,
      long expirationMillis,
      String trouble,
      boolean refused) {
    this.bucket = bucket;
    this.role = role;
    this.accessKeyId = accessKeyId;
    this.secretAccessKey = secretAccessKey;
    this.sessionToken = sessionToken;
    this.expirationMillis = expirationMillis;
    this.trouble = trouble;
    this.refused = refused;
  }

  Binding(
      String bucket,
      String role,
      String accessKeyId,
      String secretAccessKey,
      String sessionToken,
      long expirationMillis) {
    this(bucket, role, accessKeyId, secretAccessKey, sessionToken, expirationMillis, "", false);
  }

  /** Binds a bucket to credentials just fetched. */
  static Binding from(String bucket, Fetched fetched) {
    Credentials credentials = fetched.credentials;
    return new Binding(
        bucket,
        credentials.getRoleArn(),
        credentials.getAccessKeyId(),
        credentials.getSecretAccessKey(),
        credentials.getSessionToken(),
        credentials.getExpiration().toEpochMilli());
  }

  /** The same credentials, with the reason why the last refresh brought no new ones. */
  Binding troubled(String reason, boolean isRefused) {
    return new Binding(
        bucket,
        role,
        accessKeyId,
        secretAccessKey,
        sessionToken,
        expirationMillis,
        reason,
        isRefused);
  }

  /**
   * The role.
   *
   * @return its ARN
   */
  public String role() {
    return role;
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
        role);
  }

  /** Shows bucket, role and access key id; never secret access key or session token. */
  @Override
  public String toString() {
    return "Binding{bucket=" + bucket + ", role=" + role + ", accessKeyId=" + accessKeyId + "}";
  }
}
