package io.hops.util.s3a;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.CurrentCredentials;
import io.hops.util.internal.LiveRoles;
import java.net.URI;
import java.util.function.BiFunction;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;

/**
 * Gives one file system of S3A its credentials, at each request. Belongs to one bucket and to the generation of the
 * configuration that it was opened with.
 */
public final class BucketSource implements Supplier<Object[]> {
  private final CurrentCredentials credentials;

  private BucketSource(URI uri, Configuration configuration) {
    String bucket = uri.getHost();
    long generation = configuration.getLong(Keys.GENERATION, 0);
    this.credentials = new CurrentCredentials(bucket, new PushedCredentials(bucket, generation));
  }

  /**
   * Returns the function that a provider calls when S3A opens a file system.
   *
   * @return takes the URI and the Hadoop configuration of the file system
   */
  public static BiFunction<URI, Object, Supplier<Object[]>> factory() {
    return (uri, configuration) -> new BucketSource(uri, (Configuration) configuration);
  }

  @Override
  public Object[] get() {
    // A file system that an earlier SparkContext opened can serve a later one, whose executors have nothing yet.
    try {
      LiveRoles.applyToNewContext();
    } catch (CloudCredentialException e) {
      return new Object[] {true, e.getMessage()};
    }
    return credentials.get();
  }
}
