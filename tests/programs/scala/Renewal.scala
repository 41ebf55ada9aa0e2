import io.hops.util.CredentialsProvider
import scala.collection.mutable
import scala.util.Try

/** Holds a role without Spark until it has been renewed twice, then is refused another one. Arguments: both roles. */
object Renewal {
  def main(arguments: Array[String]): Unit = {
    Report("roles", CredentialsProvider.getRoles.toSeq)
    val keys = mutable.LinkedHashSet(CredentialsProvider.assumeRole(arguments(0)).getAccessKeyId)
    while (keys.size < 3) {
      Thread.sleep(100)
      keys += CredentialsProvider.current().getAccessKeyId
    }
    Report("keys", keys.toSeq)
    Report("getenv", System.getenv("AWS_ACCESS_KEY_ID"))
    Report("java", System.getProperty("java.version"))
    Report("refused", Try(CredentialsProvider.assumeRole(arguments(1))).failed.map(Report.causes).get)
  }
}
