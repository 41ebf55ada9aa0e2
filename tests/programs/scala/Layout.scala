import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.hadoop.fs.s3a.S3AFileSystem
import org.apache.spark.SerializableWritable
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.streaming.Trigger
import scala.util.{Failure, Success, Try}

/** Does what users do, wherever the jars lie: read, be denied, stream with a checkpoint. Arguments: the roles for `resource` and `lake`. */
object Layout {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    spark.range(1).count()
    Report("doctor", CredentialsProvider.doctor().split("\n").filter(_.startsWith("PROBLEM")).toSeq)
    CredentialsProvider.assumeRole(arguments(0))
    AssumeRoleRequest.builder().setRoleArn(arguments(1)).forBucket("lake").send()
    Report("reads", Seq("resource", "other").map(bucket => Try(spark.read.csv(s"s3a://$bucket/test.csv").collect().length) match {
      case Success(rows) => s"$rows rows"
      case Failure(thrown) => Report.causes(thrown).head
    }))

    val run = s"s3a://lake/${spark.sparkContext.applicationId}"
    spark.readStream.schema("number int, name string").csv("s3a://lake/in").writeStream.format("csv")
      .option("checkpointLocation", s"$run/checkpoint").option("path", s"$run/out").trigger(Trigger.Once()).start().awaitTermination()
    Report("streamed", spark.read.csv(s"$run/out").count())

    Report("mode", CredentialsProvider.explain("s3a://resource/test.csv").split("\n").find(_.startsWith("mode=")))
    val provider = spark.sparkContext.hadoopConfiguration.get("fs.s3a.aws.credentials.provider")
    Report("provider", provider)
    Report("driver", Loaders.withProvider(provider))
    val conf = spark.sparkContext.broadcast(new SerializableWritable(new Configuration(spark.sparkContext.hadoopConfiguration)))
    Report("executors", spark.sparkContext.parallelize(1 to 8, 8).map { _ =>
      // A new executor has not opened the bucket yet.
      val path = new Path("s3a://resource/test.csv")
      path.getFileSystem(conf.value.value).getFileStatus(path)
      Loaders.withProvider(provider)
    }.distinct().collect().toSeq.flatten)
    spark.stop()
  }
}

/** A file-system class that the user chose. */
class OwnFileSystem extends S3AFileSystem
