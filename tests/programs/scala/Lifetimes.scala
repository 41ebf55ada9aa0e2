import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import java.net.URLClassLoader
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.streaming.Trigger
import org.apache.spark.{SerializableWritable, TaskContext}
import scala.collection.mutable
import scala.util.Try

/**
 * Reads without pause on the driver and in one long task per executor, with S3A and with a client of the user's own, beside a streaming
 * query that keeps its checkpoint on S3A, through many lifetimes. Half way one executor dies, and a second copy of the product takes over.
 * Arguments: the roles for `resource` and `lake`, and for how many seconds.
 */
object Lifetimes {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    val context = spark.sparkContext
    // The driver and two executors. With one, both tasks would be there and die with it.
    while (context.statusTracker.getExecutorInfos.length < 3) Thread.sleep(20)
    CredentialsProvider.assumeRole(arguments(0))
    AssumeRoleRequest.builder().setRoleArn(arguments(1)).forBucket("lake").send()
    val conf = context.broadcast(new SerializableWritable(new Configuration(context.hadoopConfiguration)))
    val run = s"s3a://lake/${context.applicationId}"
    new Path(run).getFileSystem(context.hadoopConfiguration).mkdirs(new Path(s"$run/in"))
    // The time begins when executors have opened the bucket, which takes long on a busy machine.
    val first = context.parallelize(0 to 1, 2).map(_ => readUntil(System.currentTimeMillis + 1000, Long.MaxValue, conf.value.value)).collect()
    val until = System.currentTimeMillis + arguments(2).toLong * 1000
    val half = (System.currentTimeMillis + until) / 2

    var requireDriver = Reads(0, Nil, Nil)
    var written = 0
    val threads = Seq(
      new Thread(() => requireDriver = readUntil(until, until, new Configuration(context.hadoopConfiguration))),
      new Thread(() => written = feedUntil(until, s"$run/in", context.hadoopConfiguration)),
      new Thread(() => {
        Thread.sleep(math.max(0, half - System.currentTimeMillis))
        Copy.assume(arguments(0))
      }))
    threads.foreach(_.start())
    val query = spark.readStream.schema("number int").csv(s"$run/in").writeStream.format("csv")
      .option("checkpointLocation", s"$run/checkpoint").option("path", s"$run/out").trigger(Trigger.ProcessingTime("1 second")).start()
    val inTasks = context.parallelize(0 to 1, 2).map { partition =>
      val dies = partition == 1 && TaskContext.get.attemptNumber == 0
      readUntil(until, if (dies) half else until, conf.value.value)
    }.collect()
    threads.foreach(_.join())
    val batches = Try { query.processAllAvailable(); query.lastProgress.batchId }
    query.stop()

    Report("driver", requireDriver.failures)
    Report("tasks", (first.toSeq ++ inTasks).flatMap(_.failures))
    Report("reads", (requireDriver +: inTasks.toSeq).map(_.count))
    Report("keys", (requireDriver +: inTasks.toSeq).map(_.keys.size))
    Report("written", written)
    Report("streamed", Try(spark.read.csv(s"$run/out").count()).fold(thrown => Report.causes(thrown).mkString(" < "), identity))
    Report("batches", batches.fold(thrown => Report.causes(thrown).mkString(" < "), identity))
    Report("static", context.hadoopConfiguration.get("fs.s3a.access.key") == CredentialsProvider.current().getAccessKeyId)
    Report("environment", System.getenv("AWS_ACCESS_KEY_ID") == CredentialsProvider.current().getAccessKeyId)
    spark.stop()
  }

  /** The number of reads that succeeded, the causes of those that did not, and the access keys in use meanwhile. */
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

  /** Another copy of the product in its own class loader, as a notebook's second `--jars` makes one. */
  private object Copy {
    def assume(role: String): Unit = {
      val jar = Array(classOf[CredentialsProvider].getProtectionDomain.getCodeSource.getLocation)
      val copy = new URLClassLoader(jar, ClassLoader.getSystemClassLoader).loadClass(classOf[CredentialsProvider].getName)
      require(copy != classOf[CredentialsProvider])
      copy.getMethod("assumeRole", classOf[String]).invoke(null, role)
    }
  }

  /** Feeds the stream, and returns the number of rows. */
  private def feedUntil(until: Long, directory: String, conf: Configuration): Int = {
    val fileSystem = new Path(directory).getFileSystem(conf)
    var count = 0
    while (System.currentTimeMillis < until) {
      val out = fileSystem.create(new Path(directory, s"$count.csv"))
      try out.write(s"$count\n".getBytes) finally out.close()
      count += 1
      Thread.sleep(1000)
    }
    count
  }
}
