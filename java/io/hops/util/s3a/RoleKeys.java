package io.hops.util.s3a;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.OwnKeys;
import java.io.IOException;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;

/** The keys of a role in a configuration: whether they are there, and a copy with them. */
public final class RoleKeys {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** Those of this executor, parsed once. */
  private static final PushedCredentials PUSHED = new PushedCredentials(LiveRole.APPLICATION, 0);

  /** What has been said. */
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
    return here == null ? PUSHED.findNewest() : here;
  }

  /** Finds what tells one set of roles from the next: an object that is another one after each change; null without roles. */
  static Object findMark() throws IOException {
    LiveSet here = LiveStore.findCurrent();
    return here == null ? PushedCredentials.readBytes() : here;
  }

  /**
   * Returns true if a configuration knows the role of a bucket. Another provider is then the user's explicit word, such as a read
   * option or a session conf. Without them the configuration is from before the role, or was copied while its keys were written. What
   * the connector of a bucket wrote for all buckets is nobody's word for another bucket; nor is what it wrote for a bucket with a role.
   *
   * @param isOwn true when the bucket has a role of its own
   */
  static boolean areIn(Configuration configuration, String bucket, boolean isOwn) {
    return isTold(configuration, bucket, isOwn)
        && !isNoChoice(findProvider(configuration, bucket))
        && !isOfConnector(configuration, bucket, isOwn);
  }

  private static boolean isTold(Configuration configuration, String bucket, boolean isOwn) {
    String role = configuration.get(isOwn ? Keys.forBucket(bucket, Keys.ROLE) : Keys.ROLE);
    return role != null && configuration.get(Keys.GENERATION) != null;
  }

  private static boolean isOfConnector(Configuration configuration, String bucket, boolean isOwn) {
    String own = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return isOwn
        ? own != null && !Bridge.isOurs(own) && StaticKeys.areOf(configuration, bucket)
        : own == null && StaticKeys.areEcho(configuration);
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
        && !isTold(configuration, bucket, roles.findOwn(bucket) != null);
  }

  /**
   * Returns true if a configuration knows the role of a bucket, and names another provider: the word of one session or one read.
   * A provider for a bucket that has no role of its own is that of the application.
   */
  static boolean isOfOneReader(Configuration configuration, String bucket, LiveSet roles) {
    boolean isOwn = roles.findOwn(bucket) != null;
    return areIn(configuration, bucket, isOwn)
        && !Bridge.isOurs(findProvider(configuration, bucket))
        && (isOwn || !hasProvider(configuration, bucket));
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
    warnOnce(reader + bucket, "bucket " + bucket + " is not read with its role, but with " + reader);
  }

  /** Warns once of one matter, whose words may come with other keys each time. */
  private static void warnOnce(String matter, String warning) {
    if (WARNED.add(matter)) {
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
    if (role == null) {
      return configuration;
    }
    if (!isOwn && isChosen(configuration, bucket)) {
      return withKeysOf(configuration, bucket, roles.generation());
    }
    if (areIn(configuration, bucket, isOwn)) {
      return configuration;
    }
    if (isProgramsOwn(configuration, bucket, roles)) {
      warnOfOwn(bucket);
      return configuration;
    }
    if (isOfConnector(configuration, bucket, isOwn)) {
      warnOnce(
          isOwn + bucket,
          isOwn
              ? "bucket " + bucket + " is read with its role, not with " + Keys.forBucket(bucket, Keys.ACCESS_KEY)
              : "the keys of one bucket, " + configuration.get(Keys.ACCESS_KEY) + ", stand for all buckets too; they count for that one");
    }
    Configuration copy = new Configuration(configuration);
    String scope = isOwn ? bucket : LiveRole.APPLICATION;
    copy.set(Keys.forBucket(scope, Keys.ROLE), role.roleArn());
    copy.set(Keys.forBucket(scope, Keys.PROVIDER), Bridge.ensure());
    copy.setLong(Keys.GENERATION, roles.generation());
    return copy;
  }

  /** Makes a bucket that has keys of its own be read with them. */
  private static Configuration withKeysOf(Configuration configuration, String bucket, long generation) {
    String forAll = configuration.getTrimmed(Keys.PROVIDER);
    boolean isNamed = hasProvider(configuration, bucket);
    boolean isChoice = !isNoChoice(forAll) && !Bridge.isOurs(forAll) && !StaticKeys.areRead(configuration);
    boolean isOfSession = !isNamed && isChoice && isTold(configuration, bucket, false);
    if (!StaticKeys.areOf(configuration, bucket) || isOfSession) {
      return configuration;
    }
    String key = Keys.forBucket(bucket, Keys.ACCESS_KEY);
    String keys = key + " is " + configuration.get(key);
    warnOnce(key, "bucket " + bucket + " is read with its own keys (" + keys + "), not with the application's role");
    if (isNamed) {
      return configuration;
    }
    Configuration copy = new Configuration(configuration);
    // So that the release finds it.
    copy.setLong(Keys.GENERATION, generation);
    copy.set(Keys.forBucket(bucket, Keys.PROVIDER), StaticKeys.provider(configuration, bucket));
    return copy;
  }

  /**
   * Returns true if the user chose a provider or keys for this bucket alone, which win over the application's role. Keys beside a role
   * for the bucket are ours, in the static mode.
   *
   * @param configuration the configuration of a job or of the application
   * @param bucket the bucket
   * @return true when the role of the application does not count
   */
  public static boolean isChosen(Configuration configuration, String bucket) {
    return hasProvider(configuration, bucket) || hasKeys(configuration, bucket);
  }

  /** Returns true if there is a provider for this bucket that is not ours. */
  private static boolean hasProvider(Configuration configuration, String bucket) {
    String provider = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return provider != null && !Bridge.isOurs(provider);
  }

  /**
   * Returns true if this bucket has keys of its own, as a storage connector sets them.
   *
   * @param configuration the configuration of a job or of the application
   * @param bucket the bucket
   * @return false also when these are the keys of its role, in the static mode
   */
  public static boolean hasKeys(Configuration configuration, String bucket) {
    return configuration.get(Keys.forBucket(bucket, Keys.ROLE)) == null && StaticKeys.areOf(configuration, bucket);
  }

  /**
   * Finds with what a bucket is read instead of the role of the application.
   *
   * @param configuration the configuration of a job or of the application
   * @param bucket the bucket
   * @return see {@link LiveSet#findOwnKeys}
   */
  public static String findOwnKeys(Configuration configuration, String bucket) {
    if (hasKeys(configuration, bucket)) {
      return StaticKeys.mark(configuration, bucket);
    }
    String provider = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return hasProvider(configuration, bucket) ? LiveSet.BEHIND_KEY + provider : LiveSet.NO_KEYS;
  }

  /**
   * Lists the buckets that are read with something else than the role of the application.
   *
   * @param configuration the configuration of the application
   * @return with what, by bucket, see {@link #findOwnKeys}
   */
  public static Map<String, String> listOwnKeys(Configuration configuration) {
    Map<String, String> found = new TreeMap<>();
    for (String name : configuration.getPropsWithPrefix(StaticKeys.BUCKETS).keySet()) {
      for (String key : new String[] {Keys.PROVIDER, Keys.ACCESS_KEY}) {
        String bucket = Keys.findBucket(StaticKeys.BUCKETS + name, key);
        if (bucket != null && isChosen(configuration, bucket)) {
          found.put(bucket, findOwnKeys(configuration, bucket));
        }
      }
    }
    return found;
  }

  /** Returns true if keys with this access key id are those of one bucket, as the SparkContext has it by now or the driver told. */
  static boolean areOfOneBucket(String accessKey) {
    try {
      LiveSet roles = findRoles();
      return !accessKey.isEmpty() && (roles != null && roles.hasOwnKeys(accessKey) || OwnKeys.areOfOneBucket(accessKey));
    } catch (IOException e) {
      throw new IllegalStateException(e.getMessage(), e);
    }
  }

  /**
   * Returns true if a configuration has keys with this access key id for one bucket.
   *
   * @param configuration the configuration
   * @param accessKey the access key id
   * @return false also when they are for all buckets alone
   */
  public static boolean areOfOneBucket(Configuration configuration, String accessKey) {
    return StaticKeys.areOfOneBucket(configuration, accessKey);
  }

  /** Says once for a bucket that a configuration from before its keys opens it with the role. */
  static void warnOfEarlier(String bucket) {
    warnOnce(
        "earlier " + bucket,
        "bucket " + bucket + " is opened anew at each look-up by what was made before its keys were set or taken out, such as an RDD or a"
            + " catalog; make that anew");
  }

  /** Says why a bucket is not opened with this configuration, or not while the application has the one that it has; null when it is. */
  static String findRefusal(Configuration configuration, String bucket, LiveSet roles) {
    if (isTold(configuration, bucket, false) && StaticKeys.areRead(configuration)) {
      return explainRefusal(configuration, bucket, roles);
    }
    boolean isOther =
        isChosen(configuration, bucket) || isProgramsOwn(configuration, bucket, roles) || isOfOneReader(configuration, bucket, roles);
    return isOther ? null : OwnKeys.explainRefusal(bucket);
  }

  /**
   * Says why a bucket is not opened: somebody has set keys for all buckets beside the role of the application, and reading with either
   * could be wrong. In the static mode nobody asks us, and the bucket is read with them.
   *
   * @param configuration the configuration of a job or of the application
   * @param bucket the bucket; null for any that has neither keys nor a role of its own
   * @param roles the roles in use
   * @return a sentence; null when the bucket is opened with the role, or as the user chose
   */
  public static String explainRefusal(Configuration configuration, String bucket, LiveSet roles) {
    LiveRole role = roles.findOwn(LiveRole.APPLICATION);
    boolean isOther = bucket != null && (roles.findOwn(bucket) != null || isChosen(configuration, bucket));
    if (role == null || isOther || configuration.get(Keys.ROLE) == null || !StaticKeys.areOfNobody(configuration)) {
      return null;
    }
    return (bucket == null ? "a bucket that is not open yet" : "bucket " + bucket)
        + (configuration.get(Keys.GENERATION) == null ? " is read with other keys, in mode=static" : " is not opened")
        + ": the application reads as "
        + role.roleArn()
        + ", and since then somebody, such as a storage connector, has set "
        + Keys.ACCESS_KEY
        + " to "
        + configuration.get(Keys.ACCESS_KEY)
        + " for all buckets; set the keys for their bucket alone (fs.s3a.bucket.NAME.access.key), or call assumeRole again, which drops"
        + " them from the SparkContext, or release, which lets them count";
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
