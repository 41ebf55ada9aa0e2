package io.hops.util.cloud;

/** One statement of the form "members with this project role may assume this role". */
public final class RoleMapping {
  private final int id;
  private final String roleArn;
  private final String projectRole;
  private final boolean isDefault;

  /**
   * Makes a role mapping as the source of roles shows it.
   *
   * @param id the id, from 1
   * @param roleArn the ARN of the role
   * @param projectRole who may assume it
   * @param isDefault whether callers who name no role get it
   */
  public RoleMapping(int id, String roleArn, String projectRole, boolean isDefault) {
    this.id = id;
    this.roleArn = roleArn;
    this.projectRole = projectRole;
    this.isDefault = isDefault;
  }

  /**
   * Returns the id by which {@code CredentialsProvider.getRole(Integer)} finds the role.
   *
   * @return the id, from 1
   */
  public int getId() {
    return id;
  }

  /**
   * Returns the role.
   *
   * @return its ARN
   */
  public String getRoleArn() {
    return roleArn;
  }

  /**
   * Returns the project role of those who may assume it.
   *
   * @return {@code Data owner}, {@code Data scientist} or {@code ALL}
   */
  public String getProjectRole() {
    return projectRole;
  }

  /**
   * Returns true if callers who name no role get this one.
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
