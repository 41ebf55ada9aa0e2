package io.hops.util.spark;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.JvmSettings;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.Native;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import java.io.IOException;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;

/**
 * The way in which S3A gets its credentials in one SparkContext.
 *
 * <p>Live: from our provider, at each request. Static: from the three static keys, once for each file system, as hops-util did;
 * only where the live mode is not possible.
 */
final class Mode {
  static final String LIVE = "live";
  static final String STATIC = "static";

  private static final String REQUIRED = "hops.credentials.require-live is set, and ";

  /** What {@link #showClasses} found. */
  private static final Map<Configuration, ClassLoader> LOADERS = new WeakHashMap<>();

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private final String provider;
  private final boolean hasStaticKeys;
  private final String whyStatic;

  private Mode(String provider, boolean hasStaticKeys, String whyStatic) {
    this.provider = provider;
    this.hasStaticKeys = hasStaticKeys;
    this.whyStatic = whyStatic;
  }

  /** Chooses the mode that this context allows for the roles of these buckets. */
  static Mode choose(SparkContext context, Configuration configuration, Collection<String> buckets)
      throws CloudCredentialException {
    JvmSettings settings = JvmSettings.read();
    // Comes first, so that a mistyped switch is refused even where it makes no difference.
    boolean hasStaticKeys = Native.loaded().hasStaticKeys(settings) && ActiveContext.findSharedServer() == null;
    boolean requiresLive = Native.loaded().requiresLive(settings);
    String binding = Overrides.explainBinding(configuration, buckets);
    if (requiresLive && binding != null) {
      throw new CloudCredentialException(REQUIRED + binding);
    }
    String whyStatic;
    try {
      if (!context.isLocal() && !Delivery.hasChannel(context)) {
        whyStatic = explainMissingChannel(context);
      } else {
        String provider = Bridge.ensure();
        showClasses(configuration);
        String custom = context.isLocal() ? null : Schemes.of(configuration).findCustom();
        if (custom != null) {
          // An executor does not define the bridge.
          if (!Bridge.isVisible()) {
            throw new CloudCredentialException(explainOutOfReach(custom, configuration));
          }
          provider = Bridge.visibleProvider();
        }
        return new Mode(provider, hasStaticKeys, null);
      }
    } catch (IOException e) {
      whyStatic = e.getMessage();
    } catch (LinkageError e) {
      whyStatic = explainMissingSdk(e);
    }
    if (requiresLive) {
      throw new CloudCredentialException(
          REQUIRED + "credentials cannot be refreshed in S3A: " + whyStatic);
    }
    String server = ActiveContext.findSharedServer();
    if (server != null) {
      throw new CloudCredentialException(
          "credentials cannot be refreshed in S3A: " + whyStatic + "; without that a Spark " + server + " would show them to its users");
    }
    return new Mode(null, true, whyStatic);
  }

  /**
   * Makes a configuration find our classes by name: it has the class loader of whoever made the context, and our jar may have
   * come later, into a loader below (a notebook that adds libraries). Copies have the same loader.
   */
  private static void showClasses(Configuration configuration) throws CloudCredentialException {
    if (configuration.getClassByNameOrNull(Schemes.HOPS_FILE_SYSTEM) != null) {
      return;
    }
    for (ClassLoader loader = Mode.class.getClassLoader(); loader != null; loader = loader.getParent()) {
      if (loader == configuration.getClassLoader()) {
        synchronized (LOADERS) {
          LOADERS.put(configuration, loader);
        }
        configuration.setClassLoader(Mode.class.getClassLoader());
        return;
      }
    }
    throw new CloudCredentialException(
        "the class loader of the Hadoop configuration does not find the classes of hops-credentials; put its jar beside Spark, on"
            + " spark.driver.extraClassPath, or make the SparkContext after the jar was added");
  }

  /** Gives a configuration back the class loader that it had before a role. */
  static void hideClasses(Configuration configuration) {
    ClassLoader before;
    synchronized (LOADERS) {
      before = LOADERS.remove(configuration);
    }
    if (before != null && configuration.getClassLoader() == Mode.class.getClassLoader()) {
      configuration.setClassLoader(before);
    }
  }

  /** Makes the live mode with this provider and without static keys. */
  static Mode live(String provider) {
    return new Mode(provider, false, null);
  }

  static String explainOutOfReach(String key, Configuration configuration) {
    return key
        + " is "
        + configuration.get(key)
        + ", and S3A on the executors cannot see our provider; put the jar of hops-credentials beside hadoop-aws, on"
        + " spark.driver.extraClassPath and spark.executor.extraClassPath, or remove that setting";
  }

  static String explainMissingChannel(SparkContext context) {
    return "master "
        + context.master()
        + " has no channel for secrets to its executors; run on YARN, Kubernetes, a standalone cluster or local[*]";
  }

  static String explainMissingSdk(LinkageError missing) {
    return "S3A or its AWS SDK is not on the class path ("
        + missing.getMessage()
        + " is missing); put hadoop-aws in the version of this Hadoop, "
        + org.apache.hadoop.util.VersionInfo.getVersion()
        + ", and the AWS SDK that it was built with on spark.driver.extraClassPath and spark.executor.extraClassPath";
  }

  boolean isLive() {
    return provider != null;
  }

  /** Warns when the static keys of a role end, and why they are not refreshed. */
  void warn(LiveRole role) {
    LOG.warning(
        "credentials of "
            + role.roleArn()
            + " are not refreshed in S3A (mode=static) and end at "
            + role.credentials().getExpiration()
            + ": "
            + whyStatic);
  }

  String name() {
    return isLive() ? LIVE : STATIC;
  }

  /** Returns true if, with this configuration, S3A reads the bucket through our provider. */
  boolean isOurs(Configuration configuration, String bucket) {
    String own = bucket.isEmpty() ? null : configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    return isLive() && provider.equals(own == null ? configuration.get(Keys.PROVIDER) : own);
  }

  /**
   * Lists the keys of these roles in the order in which they must be written. Others copy the configuration meanwhile, and each
   * beginning of this order is Hadoop's own S3A without a role, which we can tell from the user's choice; or it is ours. So a
   * provider comes before its role: beside the generation of another role, a role without our provider would be such a choice.
   *
   * @param schemes the schemes that S3A reads
   * @param set the roles in use
   * @param buckets those whose keys to list
   */
  Map<String, String> keys(Schemes schemes, LiveSet set, Collection<String> buckets) {
    Map<String, String> keys = new LinkedHashMap<>();
    for (String bucket : buckets) {
      LiveRole role = set.findOwn(bucket);
      keys.put(Keys.forBucket(bucket, Keys.PROVIDER), isLive() ? provider : Keys.TEMPORARY_PROVIDER);
      keys.put(Keys.forBucket(bucket, Keys.ROLE), role.roleArn());
      if (!isLive() || bucket.equals(LiveRole.APPLICATION) && hasStaticKeys) {
        putStaticKeys(keys, bucket, role.credentials());
      }
    }
    if (isLive()) {
      keys.put(Keys.GENERATION, Long.toString(set.generation()));
      keys.putAll(schemes.ours());
    }
    return keys;
  }

  /** Puts the three static keys, which hops-util set too. */
  static void putStaticKeys(Map<String, String> keys, String bucket, Credentials credentials) {
    keys.put(Keys.forBucket(bucket, Keys.ACCESS_KEY), credentials.getAccessKeyId());
    keys.put(Keys.forBucket(bucket, Keys.SECRET_KEY), credentials.getSecretAccessKey());
    keys.put(Keys.forBucket(bucket, Keys.SESSION_TOKEN), credentials.getSessionToken());
  }
}
