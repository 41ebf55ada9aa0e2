import io.hops.util.aws.CredentialsProviderV2
import java.net.URI
import java.util.Collections
import software.amazon.awssdk.regions.Region
import software.amazon.awssdk.services.s3.S3Client
import software.amazon.awssdk.services.s3.model.HeadObjectRequest

/** A client of the user's own, of the AWS SDK that comes with Hadoop 3.4 and later. */
object Sdk {
  /** Asks for the size of an object of bucket `resource`, as often as it is called. */
  def sizer(endpoint: String): () => Long = {
    val s3 = S3Client.builder().credentialsProvider(CredentialsProviderV2.create()).forcePathStyle(true)
      .endpointOverride(URI.create(endpoint)).region(Region.US_EAST_1).build()
    () => s3.headObject(HeadObjectRequest.builder().bucket("resource").key("test.csv").build()).contentLength
  }

  /** Returns the access key id of the role that a bucket is read with, as Iceberg asks for it. */
  def keyOf(bucket: String): String = {
    require(CredentialsProviderV2.create(Collections.emptyMap[String, String]).resolveCredentials().accessKeyId ==
      CredentialsProviderV2.create().resolveCredentials().accessKeyId)
    CredentialsProviderV2.create(Collections.singletonMap("bucket", bucket)).resolveCredentials().accessKeyId
  }
}
