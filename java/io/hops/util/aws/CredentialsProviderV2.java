package io.hops.util.aws;

import io.hops.util.internal.CurrentCredentials;
import io.hops.util.internal.LiveRole;
import io.hops.util.s3a.BucketSource;
import java.net.URI;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.core.exception.SdkClientException;

/**
 * Gives the role in use to clients of the AWS SDK v2 in user code, on the driver and in tasks on executors. A client asks at
 * each request, so it outlives any credentials.
 */
public final class CredentialsProviderV2 implements AwsCredentialsProvider {
  private final Supplier<Object[]> source;

  /**
   * Makes the provider of a bucket. S3A calls this when it opens one.
   *
   * @param uri the bucket's
   * @param configuration the configuration of the job
   */
  public CredentialsProviderV2(URI uri, Configuration configuration) {
    this(BucketSource.factory().apply(uri, configuration));
  }

  private CredentialsProviderV2(Supplier<Object[]> source) {
    this.source = source;
  }

  /**
   * Makes a provider with the role of the application. Libraries that take the name of a provider class call this, Iceberg's
   * S3FileIO among them.
   *
   * @return the provider
   */
  public static CredentialsProviderV2 create() {
    return new CredentialsProviderV2(new CurrentCredentials(LiveRole.APPLICATION));
  }

  /**
   * Makes a provider from the properties of a library, which prefers this to {@link #create()}. Iceberg hands over what stands
   * behind {@code client.credentials-provider.} in the properties of a catalog.
   *
   * @param properties {@code bucket} names the bucket whose role counts; without it, the role of the application does
   * @return the provider
   */
  public static CredentialsProviderV2 create(Map<String, String> properties) {
    return forBucket(properties.getOrDefault("bucket", LiveRole.APPLICATION));
  }

  /**
   * Makes a provider with the role that a bucket is read with.
   *
   * @param bucket the bucket
   * @return the provider
   */
  public static CredentialsProviderV2 forBucket(String bucket) {
    return new CredentialsProviderV2(new CurrentCredentials(bucket));
  }

  /**
   * Returns the current credentials.
   *
   * @throws SdkClientException when there are none; it says why
   */
  @Override
  public AwsCredentials resolveCredentials() {
    Object[] answer = source.get();
    if (answer.length == 3) {
      return AwsSessionCredentials.create((String) answer[0], (String) answer[1], (String) answer[2]);
    }
    throw SdkClientException.create((String) answer[1]);
  }

  /** Shows no credentials. */
  @Override
  public String toString() {
    return "CredentialsProviderV2";
  }
}
