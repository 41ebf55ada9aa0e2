import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration
import com.amazonaws.services.s3.AmazonS3ClientBuilder
import io.hops.util.aws.CredentialsProviderV1

/** A client of the user's own, of the AWS SDK that comes with Hadoop 3.3. */
object Sdk {
  /** Asks for the size of an object of bucket `resource`, as often as it is called. */
  def sizer(endpoint: String): () => Long = {
    val s3 = AmazonS3ClientBuilder.standard().withCredentials(new CredentialsProviderV1()).withPathStyleAccessEnabled(true)
      .withEndpointConfiguration(new EndpointConfiguration(endpoint, "us-east-1")).build()
    () => s3.getObjectMetadata("resource", "test.csv").getContentLength
  }

  /** Returns the access key id of the role that a bucket is read with. */
  def keyOf(bucket: String): String = CredentialsProviderV1.forBucket(bucket).getCredentials.getAWSAccessKeyId
}
