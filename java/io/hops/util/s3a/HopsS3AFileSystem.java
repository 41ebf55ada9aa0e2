package io.hops.util.s3a;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveRoles;
import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.s3a.S3AFileSystem;

/**
 * S3A itself, entered through our jar.
 *
 * <p>Problem: every JVM needs the {@link Bridge} before S3A looks for its provider, also a JVM that starts later. Solution:
 * Hadoop finds this class through the loader of the configuration, which sees our jar, in each JVM that opens a bucket. On the
 * driver this class also applies the roles in use to a SparkContext that was made after them.
 */
public final class HopsS3AFileSystem extends S3AFileSystem {
  /**
   * Opens a bucket.
   *
   * @throws IOException also when the configuration has lost keys of ours on its way here; the next one may be whole
   */
  @Override
  public void initialize(URI uri, Configuration configuration) throws IOException {
    String damage = findDamage(uri.getHost(), configuration);
    if (damage != null) {
      throw new IOException(
          "the Hadoop configuration was damaged in transit: " + damage + "; run the job again");
    }
    Bridge.ensure();
    try {
      LiveRoles.applyToNewContext();
    } catch (CloudCredentialException e) {
      throw new IOException(e.getMessage(), e);
    }
    super.initialize(uri, configuration);
  }

  /**
   * Finds what is missing in a configuration that names this class; null when it is whole. A torn configuration must be an error
   * and never mean a stock chain.
   */
  static String findDamage(String bucket, Configuration configuration) {
    if (configuration.get(Keys.GENERATION) == null) {
      return Keys.GENERATION + " is missing";
    }
    String own = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    if (configuration.get(Keys.forBucket(bucket, Keys.ROLE)) != null && isNoChoice(own)) {
      return Keys.forBucket(bucket, Keys.PROVIDER) + " is missing beside the bucket's role";
    }
    String effective = own == null ? configuration.get(Keys.PROVIDER) : own;
    if (configuration.get(Keys.ROLE) != null && isNoChoice(effective)) {
      return Keys.PROVIDER + " is missing beside the application's role";
    }
    return null;
  }

  /** Returns true if nobody chose this provider: it is absent, or Hadoop's own default. */
  private static boolean isNoChoice(String provider) {
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
