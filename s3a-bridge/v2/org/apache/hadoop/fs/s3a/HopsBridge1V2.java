package org.apache.hadoop.fs.s3a;

import java.net.URI;
import java.util.function.BiFunction;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.core.exception.SdkClientException;

/**
 * Hands S3A the credentials of the role in use, at each request; for AWS SDK v2 (Hadoop 3.4 and later).
 *
 * <p>This class lives in S3A's class loader, which cannot see the rest of our jar; see {@code io.hops.util.s3a.Bridge}. Only
 * JDK types cross between the two, in a protocol that never changes: the 1 in the name is its number.
 */
public final class HopsBridge1V2 implements AwsCredentialsProvider {
  /**
   * Takes the URI and the configuration of a file system and returns the source of its credentials. The source gives access
   * key id, secret access key and session token; or else whether a later call may succeed, and the reason.
   */
  public static volatile BiFunction<URI, Object, Supplier<Object[]>> SOURCE;

  private final Supplier<Object[]> source;

  /** Called by S3A when it opens a file system. */
  public HopsBridge1V2(URI uri, Configuration configuration) {
    this.source = SOURCE.apply(uri, configuration);
  }

  /** Returns the current credentials. */
  @Override
  public AwsCredentials resolveCredentials() {
    Object[] answer = source.get();
    if (answer.length == 3) {
      return AwsSessionCredentials.create((String) answer[0], (String) answer[1], (String) answer[2]);
    }
    // S3A retries any exception of the SDK but this one.
    String reason = (String) answer[1];
    throw (Boolean) answer[0] ? SdkClientException.create(reason) : new CredentialInitializationException(reason);
  }

  /** Shows no credentials. */
  @Override
  public String toString() {
    return "HopsBridge1V2";
  }
}
