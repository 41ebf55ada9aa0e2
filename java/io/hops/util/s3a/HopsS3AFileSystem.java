package io.hops.util.s3a;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveRoles;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.OwnKeys;
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
    String damage = findDamage(uri, configuration);
    if (damage != null) {
      throw new IOException(
          "the Hadoop configuration was damaged in transit: " + damage + "; run the job again");
    }
    try {
      LiveRoles.applyToNewContext();
      OwnKeys.tell(uri.getHost());
    } catch (CloudCredentialException e) {
      throw new IOException(e.getMessage(), e);
    }
    LiveSet roles = RoleKeys.findRoles();
    if (roles != null && !roles.buckets().isEmpty()) {
      // An executor that started after the role hears of it from the first who opens a bucket here.
      OpenFileSystems.match();
      refuse(uri.getHost(), configuration, roles);
      open(uri, configuration, roles);
    } else {
      if (isNamed(uri, configuration)) {
        Bridge.ensure();
      }
      super.initialize(uri, configuration);
    }
  }

  /**
   * Refuses what {@link RoleKeys#findRefusal} names. Looks again for a second: a storage connector sets its keys for all buckets in the
   * SparkContext before those for its own.
   */
  private static void refuse(String bucket, Configuration configuration, LiveSet roles) throws IOException {
    String refusal = RoleKeys.findRefusal(configuration, bucket, roles);
    try {
      for (int look = 0; refusal != null && look < 20; look++) {
        Thread.sleep(50);
        refusal = RoleKeys.findRefusal(configuration, bucket, roles);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (refusal != null) {
      throw new IOException(refusal);
    }
  }

  /** Opens a bucket with its role, whatever the configuration knows of it. */
  void open(URI uri, Configuration configuration, LiveSet roles) throws IOException {
    Bridge.ensure();
    super.initialize(uri, RoleKeys.withRole(configuration, uri.getHost(), roles));
  }

  /**
   * Closes it when nobody can read from it any more: one that was opened past Hadoop's cache, that another one has replaced
   * there, or that FileContext holds ({@link HopsS3A}). Its streams hold it, so it is not one that somebody still reads from.
   *
   * <p>Source: https://issues.apache.org/jira/browse/HADOOP-18476, where Hadoop does so for its FileContext.
   */
  @Override
  protected void finalize() throws Throwable {
    try {
      close();
    } catch (IOException | RuntimeException e) {
      // Nobody is left who could act on it.
      return;
    } finally {
      super.finalize();
    }
  }

  /**
   * Finds what is missing in a configuration that names this class; null when nothing is. A torn configuration must be an error
   * and never mean a stock chain.
   */
  static String findDamage(URI uri, Configuration configuration) {
    String bucket = uri.getHost();
    if (!isNamed(uri, configuration)) {
      return null;
    }
    if (configuration.get(Keys.GENERATION) == null) {
      return Keys.GENERATION + " is missing";
    }
    String own = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    if (configuration.get(Keys.forBucket(bucket, Keys.ROLE)) != null && RoleKeys.isNoChoice(own)) {
      return Keys.forBucket(bucket, Keys.PROVIDER) + " is missing beside the bucket's role";
    }
    String effective = own == null ? configuration.get(Keys.PROVIDER) : own;
    if (configuration.get(Keys.ROLE) != null && RoleKeys.isNoChoice(effective)) {
      return Keys.PROVIDER + " is missing beside the application's role";
    }
    return null;
  }

  /** Returns true if a configuration names this class. Otherwise it names Hadoop's, and came here by the {@link Entrance}. */
  private static boolean isNamed(URI uri, Configuration configuration) {
    return HopsS3AFileSystem.class.getName().equals(configuration.getTrimmed("fs." + uri.getScheme() + ".impl"));
  }
}
