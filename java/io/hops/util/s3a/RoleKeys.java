package io.hops.util.s3a;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.UserGroupInformation;

/** The keys of a role in a configuration: whether they are there, and a copy with them. */
final class RoleKeys {
  private RoleKeys() {}

  /**
   * Finds the roles that this JVM knows.
   *
   * @return those of the driver, or those that it pushed to this executor; null when there are none
   * @throws IOException on an executor that received them damaged
   */
  static LiveSet findRoles() throws IOException {
    LiveSet here = LiveStore.findCurrent();
    return here == null ? PushedCredentials.readSet(UserGroupInformation.getCurrentUser()) : here;
  }

  /**
   * Returns true if a configuration knows the role of a bucket. Another provider is then the user's explicit word, such as a read
   * option or a session conf. Without them the configuration is from before the role, or was copied while its keys were written.
   *
   * @param isOwn true when the bucket has a role of its own
   */
  static boolean areIn(Configuration configuration, String bucket, boolean isOwn) {
    String own = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return configuration.get(Keys.GENERATION) != null
        && configuration.get(isOwn ? Keys.forBucket(bucket, Keys.ROLE) : Keys.ROLE) != null
        && !isNoChoice(own == null ? configuration.get(Keys.PROVIDER) : own);
  }

  /**
   * Adds the role that a bucket has now to a configuration that does not know it.
   *
   * @param roles see {@link #findRoles}
   * @return a copy with the role; the same configuration when it knows its role, or the bucket has none
   * @throws IOException when S3A's class loader takes no class from us
   */
  static Configuration withRole(Configuration configuration, String bucket, LiveSet roles) throws IOException {
    LiveRole role = roles.find(bucket);
    boolean isOwn = roles.findOwn(bucket) != null;
    if (role == null || !isOwn && isChosen(configuration, bucket) || areIn(configuration, bucket, isOwn)) {
      return configuration;
    }
    Configuration copy = new Configuration(configuration);
    String scope = isOwn ? bucket : LiveRole.APPLICATION;
    copy.set(Keys.forBucket(scope, Keys.ROLE), role.roleArn());
    copy.set(Keys.forBucket(scope, Keys.PROVIDER), Bridge.ensure());
    copy.setLong(Keys.GENERATION, roles.generation());
    return copy;
  }

  /** Returns true if the user chose a provider for this bucket alone, which wins over the application's role. */
  static boolean isChosen(Configuration configuration, String bucket) {
    String chosen = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return chosen != null && !Bridge.isOurs(chosen);
  }

  /** Returns true if nobody chose this provider: it is absent, or Hadoop's own default. */
  static boolean isNoChoice(String provider) {
    if (provider == null || provider.trim().isEmpty()) {
      return true;
    }
    if (Bridge.isOurs(provider)) {
      return false;
    }
    Configuration defaults = new Configuration(false);
    defaults.addResource("core-default.xml");
    return provider.equals(defaults.get(Keys.PROVIDER));
  }
}
