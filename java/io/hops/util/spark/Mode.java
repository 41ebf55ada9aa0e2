package io.hops.util.spark;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.JvmSettings;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.Native;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import java.io.IOException;
import java.util.Map;
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
  static final String STOCK_FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3AFileSystem";

  private static final Logger LOG = Logger.getLogger("io.hops.util");
  static final String HOPS_FILE_SYSTEM = "io.hops.util.s3a.HopsS3AFileSystem";
  private static final String HOPS_ABSTRACT_FILE_SYSTEM = "io.hops.util.s3a.HopsS3A";

  private final String provider;
  private final boolean hasStaticKeys;
  private final String whyStatic;

  private Mode(String provider, boolean hasStaticKeys, String whyStatic) {
    this.provider = provider;
    this.hasStaticKeys = hasStaticKeys;
    this.whyStatic = whyStatic;
  }

  /** Chooses the mode that this context allows. */
  static Mode choose(SparkContext context, Configuration configuration)
      throws CloudCredentialException {
    JvmSettings settings = JvmSettings.read();
    // Comes first, so that a mistyped switch is refused even where it makes no difference.
    boolean hasStaticKeys = Native.loaded().hasStaticKeys(settings);
    boolean requiresLive = Native.loaded().requiresLive(settings);
    String whyStatic;
    try {
      if (!context.isLocal() && !Delivery.hasChannel(context)) {
        whyStatic = explainMissingChannel(context);
      } else {
        String provider = Bridge.ensure();
        String fileSystem = configuration.get(Keys.FILE_SYSTEM, STOCK_FILE_SYSTEM);
        if (!context.isLocal() && isCustom(fileSystem)) {
          // An executor does not define the bridge.
          if (!Bridge.isVisible()) {
            throw new CloudCredentialException(explainOutOfReach(fileSystem));
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
          "hops.credentials.require-live is set, and credentials cannot be refreshed in S3A: " + whyStatic);
    }
    return new Mode(null, true, whyStatic);
  }

  /** Makes the live mode with this provider and without static keys. */
  static Mode live(String provider) {
    return new Mode(provider, false, null);
  }

  /** Returns true if a file-system class is neither Hadoop's nor ours. */
  static boolean isCustom(String fileSystem) {
    return !fileSystem.equals(STOCK_FILE_SYSTEM) && !fileSystem.equals(HOPS_FILE_SYSTEM);
  }

  static String explainOutOfReach(String fileSystem) {
    return Keys.FILE_SYSTEM
        + " is "
        + fileSystem
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

  /** Puts the keys that do not depend on a bucket. They change nothing for buckets without a role. */
  void putCommonKeys(Map<String, String> keys, String fileSystem, long generation) {
    if (isLive()) {
      // A class that the user chose stays.
      if (!isCustom(fileSystem)) {
        keys.put(Keys.FILE_SYSTEM, HOPS_FILE_SYSTEM);
      }
      keys.put(Keys.ABSTRACT_FILE_SYSTEM, HOPS_ABSTRACT_FILE_SYSTEM);
      keys.put(Keys.GENERATION, Long.toString(generation));
    }
  }

  /** Puts the keys of one bucket, or of the application. */
  void putKeys(Map<String, String> keys, String bucket, LiveRole role) {
    keys.put(Keys.forBucket(bucket, Keys.PROVIDER), isLive() ? provider : Keys.TEMPORARY_PROVIDER);
    keys.put(Keys.forBucket(bucket, Keys.ROLE), role.roleArn());
    boolean isApplication = bucket.equals(LiveRole.APPLICATION);
    if (!isLive() || isApplication && hasStaticKeys) {
      putStaticKeys(keys, bucket, role.credentials());
    }
  }

  /** Puts the three static keys, which hops-util set too. */
  static void putStaticKeys(Map<String, String> keys, String bucket, Credentials credentials) {
    keys.put(Keys.forBucket(bucket, Keys.ACCESS_KEY), credentials.getAccessKeyId());
    keys.put(Keys.forBucket(bucket, Keys.SECRET_KEY), credentials.getSecretAccessKey());
    keys.put(Keys.forBucket(bucket, Keys.SESSION_TOKEN), credentials.getSessionToken());
  }
}
