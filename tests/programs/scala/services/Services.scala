import io.hops.util.aws.CredentialsProviderV2
import java.net.URI
import java.util.{Arrays, List => JavaList, Map => JavaMap}
import org.apache.spark.SparkContext
import scala.util.{Failure, Success, Try}
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder
import software.amazon.awssdk.regions.Region
import software.amazon.awssdk.services.dynamodb.DynamoDbClient
import software.amazon.awssdk.services.dynamodb.model.AttributeValue
import software.amazon.awssdk.services.glue.GlueClient
import software.amazon.awssdk.services.sqs.SqsClient

/** Clients of other services of AWS, each made once in a task and used there for a while. */
object Services {
  private val words = JavaMap.of("word", AttributeValue.fromS("one"))

  /** Returns what came of it in each of two tasks: "used", or what went wrong. */
  def use(context: SparkContext, service: String, endpoint: String, seconds: Double): JavaList[String] =
    Arrays.asList(context.parallelize(1 to 2, 2).map(_ => useFor(service, endpoint, seconds)).collect(): _*)

  private def useFor(service: String, endpoint: String, seconds: Double): String = {
    val end = System.nanoTime + (seconds * 1e9).toLong
    val caller = Try(made(service, endpoint))
    var outcome = caller.map(call => call())
    while (outcome.isSuccess && System.nanoTime < end) {
      Thread.sleep(200)
      outcome = caller.map(call => call())
    }
    outcome match {
      case Success(true) => "used"
      case Success(false) => "read something else"
      case Failure(problem) => problem.toString
    }
  }

  private def made(service: String, endpoint: String): () => Boolean = service match {
    case "dynamodb" =>
      val client = led(DynamoDbClient.builder(), endpoint).build()
      () => {
        client.putItem(put => put.tableName("words").item(words))
        client.getItem(get => get.tableName("words").key(words)).item == words
      }
    case "sqs" =>
      val client = led(SqsClient.builder(), endpoint).build()
      val queue = client.getQueueUrl(get => get.queueName("words")).queueUrl
      () => {
        client.sendMessage(send => send.queueUrl(queue).messageBody("one"))
        client.receiveMessage(receive => receive.queueUrl(queue)).messages.get(0).body == "one"
      }
    case "glue" =>
      val client = led(GlueClient.builder(), endpoint).build()
      () => client.getDatabase(get => get.name("words")).database.name == "words"
  }

  private def led[B <: AwsClientBuilder[B, _]](builder: B, endpoint: String): B =
    builder.credentialsProvider(CredentialsProviderV2.create()).endpointOverride(URI.create(endpoint)).region(Region.US_EAST_1)
}
