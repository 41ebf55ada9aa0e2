package io.hops.util.aws;

import com.amazonaws.SdkClientException;
import com.amazonaws.auth.AWSCredentials;
import com.amazonaws.auth.AWSCredentialsProvider;
import com.amazonaws.auth.BasicSessionCredentials;
import io.hops.util.internal.CurrentCredentials;
import io.hops.util.internal.LiveRole;
import io.hops.util.s3a.BucketSource;
import java.net.URI;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;

/**
 * Gives the role in use to clients of the AWS SDK v1 in user code, on the driver and in tasks on executors. A client asks at
 * each request, so it outlives any credentials.
 */
public final class CredentialsProviderV1 implements AWSCredentialsProvider {
  private final Supplier<Object[]> source;

  /** Makes a provider with the role of the application. */
  public CredentialsProviderV1() {
    this(new CurrentCredentials(LiveRole.APPLICATION));
  }

  /**
   * Makes the provider of a bucket. S3A calls this when it opens one.
   *
   * @param uri the bucket's
   * @param configuration the configuration of the job
   */
  public CredentialsProviderV1(URI uri, Configuration configuration) {
    this(BucketSource.factory().apply(uri, configuration));
  }

  private CredentialsProviderV1(Supplier<Object[]> source) {
    this.source = source;
  }

  /**
   * Makes a provider with the role that a bucket is read with.
   *
   * @param bucket the bucket
   * @return the provider
   */
  public static CredentialsProviderV1 forBucket(String bucket) {
    return new CredentialsProviderV1(new CurrentCredentials(bucket));
  }

  /**
   * Returns the current credentials.
   *
   * @throws SdkClientException when there are none; it says why, and whether asking again may help
   */
  @Override
  public AWSCredentials getCredentials() {
    Object[] answer = source.get();
    if (answer.length == 3) {
      return new BasicSessionCredentials((String) answer[0], (String) answer[1], (String) answer[2]);
    }
    boolean canRetry = (Boolean) answer[0];
    throw new SdkClientException((String) answer[1]) {
      private static final long serialVersionUID = 1L;

      @Override
      public boolean isRetryable() {
        return canRetry;
      }
    };
  }

  /** Does nothing: each request asks again. */
  @Override
  public void refresh() {}

  /** Shows no credentials. */
  @Override
  public String toString() {
    return "CredentialsProviderV1";
  }
}
