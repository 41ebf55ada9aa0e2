import io.hops.util.CredentialsProvider
import java.nio.file.{Files, Paths}
import org.apache.spark.sql.SparkSession
import scala.util.{Failure, Success, Try}

/** Runs the program of README as a job, and reports what its JVMs hold afterwards. */
object Resource {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    val application = spark.sparkContext.applicationId

    val creds = CredentialsProvider.assumeRole(CredentialsProvider.getRole(1))
    spark.read.csv("s3a://resource/test.csv").show()

    Report("credentials", creds)
    Report("access key id", creds.getAccessKeyId)
    Report("role", creds.getRoleArn)
    Report("same context", SparkSession.builder.getOrCreate().sparkContext.applicationId == application)
    Report("rows", spark.read.csv("s3a://resource/test.csv").collect().map(_.mkString(",")).toSeq)
    Try(spark.read.csv("s3a://other/test.csv").count()) match {
      case Success(count) => Report("other", Seq(s"read $count"))
      case Failure(thrown) => Report("other", Report.causes(thrown))
    }

    val conf = spark.sparkContext.hadoopConfiguration
    Report("explained", CredentialsProvider.explain("s3a://resource/test.csv").split("\n").toSeq)
    Report("static keys", Seq(
      conf.get("fs.s3a.access.key") == creds.getAccessKeyId,
      conf.get("fs.s3a.secret.key") == creds.getSecretAccessKey,
      conf.get("fs.s3a.session.token") == creds.getSessionToken))
    Report.environment(creds)

    Report("driver loaders", Loaders.names())
    Report("executor loaders", spark.sparkContext.parallelize(1 to 8, 8).map(_ => Loaders.names()).distinct().collect().toSeq.flatten)
    Report("command lines", commandLines())
    spark.stop()
  }

  /** Lists the command lines of all processes of Spark on this machine. */
  private def commandLines(): Seq[String] =
    Paths.get("/proc").toFile.list().toSeq.filter(_.forall(_.isDigit))
      .flatMap(pid => Try(new String(Files.readAllBytes(Paths.get("/proc", pid, "cmdline")))).toOption)
      .filter(_.contains("org.apache.spark")).map(_.replace('\u0000', ' '))
}

/** Names the class loaders that hold our facade and S3A. */
object Loaders {
  /** Lists those of a provider as S3A finds it, of S3A, and of our facade. */
  def withProvider(provider: String): Seq[String] = {
    val s3a = Class.forName("org.apache.hadoop.fs.s3a.S3AFileSystem", false, Thread.currentThread.getContextClassLoader).getClassLoader
    Class.forName(provider, false, s3a).getClassLoader.getClass.getSimpleName +: names().reverse
  }

  def names(): Seq[String] = Seq("io.hops.util.CredentialsProvider", "org.apache.hadoop.fs.s3a.S3AFileSystem").map { name =>
    Class.forName(name, false, Thread.currentThread.getContextClassLoader).getClassLoader.getClass.getSimpleName
  }
}
