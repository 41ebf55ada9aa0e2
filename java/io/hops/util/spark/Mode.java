package io.hops.util.spark;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Binding;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import java.io.IOException;
import java.util.Map;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;

/**
 * How S3A gets its credentials in one SparkContext.
 *
 * <p>Live: from our provider, at each request. Static: from the three keys, once per file system, as the original did it;
 * only where the way to the live mode is barred.
 */
final class Mode {
  static final String LIVE = "live";
  static final String STATIC = "static";

  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final String STOCK_FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3AFileSystem";
  private static final String HOPS_FILE_SYSTEM = "io.hops.util.s3a.HopsS3AFileSystem";
  private static final String HOPS_ABSTRACT_FILE_SYSTEM = "io.hops.util.s3a.HopsS3A";

  private final String provider;
  private final boolean hasStaticKeys;

  private Mode(String provider, boolean hasStaticKeys) {
    this.provider = provider;
    this.hasStaticKeys = hasStaticKeys;
  }

  /** The mode that this context allows. */
  static Mode of(SparkContext context, Configuration configuration)
      throws CloudCredentialException {
    String fileSystem = configuration.get(Keys.FILE_SYSTEM, STOCK_FILE_SYSTEM);
    if (!context.isLocal()
        && !fileSystem.equals(STOCK_FILE_SYSTEM)
        && !fileSystem.equals(HOPS_FILE_SYSTEM)) {
      throw new CloudCredentialException(
          Keys.FILE_SYSTEM
              + " is "
              + fileSystem
              + ", through which our credentials do not reach the executors; remove that setting, or open other"
              + " paths than s3a:// with that class");
    }
    String bar;
    try {
      if (!context.isLocal() && !Delivery.hasChannel(context)) {
        bar = "master " + context.master() + " has no channel for secrets to its executors";
      } else {
        return new Mode(Bridge.ensure(), isOn(context, "hops.credentials.static-keys", true));
      }
    } catch (IOException | LinkageError e) {
      bar = e.getMessage();
    }
    if (isOn(context, "hops.credentials.require-live", false)) {
      throw new CloudCredentialException(
          "hops.credentials.require-live is set, and credentials cannot be refreshed in S3A: " + bar);
    }
    LOG.warning(
        "credentials are not refreshed in S3A (mode=static), they end when the session ends: " + bar);
    return new Mode(null, true);
  }

  boolean isLive() {
    return provider != null;
  }

  String name() {
    return isLive() ? LIVE : STATIC;
  }

  /** Whether S3A reads this bucket through our provider as the configuration stands. */
  boolean isOurs(Configuration configuration, String bucket) {
    String own = bucket.isEmpty() ? null : configuration.get(Keys.of(bucket, Keys.PROVIDER));
    return isLive() && provider.equals(own == null ? configuration.get(Keys.PROVIDER) : own);
  }

  /** The keys that do not depend on the bucket. They change nothing for buckets without a role. */
  void common(Map<String, String> keys, Configuration configuration, long generation) {
    if (isLive()) {
      // A class of the user's own stays; in local mode the provider is there all the same.
      if (configuration.get(Keys.FILE_SYSTEM, STOCK_FILE_SYSTEM).equals(STOCK_FILE_SYSTEM)) {
        keys.put(Keys.FILE_SYSTEM, HOPS_FILE_SYSTEM);
      }
      keys.put(Keys.ABSTRACT_FILE_SYSTEM, HOPS_ABSTRACT_FILE_SYSTEM);
      keys.put(Keys.GENERATION, Long.toString(generation));
    }
  }

  /** The keys of one bucket, or of the application. */
  void bind(Map<String, String> keys, String bucket, Binding binding) {
    keys.put(Keys.of(bucket, Keys.PROVIDER), isLive() ? provider : Keys.TEMPORARY_PROVIDER);
    keys.put(Keys.of(bucket, Keys.ROLE), binding.role());
    boolean isApplication = bucket.equals(Binding.APPLICATION);
    if (!isLive() || isApplication && hasStaticKeys) {
      secrets(keys, bucket, binding.credentials());
    }
  }

  /** The three keys of the original. */
  static void secrets(Map<String, String> keys, String bucket, Credentials credentials) {
    keys.put(Keys.of(bucket, Keys.ACCESS_KEY), credentials.getAccessKeyId());
    keys.put(Keys.of(bucket, Keys.SECRET_KEY), credentials.getSecretAccessKey());
    keys.put(Keys.of(bucket, Keys.SESSION_TOKEN), credentials.getSessionToken());
  }

  /** A switch, by the order of settings: active SparkConf, system property, environment. */
  private static boolean isOn(SparkContext context, String name, boolean otherwise) {
    String value = context.getConf().get("spark." + name, System.getProperty(name, ""));
    if (value.isEmpty()) {
      value = System.getenv(name.toUpperCase().replace('.', '_').replace('-', '_'));
    }
    return value == null || value.isEmpty() ? otherwise : Boolean.parseBoolean(value);
  }
}
