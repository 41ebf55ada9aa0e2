import io.hops.util.CredentialsProvider
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.{SerializableWritable, TaskContext}
import scala.collection.mutable
import scala.util.Try

/**
 * Reads without pause on the driver and in one long task per executor, with S3A and with a client of the user's own, through many
 * lifetimes; one executor dies half way.
 */
object Lifetimes {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    val context = spark.sparkContext
    CredentialsProvider.assumeRole(arguments(0))
    val until = System.currentTimeMillis + arguments(1).toLong * 1000
    val half = (System.currentTimeMillis + until) / 2
    val conf = context.broadcast(new SerializableWritable(new Configuration(context.hadoopConfiguration)))

    var onDriver = Reads(0, Nil, Nil)
    val driver = new Thread(() => onDriver = readUntil(until, until, new Configuration(context.hadoopConfiguration)))
    driver.start()
    val inTasks = context.parallelize(0 to 1, 2).map { partition =>
      val dies = partition == 1 && TaskContext.get.attemptNumber == 0
      readUntil(until, if (dies) half else until, conf.value.value)
    }.collect()
    driver.join()

    Report("driver", onDriver.failures)
    Report("tasks", inTasks.toSeq.flatMap(_.failures))
    Report("reads", (onDriver +: inTasks.toSeq).map(_.count))
    Report("keys", (onDriver +: inTasks.toSeq).map(_.keys.size))
    Report("static", context.hadoopConfiguration.get("fs.s3a.access.key") == CredentialsProvider.current().getAccessKeyId)
    Report("environment", System.getenv("AWS_ACCESS_KEY_ID") == CredentialsProvider.current().getAccessKeyId)
    spark.stop()
  }

  /** How many reads went well, why others did not, and with which access keys. */
  case class Reads(count: Int, failures: Seq[String], keys: Seq[String])

  private def readUntil(until: Long, death: Long, conf: Configuration): Reads = {
    val path = new Path("s3a://resource/test.csv")
    val fileSystem = path.getFileSystem(conf)
    val size = Sdk.sizer(conf.get("fs.s3a.endpoint"))
    val failures = mutable.Buffer.empty[String]
    val keys = mutable.LinkedHashSet.empty[String]
    var count = 0
    while (System.currentTimeMillis < until) {
      if (death < until && System.currentTimeMillis > death) Runtime.getRuntime.halt(1)
      val read = Try {
        val in = fileSystem.open(path)
        try in.readFully(0, new Array[Byte](5)) finally in.close()
        if (size() == 0) throw new IllegalStateException("the user's own client reads another object")
      }
      if (read.isSuccess) count += 1 else failures += Report.causes(read.failed.get).mkString(" < ")
      keys += CredentialsProvider.current().getAccessKeyId
    }
    Reads(count, failures.toSeq.distinct, keys.toSeq)
  }
}
