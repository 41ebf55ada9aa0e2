import io.hops.util.CredentialsProvider
import io.hops.util.internal.Refresh
import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream}
import java.util.concurrent.atomic.{AtomicBoolean, AtomicInteger}
import org.apache.hadoop.conf.Configuration
import org.apache.spark.sql.SparkSession
import scala.collection.JavaConverters._

/** Serialises the live Hadoop configuration, as every job does, while credentials are refreshed far more often than in production. */
object Writes {
  def main(arguments: Array[String]): Unit = {
    val conf = SparkSession.builder.getOrCreate().sparkContext.hadoopConfiguration
    CredentialsProvider.assumeRole()
    val all = keys(conf)
    val done = new AtomicBoolean
    val refreshes = new AtomicInteger
    val refresher = new Thread(() => while (!done.get) {
      Refresh.deliver(s"ASIA${refreshes.get}")
      refreshes.incrementAndGet()
    })
    refresher.setDaemon(true)
    refresher.start()
    var missing = Set.empty[String]
    var written = 0
    while (written < 500 || (refreshes.get < 100 && refresher.isAlive)) {
      val bytes = new ByteArrayOutputStream
      conf.write(new DataOutputStream(bytes))
      val copy = new Configuration(false)
      copy.readFields(new DataInputStream(new ByteArrayInputStream(bytes.toByteArray)))
      missing ++= all -- keys(copy)
      written += 1
    }
    done.set(true)
    refresher.join()
    Report("missing", missing)
    Report("overwritten", conf.get("fs.s3a.access.key") == s"ASIA${refreshes.get - 1}")
  }

  private def keys(conf: Configuration): Set[String] = conf.asScala.map(_.getKey).toSet
}
