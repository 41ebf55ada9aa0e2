package io.hops.util.cloud;

import java.time.Instant;

/**
 * Temporary credentials of one role: access key id, secret access key and session token.
 *
 * <p>They are a snapshot: a refresh makes new ones and leaves these as they are. They are not serializable, so they never
 * travel in a closure or end up in an event log.
 */
public class Credentials {
  private String accessKeyId;
  private String secretAccessKey;
  private String sessionToken;
  private final Instant expiration;
  private final String roleArn;

  /** Makes empty credentials, for the setters to fill. */
  public Credentials() {
    this(null, null, null);
  }

  /**
   * Makes credentials whose expiration and role are unknown.
   *
   * @param accessKeyId the access key id
   * @param secretAccessKey the secret access key
   * @param sessionToken the session token
   */
  public Credentials(String accessKeyId, String secretAccessKey, String sessionToken) {
    this(accessKeyId, secretAccessKey, sessionToken, null, null);
  }

  /**
   * Makes credentials with everything that can be known about them.
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
   * Returns the access key id. It is not a secret: CloudTrail shows it.
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
   * Returns the secret access key, which is a secret.
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
   * Returns the session token, which is a secret.
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
   * Returns the instant from which AWS refuses them.
   *
   * @return the expiration; null when it is unknown
   */
  public Instant getExpiration() {
    return expiration;
  }

  /**
   * Returns the role they belong to.
   *
   * @return the ARN; null when the server did not say which role is the default
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
