package io.hops.util.s3a;

/**
 * Every Hadoop configuration key that we read or write.
 *
 * <p>Our keys begin with {@code fs.}, since Delta and others pass on only such keys
 * (https://github.com/unitycatalog/unitycatalog/issues/1112). Hadoop's own names are repeated here because our class loader may
 * not see its class of constants.
 */
public final class Keys {
  /** The access key id, as hops-util set it. Readers that do not know us use the three static keys. */
  public static final String ACCESS_KEY = "fs.s3a.access.key";

  /** The secret access key. */
  public static final String SECRET_KEY = "fs.s3a.secret.key";

  /** The session token. */
  public static final String SESSION_TOKEN = "fs.s3a.session.token";

  /** The class, or list of classes, that gives S3A its credentials. */
  public static final String PROVIDER = "fs.s3a.aws.credentials.provider";

  /** S3A's own provider, which reads the three static keys once for each file system. */
  public static final String TEMPORARY_PROVIDER = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider";

  /** The file-system class behind {@code s3a://}. */
  public static final String FILE_SYSTEM = "fs.s3a.impl";

  /** The file-system class for FileContext, which streaming checkpoints use. */
  public static final String ABSTRACT_FILE_SYSTEM = "fs.AbstractFileSystem.s3a.impl";

  /** A class above the providers: with it S3A signs with delegation tokens, and never asks {@link #PROVIDER}. */
  public static final String DELEGATION_TOKEN_BINDING = "fs.s3a.delegation.token.binding";

  /** The class by which DataFusion Comet, which reads S3 itself, gets credentials. */
  public static final String COMET_ADAPTER = "fs.s3a.comet.credential.provider.class";

  /** Comet's own class that asks the providers of S3A; it is there since Comet 1.2. */
  public static final String COMET_S3A_ADAPTER = "org.apache.comet.cloud.s3.HadoopS3ACredentialProviderAdapter";

  /** The generation of the roles under which a job was planned. */
  public static final String GENERATION = "fs.s3a.hops.generation";

  /** The ARN of the application's role. */
  public static final String ROLE = "fs.s3a.hops.role";

  /**
   * The access key ids, with spaces between, that the three static keys may hold while the application has its role. Before one that
   * stood there and is not ours comes {@link #NOT_OURS}: it may, as long as the provider is ours.
   */
  public static final String KNOWN_ACCESS_KEYS = "fs.s3a.hops.access.keys";

  /** See {@link #KNOWN_ACCESS_KEYS}. */
  public static final String NOT_OURS = "-";

  private Keys() {}

  /**
   * Finds the bucket in the form of a key that holds for one bucket.
   *
   * @param written a key as it stands in a configuration
   * @param key the key that holds for all buckets
   * @return the bucket; null when this is not such a form of the key
   */
  public static String findBucket(String written, String key) {
    String begin = "fs.s3a.bucket.";
    String end = key.substring("fs.s3a".length());
    boolean isForm = written.startsWith(begin) && written.endsWith(end) && written.length() > begin.length() + end.length();
    return isForm ? written.substring(begin.length(), written.length() - end.length()) : null;
  }

  /**
   * Names the form of a key that holds for one bucket.
   *
   * @param bucket the bucket; empty for all
   * @param key the key that holds for all buckets
   * @return the form that S3A prefers for this bucket
   */
  public static String forBucket(String bucket, String key) {
    return bucket.isEmpty() ? key : "fs.s3a.bucket." + bucket + key.substring("fs.s3a".length());
  }
}
