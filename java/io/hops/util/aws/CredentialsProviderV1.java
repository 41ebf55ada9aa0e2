package io.hops.util.aws;

import com.amazonaws.SdkClientException;
import com.amazonaws.auth.AWSCredentials;
import com.amazonaws.auth.AWSCredentialsProvider;
import com.amazonaws.auth.BasicSessionCredentials;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.CurrentCredentials;
import io.hops.util.s3a.BucketSource;
import java.net.URI;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;

/**
 * The role in use, for clients of the AWS SDK v1 in user code, on the driver and in tasks on executors. Each request asks
 * for the credentials of its moment, so a client outlives them.
 */
public final class CredentialsProviderV1 implements AWSCredentialsProvider {
  private final Supplier<Object[]> source;

  /** The role of the application. */
  public CredentialsProviderV1() {
    this(new CurrentCredentials(LiveRole.APPLICATION));
  }

  /**
   * For S3A, which makes it for a bucket that it opens.
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
   * The role that a bucket is read with.
   *
   * @param bucket the bucket
   * @return its provider
   */
  public static CredentialsProviderV1 forBucket(String bucket) {
    return new CredentialsProviderV1(new CurrentCredentials(bucket));
  }

  /**
   * The credentials of this moment.
   *
   * @throws SdkClientException when there are none; it says why, and whether the SDK may ask again
   */
  @Override
  public AWSCredentials getCredentials() {
    Object[] answer = source.get();
    if (answer.length == 3) {
      return new BasicSessionCredentials((String) answer[0], (String) answer[1], (String) answer[2]);
    }
    boolean mayAskAgain = (Boolean) answer[0];
    throw new SdkClientException((String) answer[1]) {
      private static final long serialVersionUID = 1L;

      @Override
      public boolean isRetryable() {
        return mayAskAgain;
      }
    };
  }

  /** Does nothing: each request asks anew. */
  @Override
  public void refresh() {}

  /** Shows nothing of the credentials. */
  @Override
  public String toString() {
    return "CredentialsProviderV1";
  }
}
