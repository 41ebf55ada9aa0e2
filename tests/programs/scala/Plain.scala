import io.hops.util.CredentialsProvider
import io.hops.util.exceptions.CloudCredentialException
import scala.util.Try

/** Uses the facade without a SparkContext, and reports roles, credentials and environment, or the whole message of what went wrong. */
object Plain {
  def main(arguments: Array[String]): Unit = {
    try {
      val creds = arguments match {
        case Array(role) => CredentialsProvider.assumeRole(role)
        case _ => CredentialsProvider.assumeRole(CredentialsProvider.getRole(1))
      }
      Report("roles", CredentialsProvider.getRoles.toSeq)
      Report("credentials", creds)
      Report("access key id", creds.getAccessKeyId)
      Report("role", creds.getRoleArn)
      Report.environment(creds)
      sys.props.get("child").foreach(command => Report("child", Report.output(new ProcessBuilder(command.split(" "): _*))))
    } catch {
      case refused: CloudCredentialException =>
        Report("code", refused.getCode)
        Report("refused", Report.causes(refused))
        Report("getenv by name", Option(System.getenv("AWS_ACCESS_KEY_ID")))
    }
    // SparkEnv tells whether a context runs here, when Spark is on the class path.
    Report("spark environment", Try(Class.forName("org.apache.spark.SparkEnv")).toOption.map(_.getMethod("get").invoke(null) != null))
  }
}
