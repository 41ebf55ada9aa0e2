package io.hops.util.aws;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.CurrentCredentials;
import io.hops.util.s3a.BucketSource;
import java.net.URI;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.core.exception.SdkClientException;

/**
 * The role in use, for clients of the AWS SDK v2 in user code, on the driver and in tasks on executors. Each request asks
 * for the credentials of its moment, so a client outlives them.
 */
public final class CredentialsProviderV2 implements AwsCredentialsProvider {
  private final Supplier<Object[]> source;

  /**
   * For S3A, which makes it for a bucket that it opens.
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
   * The role of the application. Libraries that take the name of a provider class, Iceberg's S3FileIO among them, call it.
   *
   * @return its provider
   */
  public static CredentialsProviderV2 create() {
    return new CredentialsProviderV2(new CurrentCredentials(LiveRole.APPLICATION));
  }

  /**
   * The role that a bucket is read with.
   *
   * @param bucket the bucket
   * @return its provider
   */
  public static CredentialsProviderV2 forBucket(String bucket) {
    return new CredentialsProviderV2(new CurrentCredentials(bucket));
  }

  /**
   * The credentials of this moment.
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

  /** Shows nothing of the credentials. */
  @Override
  public String toString() {
    return "CredentialsProviderV2";
  }
}
