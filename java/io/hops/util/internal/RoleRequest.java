package io.hops.util.internal;

import java.util.Arrays;
import java.util.List;

/** The fields of one AssumeRole request. The native library reads them; null, empty and 0 mean "not given". */
public final class RoleRequest {
  /** The ARN of the role; without it the caller's default. */
  public String roleArn;
  /** The name under which CloudTrail shows the session. */
  public String sessionName;
  /** The name of the first session of this role, which later ones keep where no name is given. */
  public String firstSessionName;
  /** The seconds for which the credentials are valid. */
  public int durationSeconds;
  /** The external id, which a trust policy can demand as {@code sts:ExternalId}. */
  public String externalId;
  /** A session policy in JSON. */
  public String policy;
  /** The ARNs of managed policies. */
  public String[] policyArns = {};
  /** Session tags: key, value, key, value, … */
  public String[] tags = {};
  /** The STS attribute {@code SourceIdentity}. */
  public String sourceIdentity;

  /**
   * Makes a copy for another role.
   *
   * @param roleArn the ARN of the role; null for the caller's default
   * @return the copy
   */
  public RoleRequest withRole(String roleArn) {
    RoleRequest copy = new RoleRequest();
    copy.roleArn = roleArn;
    copy.sessionName = sessionName;
    copy.firstSessionName = firstSessionName;
    copy.durationSeconds = durationSeconds;
    copy.externalId = externalId;
    copy.policy = policy;
    copy.policyArns = policyArns;
    copy.tags = tags;
    copy.sourceIdentity = sourceIdentity;
    return copy;
  }

  /** Returns true if and only if both ask STS for the same. */
  @Override
  public boolean equals(Object other) {
    return other instanceof RoleRequest && fields().equals(((RoleRequest) other).fields());
  }

  @Override
  public int hashCode() {
    return fields().hashCode();
  }

  private List<Object> fields() {
    return Arrays.asList(
        roleArn,
        sessionName,
        durationSeconds,
        externalId,
        policy,
        Arrays.asList(policyArns),
        Arrays.asList(tags),
        sourceIdentity);
  }
}
