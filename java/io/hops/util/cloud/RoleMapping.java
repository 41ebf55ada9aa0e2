package io.hops.util.cloud;

/** "Members with this project role may assume this role." */
public final class RoleMapping {
  private final int id;
  private final String roleArn;
  private final String projectRole;
  private final boolean isDefault;

  /**
   * A role mapping as the source of roles shows it.
   *
   * @param id the id, from 1
   * @param roleArn the ARN of the role
   * @param projectRole who may assume it
   * @param isDefault whether it is used when no role is named
   */
  public RoleMapping(int id, String roleArn, String projectRole, boolean isDefault) {
    this.id = id;
    this.roleArn = roleArn;
    this.projectRole = projectRole;
    this.isDefault = isDefault;
  }

  /**
   * The id by which {@code CredentialsProvider.getRole(Integer)} finds the role.
   *
   * @return the id, from 1
   */
  public int getId() {
    return id;
  }

  /**
   * The role.
   *
   * @return its ARN
   */
  public String getRoleArn() {
    return roleArn;
  }

  /**
   * Who may assume it.
   *
   * @return {@code Data owner}, {@code Data scientist} or {@code ALL}
   */
  public String getProjectRole() {
    return projectRole;
  }

  /**
   * Whether it is the role used when none is named.
   *
   * @return true for the default mapping
   */
  public boolean isDefault() {
    return isDefault;
  }

  @Override
  public String toString() {
    return "RoleMapping{id="
        + id
        + ", roleArn="
        + roleArn
        + ", projectRole="
        + projectRole
        + ", isDefault="
        + isDefault
        + "}";
  }
}
