package io.hops.util.s3a;

import io.hops.util.internal.LiveSet;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/**
 * Keys that stand in a configuration beside a role, as a storage connector of the Hopsworks client leaves them: for its bucket, for
 * all buckets, or for both with the same values.
 *
 * <p>Source: {@code hsfs/engine/spark.py} of hopsworks 4.0 to 5.2 and hsfs 2.5 to 3.7, {@code SparkEngine} of the JVM client. With a
 * session token it names S3A's own provider too, without one it names none. It never takes anything back.
 */
final class StaticKeys {
  static final String BUCKETS = "fs.s3a.bucket.";

  /** Reads two keys and no session token. */
  private static final String SIMPLE_PROVIDER = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider";

  private static final List<String> PROVIDERS = Arrays.asList(Keys.TEMPORARY_PROVIDER, SIMPLE_PROVIDER);

  private StaticKeys() {}

  /** Returns true if a configuration has keys for one bucket, whose provider is absent or reads them. */
  static boolean areOf(Configuration configuration, String bucket) {
    String provider = configuration.getTrimmed(Keys.forBucket(bucket, Keys.PROVIDER), "");
    return has(configuration, bucket, Keys.ACCESS_KEY)
        && has(configuration, bucket, Keys.SECRET_KEY)
        && (provider.isEmpty() || PROVIDERS.contains(provider) || Bridge.isOurs(provider));
  }

  /** Returns true if the provider for all buckets is the one that a storage connector names with temporary credentials. */
  static boolean areRead(Configuration configuration) {
    return Keys.TEMPORARY_PROVIDER.equals(configuration.getTrimmed(Keys.PROVIDER));
  }

  private static boolean has(Configuration configuration, String bucket, String key) {
    return !configuration.get(Keys.forBucket(bucket, key), "").isEmpty();
  }

  /** Returns the provider that reads the keys of a bucket. */
  static String provider(Configuration configuration, String bucket) {
    return has(configuration, bucket, Keys.SESSION_TOKEN) ? Keys.TEMPORARY_PROVIDER : SIMPLE_PROVIDER;
  }

  /**
   * Tells the keys of a bucket from later ones, also while somebody is writing them one by one.
   *
   * @return their access key id, a space, and a part of a digest of all, from which nobody can tell the secret ones
   */
  static String mark(Configuration configuration, String bucket) {
    String accessKey = configuration.getTrimmed(Keys.forBucket(bucket, Keys.ACCESS_KEY));
    String secretKey = configuration.getTrimmed(Keys.forBucket(bucket, Keys.SECRET_KEY));
    String token = configuration.getTrimmed(Keys.forBucket(bucket, Keys.SESSION_TOKEN), "");
    String all = String.join("\n", bucket, accessKey, secretKey, token);
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(all.getBytes(StandardCharsets.UTF_8));
      return accessKey + LiveSet.BEHIND_KEY + Integer.toHexString(ByteBuffer.wrap(digest).getInt());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JVM has SHA-256", e);
    }
  }

  /** Returns true if a file system with this configuration, as S3A completed it, reads static keys. */
  static boolean areReadBy(Configuration opened) {
    return PROVIDERS.contains(opened.getTrimmed(Keys.PROVIDER));
  }

  /** Returns true if the keys for all buckets are those of one bucket, whose connector has set them for all as well. */
  static boolean areOfOneBucket(Configuration configuration) {
    String accessKey = configuration.getTrimmed(Keys.ACCESS_KEY, "");
    // A configuration that was copied while a connector wrote has them for all and not yet for its bucket.
    return areOfOneBucket(configuration, accessKey) || RoleKeys.areOfOneBucket(accessKey);
  }

  /** Returns true if a configuration has keys with this access key id for one bucket. */
  static boolean areOfOneBucket(Configuration configuration, String accessKey) {
    for (Map.Entry<String, String> key : configuration.getPropsWithPrefix(BUCKETS).entrySet()) {
      if (Keys.findBucket(BUCKETS + key.getKey(), Keys.ACCESS_KEY) != null && key.getValue().trim().equals(accessKey)) {
        return true;
      }
    }
    return false;
  }

  /** Returns true if the provider that a connector names for all buckets came with the keys of one bucket. */
  static boolean areEcho(Configuration configuration) {
    return areRead(configuration) && areOfOneBucket(configuration);
  }

  /**
   * Returns true if somebody has set keys for all buckets since the application has its role, and they belong to no bucket.
   *
   * <p>Problem: an executor has nothing to compare with but the configuration of its job. Solution: whoever applies the role lists the
   * access key ids that do not count as such, before it writes them.
   */
  static boolean areOfNobody(Configuration configuration) {
    String known = configuration.get(Keys.KNOWN_ACCESS_KEYS);
    String accessKey = configuration.getTrimmed(Keys.ACCESS_KEY, "");
    boolean isOurs = Bridge.isOurs(configuration.getTrimmed(Keys.PROVIDER, ""));
    if (known == null || accessKey.isEmpty() || !isOurs && !areRead(configuration)) {
      return false;
    }
    List<String> all = Arrays.asList(known.split(" "));
    boolean isKnown = all.contains(accessKey) || isOurs && all.contains(Keys.NOT_OURS + accessKey);
    return !isKnown && !areOfOneBucket(configuration);
  }
}
