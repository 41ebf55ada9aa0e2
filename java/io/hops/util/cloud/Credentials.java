package io.hops.util.cloud;

import java.time.Instant;

/**
 * Temporary credentials of one role: access key id, secret access key and session token.
 *
 * <p>A snapshot: a refresh makes new ones and leaves these as they are. Not serializable, so that none of it travels in a
 * closure or lies in an event log.
 */
public class Credentials {
  private String accessKeyId;
  private String secretAccessKey;
  private String sessionToken;
  private final Instant expiration;
  private final String roleArn;

  /** Credentials without any part, to be filled by the setters. */
  public Credentials() {
    this(null, null, null);
  }

  /**
   * Credentials of which neither expiration nor role is known.
   *
   * @param accessKeyId the access key id
   * @param secretAccessKey the secret access key
   * @param sessionToken the session token
   */
  public Credentials(String accessKeyId, String secretAccessKey, String sessionToken) {
    this(accessKeyId, secretAccessKey, sessionToken, null, null);
  }

  /**
   * Credentials with all that is known about them.
   *
   * @param accessKeyId the access key id
   * @param secretAccessKey the secret access key
   * @param sessionToken the session token
   * @param expiration the instant from which AWS refuses them, or null
   * @param roleArn the ARN of the role they belong to, or null
   */
  public Credentials(
      String accessKeyId,
      String secretAccessKey,
      String sessionToken,
      Instant expiration,
      String roleArn) {
    this.accessKeyId = accessKeyId;
    this.secretAccessKey = secretAccessKey;
    this.sessionToken = sessionToken;
    this.expiration = expiration;
    this.roleArn = roleArn;
  }

  /**
   * The access key id. Not secret: CloudTrail shows it.
   *
   * @return the access key id
   */
  public String getAccessKeyId() {
    return accessKeyId;
  }

  /**
   * Replaces the access key id in this object, and nowhere else.
   *
   * @param accessKeyId the access key id
   */
  public void setAccessKeyId(String accessKeyId) {
    this.accessKeyId = accessKeyId;
  }

  /**
   * The secret access key. Secret.
   *
   * @return the secret access key
   */
  public String getSecretAccessKey() {
    return secretAccessKey;
  }

  /**
   * Replaces the secret access key in this object, and nowhere else.
   *
   * @param secretAccessKey the secret access key
   */
  public void setSecretAccessKey(String secretAccessKey) {
    this.secretAccessKey = secretAccessKey;
  }

  /**
   * The session token. Secret.
   *
   * @return the session token
   */
  public String getSessionToken() {
    return sessionToken;
  }

  /**
   * Replaces the session token in this object, and nowhere else.
   *
   * @param sessionToken the session token
   */
  public void setSessionToken(String sessionToken) {
    this.sessionToken = sessionToken;
  }

  /**
   * The instant from which AWS refuses them.
   *
   * @return the expiration, or null when it is not known
   */
  public Instant getExpiration() {
    return expiration;
  }

  /**
   * The role they belong to.
   *
   * @return the ARN, or null when a default role was asked for and the server did not say which it is
   */
  public String getRoleArn() {
    return roleArn;
  }

  /** Shows role, access key id and expiration; never secret access key or session token. */
  @Override
  public String toString() {
    return "Credentials{accessKeyId="
        + accessKeyId
        + ", secretAccessKey=***, sessionToken=***, expiration="
        + expiration
        + ", roleArn="
        + roleArn
        + "}";
  }
}
