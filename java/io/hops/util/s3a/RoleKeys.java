package io.hops.util.s3a;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import java.io.IOException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;

/** The keys of a role in a configuration: whether they are there, and a copy with them. */
final class RoleKeys {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** The buckets that {@link #warnOfOwn} has named. */
  private static final Set<String> WARNED = ConcurrentHashMap.newKeySet();

  private RoleKeys() {}

  /**
   * Finds the roles that this JVM knows.
   *
   * @return those of the driver, or those that it pushed to this executor; null when there are none
   * @throws IOException on an executor that received them damaged
   */
  static LiveSet findRoles() throws IOException {
    LiveSet here = LiveStore.findCurrent();
    return here == null ? PushedCredentials.readSet() : here;
  }

  /** Finds what tells one set of roles from the next: an object that is another one after each change; null without roles. */
  static Object findMark() throws IOException {
    LiveSet here = LiveStore.findCurrent();
    return here == null ? PushedCredentials.readBytes() : here;
  }

  /**
   * Returns true if a configuration knows the role of a bucket. Another provider is then the user's explicit word, such as a read
   * option or a session conf. Without them the configuration is from before the role, or was copied while its keys were written.
   *
   * @param isOwn true when the bucket has a role of its own
   */
  static boolean areIn(Configuration configuration, String bucket, boolean isOwn) {
    return configuration.get(Keys.GENERATION) != null
        && configuration.get(isOwn ? Keys.forBucket(bucket, Keys.ROLE) : Keys.ROLE) != null
        && !isNoChoice(findProvider(configuration, bucket));
  }

  /**
   * Returns true if a configuration does not know the role of a bucket, and names a provider that neither the application named
   * before the role nor Hadoop's files name: the program has made it for another identity, and it is not from before the role.
   */
  static boolean isProgramsOwn(Configuration configuration, String bucket, LiveSet roles) {
    String provider = findProvider(configuration, bucket);
    return !isNoChoice(provider)
        && !Bridge.isOurs(provider)
        && !roles.isEarlierProvider(provider)
        && !provider.equals(findProvider(new Configuration(), bucket))
        && roles.find(bucket) != null
        && !areIn(configuration, bucket, roles.findOwn(bucket) != null);
  }

  /**
   * Returns true if a configuration knows the role of a bucket, and names another provider: the word of one session or one read.
   * A provider for a bucket that has no role of its own is that of the application.
   */
  static boolean isOfOneReader(Configuration configuration, String bucket, LiveSet roles) {
    boolean isOwn = roles.findOwn(bucket) != null;
    return areIn(configuration, bucket, isOwn)
        && !Bridge.isOurs(findProvider(configuration, bucket))
        && (isOwn || !isChosen(configuration, bucket));
  }

  /** Says once for a bucket that the program reads it past its role. */
  static void warnOfOwn(String bucket) {
    warn(
        bucket,
        "a configuration of the program's own, whose provider the application did not have before the role; to read with the"
            + " role, copy the configuration of the SparkContext after assumeRole");
  }

  /** Says once for a bucket that one session or one read goes past its role. */
  static void warnOfOneReader(Configuration configuration, String bucket) {
    warn(
        bucket,
        findProvider(configuration, bucket) + ", which a session or a read names, where nobody had opened it before; to read"
            + " with the role, leave that key out, or name the provider for the bucket");
  }

  private static void warn(String bucket, String reader) {
    String warning = "bucket " + bucket + " is not read with its role, but with " + reader;
    if (WARNED.add(warning)) {
      LOG.warning(warning);
    }
  }

  private static String findProvider(Configuration configuration, String bucket) {
    String own = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return own == null ? configuration.get(Keys.PROVIDER) : own;
  }

  /**
   * Adds the role that a bucket has now to a configuration that does not know it.
   *
   * @param roles see {@link #findRoles}
   * @return a copy with the role; the same configuration when it knows its role or is the program's own, or the bucket has none
   * @throws IOException when S3A's class loader takes no class from us
   */
  static Configuration withRole(Configuration configuration, String bucket, LiveSet roles) throws IOException {
    LiveRole role = roles.find(bucket);
    boolean isOwn = roles.findOwn(bucket) != null;
    if (role == null || !isOwn && isChosen(configuration, bucket) || areIn(configuration, bucket, isOwn)) {
      return configuration;
    }
    if (isProgramsOwn(configuration, bucket, roles)) {
      warnOfOwn(bucket);
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
    return provider.equals(HadoopsDefault.PROVIDER);
  }

  /** What Hadoop itself says, read once. */
  private static final class HadoopsDefault {
    static final String PROVIDER;

    static {
      Configuration defaults = new Configuration(false);
      defaults.addResource("core-default.xml");
      PROVIDER = defaults.get(Keys.PROVIDER);
    }
  }
}
