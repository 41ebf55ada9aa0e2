import io.hops.util.CredentialsProvider
import java.net.URI
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.hadoop.security.UserGroupInformation
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import org.apache.spark.{SparkEnv, TaskContext}
import scala.collection.JavaConverters._
import scala.collection.mutable
import scala.util.Try

/**
 * Reads HDFS with a delegation token and a bucket with a role, on the driver and in one long task per executor, while Spark renews the
 * tokens and we renew the role. After half of the time one executor dies. Arguments: the role, a folder on HDFS, and for how many seconds.
 */
object Renewals {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    val context = spark.sparkContext
    val executors = new org.apache.spark.Executors(context)
    while (executors.ids().size < 2) Thread.sleep(20)
    val file = new Path(arguments(1), context.applicationId)
    val made = file.getFileSystem(context.hadoopConfiguration).create(file)
    made.write("1,one\n".getBytes)
    made.close()
    CredentialsProvider.assumeRole(arguments(0))
    val until = System.currentTimeMillis + arguments(2).toLong * 1000
    val half = (System.currentTimeMillis + until) / 2
    val conf = context.broadcast(new SerializableConfiguration(context.hadoopConfiguration))
    val name = file.toString

    var onDriver = Reads("", 0, Nil, Nil, Nil)
    val driver = new Thread(() => onDriver = readUntil(until, until, name, new Configuration(context.hadoopConfiguration)))
    driver.start()
    val inTasks = context.parallelize(0 to 1, 2).map { partition =>
      val dies = partition == 1 && TaskContext.get.attemptNumber == 0
      readUntil(until, if (dies) half else until, name, conf.value.value)
    }.collect().toSeq
    driver.join()

    Report("secure", UserGroupInformation.isSecurityEnabled)
    Report("failures", (onDriver +: inTasks).flatMap(_.failures))
    Report("executors", (onDriver +: inTasks).map(_.executor))
    Report("reads", (onDriver +: inTasks).map(_.count))
    Report("keys", (onDriver +: inTasks).map(_.keys.size))
    Report("tokens", (onDriver +: inTasks).map(_.tokens.size))
    spark.stop()
  }

  /** How often both could be read, the causes where not, and the access keys and delegation tokens in use meanwhile. */
  case class Reads(executor: String, count: Int, failures: Seq[String], keys: Seq[String], tokens: Seq[String])

  private def readUntil(until: Long, death: Long, file: String, conf: Configuration): Reads = {
    val path = new Path("s3a://resource/test.csv")
    val bucket = path.getFileSystem(conf)
    val failures = mutable.LinkedHashSet.empty[String]
    val (keys, tokens) = (mutable.LinkedHashSet.empty[String], mutable.LinkedHashSet.empty[String])
    var count = 0
    // One that has come late lives through a renewal of both.
    def isLate = TaskContext.get != null && TaskContext.get.attemptNumber > 0 && (keys.size < 3 || tokens.size < 2)
    while (System.currentTimeMillis < until || isLate && System.currentTimeMillis < until + 120000) {
      if (death < until && System.currentTimeMillis > death) Runtime.getRuntime.halt(1)
      val read = Try {
        readFirst(bucket, path)
        // A connection of its own, which HDFS accepts by the token of now.
        val hdfs = FileSystem.newInstance(new URI(file), conf)
        try readFirst(hdfs, new Path(file)) finally hdfs.close()
      }
      if (read.isSuccess) count += 1 else failures += Report.causes(read.failed.get).mkString(" < ")
      keys += CredentialsProvider.current().getAccessKeyId
      tokens ++= UserGroupInformation.getCurrentUser.getCredentials.getAllTokens.asScala
        .filter(_.getKind.toString == "HDFS_DELEGATION_TOKEN").map(token => java.util.Base64.getEncoder.encodeToString(token.getIdentifier))
    }
    Reads(SparkEnv.get.executorId, count, failures.toSeq, keys.toSeq, tokens.toSeq)
  }

  private def readFirst(fileSystem: FileSystem, path: Path): Unit = {
    val in = fileSystem.open(path)
    try in.readFully(0, new Array[Byte](5)) finally in.close()
  }
}
