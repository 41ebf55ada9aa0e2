import io.hops.util.CredentialsProvider
import io.hops.util.internal.Refresh
import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream}
import java.util.concurrent.atomic.AtomicBoolean
import org.apache.hadoop.conf.Configuration
import org.apache.spark.sql.SparkSession
import scala.collection.JavaConverters._

/** Writes the live Hadoop configuration, as every job does, while credentials are refreshed far more often than ever in earnest. */
object Writes {
  def main(arguments: Array[String]): Unit = {
    val conf = SparkSession.builder.getOrCreate().sparkContext.hadoopConfiguration
    CredentialsProvider.assumeRole()
    val all = keys(conf)
    val done = new AtomicBoolean
    var refreshes = 0
    val refresher = new Thread(() => while (!done.get) {
      Refresh.deliver(s"ASIA$refreshes")
      refreshes += 1
      Thread.sleep(5)
    })
    refresher.start()
    var missing = Set.empty[String]
    for (_ <- 1 to 500) {
      val bytes = new ByteArrayOutputStream
      conf.write(new DataOutputStream(bytes))
      val copy = new Configuration(false)
      copy.readFields(new DataInputStream(new ByteArrayInputStream(bytes.toByteArray)))
      missing ++= all -- keys(copy)
    }
    done.set(true)
    refresher.join()
    Report("missing", missing)
    Report("often", refreshes >= 100)
    Report("overwritten", conf.get("fs.s3a.access.key") == s"ASIA${refreshes - 1}")
  }

  private def keys(conf: Configuration): Set[String] = conf.asScala.map(_.getKey).toSet
}
