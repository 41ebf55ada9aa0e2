package io.hops.util;

import io.hops.util.cloud.Credentials;
import io.hops.util.cloud.RoleMapping;
import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Doctor;
import io.hops.util.internal.Explain;
import io.hops.util.internal.JvmSettings;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveRoles;
import io.hops.util.internal.Native;
import io.hops.util.internal.RoleRequest;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Temporary AWS credentials for the roles that are mapped to a project.
 *
 * <pre>{@code
 * Credentials credentials = CredentialsProvider.assumeRole(CredentialsProvider.getRole(1));
 * }</pre>
 *
 * <p>Roles and credentials come from the role-mapping server when {@code hopsworks.restendpoint} or {@code REST_ENDPOINT}
 * is set, else from AWS STS with the base identity of the AWS chain and the roles of {@code hops.cloud.roles}.
 *
 * <p>{@code assumeRole} also writes the credentials where their readers look: into the environment of this process as
 * {@code AWS_ACCESS_KEY_ID}, {@code AWS_SECRET_ACCESS_KEY} and {@code AWS_SESSION_TOKEN}, and into the Hadoop
 * configuration of the active SparkContext, if there is one. It writes all of it, or nothing when it throws.
 *
 * <p>Runs without Spark, Hadoop or an AWS SDK on the class path. Safe to call from any thread.
 */
public final class CredentialsProvider {
  private CredentialsProvider() {}

  /**
   * Assumes the caller's default role for an hour.
   *
   * @return the credentials
   * @throws CloudCredentialException when none can be had; then nothing has changed
   */
  public static Credentials assumeRole() throws CloudCredentialException {
    return AssumeRoleRequest.builder().send();
  }

  /**
   * Assumes a role for an hour.
   *
   * @param roleArn the ARN of the role; null or empty for the caller's default
   * @return the credentials
   * @throws CloudCredentialException when none can be had; then nothing has changed
   * @throws IllegalArgumentException when the text is not a role ARN
   */
  public static Credentials assumeRole(String roleArn) throws CloudCredentialException {
    return AssumeRoleRequest.builder().setRoleArn(roleArn).send();
  }

  /**
   * Assumes a role under a session name, for a duration.
   *
   * @param roleArn the ARN of the role; null or empty for the caller's default
   * @param roleSessionName the name under which CloudTrail shows the session: 2 to 64 letters, digits and characters of
   *     {@code _+=,.@-}; null or empty for a name made of user and project
   * @param durationSeconds 900 to 43200 seconds, 3600 at most when AWS chains roles; 0 for 3600
   * @return the credentials
   * @throws CloudCredentialException when none can be had; then nothing has changed
   * @throws IllegalArgumentException when AWS could not accept an argument
   */
  public static Credentials assumeRole(String roleArn, String roleSessionName, int durationSeconds)
      throws CloudCredentialException {
    return AssumeRoleRequest.builder()
        .setRoleArn(roleArn)
        .setRoleSessionName(roleSessionName)
        .setDurationSeconds(durationSeconds)
        .send();
  }

  /**
   * Returns the current credentials of the application's role, after any refresh. Works on Spark executors too.
   *
   * @return a snapshot; null when no role is in use
   * @throws CloudCredentialException on an executor that received them damaged
   */
  public static Credentials current() throws CloudCredentialException {
    return LiveRoles.current(LiveRole.APPLICATION);
  }

  /**
   * Returns the credentials that a bucket is read with now, after any refresh. Works on Spark executors too.
   *
   * @param bucket the bucket
   * @return a snapshot; null when no role is in use for it
   * @throws CloudCredentialException on an executor that received them damaged
   */
  public static Credentials current(String bucket) throws CloudCredentialException {
    return LiveRoles.current(bucket);
  }

  /**
   * Ends the use of all roles and restores what the environment and the Hadoop configuration held before, where the value
   * is still ours. A bucket that was opened under a role refuses every later request. Does nothing when no role is in use.
   *
   * @throws CloudCredentialException on a Spark executor
   */
  public static void release() throws CloudCredentialException {
    LiveRoles.release();
  }

  /**
   * Explains with which role a path is read: role, source, mode, access key, expiration, last and next refresh, last error.
   * Works on Spark executors too.
   *
   * @param path the path, {@code s3a://bucket/key}
   * @return a line for each
   * @throws CloudCredentialException on an executor that received the roles damaged
   * @throws IllegalArgumentException when the path has another form
   */
  public static String explain(String path) throws CloudCredentialException {
    return Explain.explain(path);
  }

  /**
   * Checks everything that can keep roles from being assumed, refreshed or seen by S3A: settings, server, login, clock,
   * base identity, class loaders, the way to the executors. Asks the server and STS, and changes nothing.
   *
   * @return a line for each check, with what to do about each problem, and a line that counts the problems
   * @throws CloudCredentialException on an executor, or when this JVM has no native library or cannot read a truststore
   */
  public static String doctor() throws CloudCredentialException {
    return Doctor.examine();
  }

  /**
   * Finds the caller's default role.
   *
   * @return its ARN
   * @throws CloudCredentialException when there is no such role, or no answer
   */
  public static String getRole() throws CloudCredentialException {
    LiveRoles.requireDriver();
    return Native.loaded().defaultRole(JvmSettings.readWithCertificates());
  }

  /**
   * Finds a role by the id of its mapping. The caller may or may not be allowed to assume it.
   *
   * @param id the id of the role mapping, or the position in {@code hops.cloud.roles}, from 1; null for the default
   * @return the ARN of the role
   * @throws CloudCredentialException when no role has this id, or no answer comes
   * @throws IllegalArgumentException when the id is negative
   */
  public static String getRole(Integer id) throws CloudCredentialException {
    LiveRoles.requireDriver();
    return id == null ? getRole() : Native.loaded().role(JvmSettings.readWithCertificates(), id);
  }

  /**
   * Lists the roles mapped to the project, in the order of their ids, also those that the caller may not assume.
   *
   * @return their ARNs; empty when there are none
   * @throws CloudCredentialException when there is no answer
   */
  public static String[] getRoles() throws CloudCredentialException {
    return getRoleMappings().stream().map(RoleMapping::getRoleArn).toArray(String[]::new);
  }

  /**
   * Lists the role mappings of the project, in the order of their ids, also those that the caller may not assume.
   *
   * @return the role mappings; empty when there are none
   * @throws CloudCredentialException when there is no answer
   */
  public static List<RoleMapping> getRoleMappings() throws CloudCredentialException {
    LiveRoles.requireDriver();
    return Collections.unmodifiableList(
        Arrays.asList(Native.loaded().roleMappings(JvmSettings.readWithCertificates())));
  }

  /**
   * One request to assume a role.
   *
   * <p>Not every source takes every field: a role-mapping server carries role, session name and duration, STS all of
   * them. {@link #send} refuses a field that would be lost.
   */
  public static final class AssumeRoleRequest {
    private final RoleRequest fields;
    private String[] buckets = {};

    private AssumeRoleRequest(RoleRequest fields) {
      this.fields = fields;
    }

    /**
     * Makes a request for the caller's default role, for an hour.
     *
     * @return a new request
     */
    public static AssumeRoleRequest builder() {
      return new AssumeRoleRequest(new RoleRequest());
    }

    /**
     * Names the role.
     *
     * @param roleArn its ARN; null or empty for the caller's default
     * @return this request
     */
    public AssumeRoleRequest setRoleArn(String roleArn) {
      fields.roleArn = roleArn;
      return this;
    }

    /**
     * Names the session.
     *
     * @param roleSessionName the name under which CloudTrail shows the session: 2 to 64 letters, digits and characters
     *     of {@code _+=,.@-}; null or empty for a name made of user and project
     * @return this request
     */
    public AssumeRoleRequest setRoleSessionName(String roleSessionName) {
      fields.sessionName = roleSessionName;
      return this;
    }

    /**
     * Sets how long the credentials are valid.
     *
     * @param durationSeconds 900 to 43200 seconds, 3600 at most when AWS chains roles; 0 for 3600
     * @return this request
     */
    public AssumeRoleRequest setDurationSeconds(int durationSeconds) {
      fields.durationSeconds = durationSeconds;
      return this;
    }

    /**
     * Sets the external id, which a trust policy can demand as {@code sts:ExternalId}.
     *
     * @param externalId 2 to 1224 characters; null or empty for none
     * @return this request
     */
    public AssumeRoleRequest setExternalId(String externalId) {
      fields.externalId = externalId;
      return this;
    }

    /**
     * Narrows the session to what both this policy and the role allow.
     *
     * @param policy a session policy in JSON; null or empty for none
     * @return this request
     */
    public AssumeRoleRequest setPolicy(String policy) {
      fields.policy = policy;
      return this;
    }

    /**
     * Narrows the session to what both these managed policies and the role allow.
     *
     * @param policyArns the ARNs of ten managed policies at most
     * @return this request
     */
    public AssumeRoleRequest setPolicyArns(String... policyArns) {
      fields.policyArns = policyArns == null ? new String[0] : policyArns.clone();
      return this;
    }

    /**
     * Adds a session tag; fifty at most.
     *
     * @param key the key of the tag
     * @param value its value
     * @return this request
     */
    public AssumeRoleRequest addTag(String key, String value) {
      String[] tags = Arrays.copyOf(fields.tags, fields.tags.length + 2);
      tags[tags.length - 2] = key;
      tags[tags.length - 1] = value;
      fields.tags = tags;
      return this;
    }

    /**
     * Sets the STS attribute {@code SourceIdentity}, which stays with the session wherever it goes.
     *
     * @param sourceIdentity 2 to 64 characters; null or empty for none
     * @return this request
     */
    public AssumeRoleRequest setSourceIdentity(String sourceIdentity) {
      fields.sourceIdentity = sourceIdentity;
      return this;
    }

    /**
     * Limits the role to some buckets: only they are read with it, and nothing else changes. Without this call the role is
     * that of the application: of the environment, and of every bucket without a role or a provider of its own.
     *
     * @param buckets names of buckets, without {@code s3a://}; one at least
     * @return this request
     * @throws IllegalArgumentException for none, and for what cannot be the name of a bucket
     */
    public AssumeRoleRequest forBucket(String... buckets) {
      if (buckets.length == 0) {
        throw new IllegalArgumentException("invalid buckets: there are none; leave forBucket out for the role of the application");
      }
      for (String bucket : buckets) {
        if (bucket == null || bucket.isEmpty() || bucket.contains("/")) {
          throw new IllegalArgumentException(
              "invalid bucket: \"" + bucket + "\" is not the name of a bucket; leave out s3a:// and the path");
        }
      }
      this.buckets = buckets.clone();
      return this;
    }

    /**
     * Makes a copy, which later changes of this request do not reach.
     *
     * @return the copy
     */
    public AssumeRoleRequest copy() {
      AssumeRoleRequest copy = new AssumeRoleRequest(fields.withRole(fields.roleArn));
      copy.buckets = buckets;
      return copy;
    }

    /**
     * Assumes the role and writes the credentials where their readers look.
     *
     * @return the credentials
     * @throws CloudCredentialException when none can be had; then nothing has changed
     * @throws IllegalArgumentException when AWS could not accept a field, or the source cannot carry it
     */
    public Credentials send() throws CloudCredentialException {
      return LiveRoles.assume(fields.withRole(fields.roleArn), Arrays.asList(buckets));
    }
  }
}
