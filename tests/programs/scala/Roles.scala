import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import org.apache.hadoop.fs.Path
import org.apache.spark.sql.SparkSession
import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.util.SerializableConfiguration
import scala.concurrent.ExecutionContext.Implicits.global
import scala.concurrent.{Await, Future}
import scala.concurrent.duration.Duration
import scala.util.{Failure, Success, Try}

/** Changes roles while an application runs, and reports who reads what, on the driver and on executors, with buckets kept open. */
object Roles {
  private lazy val spark = SparkSession.builder.getOrCreate()

  def main(arguments: Array[String]): Unit = {
    if (arguments.head == "not reached") {
      val withoutRole = new SparkConf().set("spark.hadoop.fs.s3a.impl", "OwnFileSystem")
      CredentialsProvider.assumeRole(arguments(1))
      new SparkContext(withoutRole)
    }
    spark.range(1).count()
    arguments.head match {
      case "not reached" => notReached(arguments(2))
      case "switch" => switch(arguments(1), arguments(2))
      case "opened" => opened(arguments(1))
      case "under way" => underWay(arguments(1), arguments(2))
      case "buckets" => buckets(arguments(1), arguments(2))
      case "release" => release(arguments(1))
      case "executors" => onExecutors(arguments(1))
    }
    spark.stop()
  }

  /** One role, then another, then the first again. */
  private def switch(first: String, second: String): Unit = {
    CredentialsProvider.assumeRole(first)
    Report("first", reads())
    Report("provider", spark.sparkContext.hadoopConfiguration.get("fs.s3a.aws.credentials.provider"))
    CredentialsProvider.assumeRole(second)
    Report("second", reads())
    CredentialsProvider.assumeRole(first)
    Report("again", reads())
    Report("loaders", executors(_ => Loaders.names()).flatten)
  }

  /** Reads under the identity of the configuration, then as a role. */
  private def opened(role: String): Unit = {
    Report("before", reads())
    CredentialsProvider.assumeRole(role)
    Report("first", reads())
  }

  /** A role from before a context. Neither it nor another one reaches the context while a file system of the user's is in the way. */
  private def notReached(other: String): Unit = {
    Report("before", reads())
    Report("refused", Try(CredentialsProvider.current()).fold(_.getMessage, _ => "reached"))
    Report("mode refused", mode())
    Report("refused another", Try(CredentialsProvider.assumeRole(other)).fold(_.getMessage, _ => "assumed"))
    Report("mode refused again", mode())
    spark.sparkContext.hadoopConfiguration.unset("fs.s3a.impl")
    CredentialsProvider.current()
    Report("mode", mode())
    Report("reached", reads())
  }

  private def mode(): Option[String] = CredentialsProvider.explain("s3a://resource/test.csv").split("\n").find(_.startsWith("mode="))

  /** A job that is in flight when a role is assumed and opens a bucket only then, and what is read after its end. */
  private def underWay(role: String, go: String): Unit = {
    val before = new SerializableConfiguration(spark.sparkContext.hadoopConfiguration)
    val job = spark.sparkContext.parallelize(1 to 1, 1).mapPartitions { _ =>
      while (!new java.io.File(go).exists) Thread.sleep(20)
      val path = new Path("s3a://other/test.csv")
      Iterator(path.getFileSystem(before.value).getFileStatus(path).getLen)
    }.collectAsync()
    while (spark.sparkContext.statusTracker.getActiveJobIds().isEmpty) Thread.sleep(20)
    CredentialsProvider.assumeRole(role)
    new java.io.File(go).createNewFile()
    Report("under way", Try(Await.result(job, Duration.Inf).head > 0).getOrElse(false))
    // The listeners learn of the end of the job some time later.
    val until = System.nanoTime + 20L * 1000 * 1000 * 1000
    while ((reads() ++ inTasks()).count(_.endsWith(" rows")) > 2 && System.nanoTime < until) Thread.sleep(100)
    Report("first", reads() ++ inTasks())
  }

  /** Two roles at once, one for each bucket, and nothing of them elsewhere. */
  private def buckets(resource: String, other: String): Unit = {
    AssumeRoleRequest.builder().setRoleArn(resource).forBucket("resource").send()
    Report("one", reads())
    AssumeRoleRequest.builder().setRoleArn(other).forBucket("other").send()
    Report("two", reads())
    Report("getenv", Option(System.getenv("AWS_ACCESS_KEY_ID")))
    Report("application", Option(CredentialsProvider.current()))
    Report("provider", spark.sparkContext.hadoopConfiguration.get("fs.s3a.aws.credentials.provider").contains("HopsBridge"))
    Report("signers", Seq("resource", "other").map(CredentialsProvider.current(_).getAccessKeyId))
  }

  /** A role, and its release. */
  private def release(role: String): Unit = {
    val conf = spark.sparkContext.hadoopConfiguration
    val names = Seq("fs.s3a.impl", "fs.AbstractFileSystem.s3a.impl", "fs.s3a.aws.credentials.provider", "fs.s3a.hops.generation",
      "fs.s3a.hops.role", "fs.s3a.access.key", "fs.s3a.secret.key", "fs.s3a.session.token")
    def values: Seq[Option[String]] = names.map(name => Option(conf.get(name)))
    val before = values
    CredentialsProvider.release()
    CredentialsProvider.assumeRole(role)
    val held = new Path("s3a://resource/test.csv")
    val fileSystem = held.getFileSystem(conf)
    Report("assumed", reads())
    CredentialsProvider.release()
    CredentialsProvider.release()
    Report("restored", values == before)
    Report("getenv", Option(System.getenv("AWS_ACCESS_KEY_ID")))
    Report("current", Option(CredentialsProvider.current()))
    Report("held", Try(fileSystem.getFileStatus(held)).fold(thrown => Report.causes(thrown).last, _.toString))
    Report("released", reads())
  }

  /** Reports what works in a task, and what does not. */
  private def onExecutors(role: String): Unit = {
    val credentials = CredentialsProvider.assumeRole(role)
    Report("current", executors(_ => Option(CredentialsProvider.current()).map(_.getAccessKeyId)) == Seq(Some(credentials.getAccessKeyId)))
    Report("explained", executors(_ => CredentialsProvider.explain("s3a://resource/test.csv").split("\n").toSeq).flatten)
    Report("calls", executors(_ => Seq(Try(CredentialsProvider.assumeRole()), Try(CredentialsProvider.release()), Try(CredentialsProvider.getRoles))
      .map(_.fold(_.getMessage, _ => "did it"))).flatten.distinct)
  }

  /** Reads each bucket in a job on the executors, and returns the number of rows, or why there are none. */
  private def reads(): Seq[String] = Seq("resource", "other").map { bucket =>
    Try(spark.read.csv(s"s3a://$bucket/test.csv").collect().length) match {
      case Success(rows) => s"$rows rows"
      case Failure(thrown) => Report.causes(thrown).mkString(" < ")
    }
  }

  /** Looks at each bucket in a task, and returns `file rows`, or why it could not. */
  private def inTasks(): Seq[String] = {
    val conf = new SerializableConfiguration(spark.sparkContext.hadoopConfiguration)
    executors(_ => Seq("resource", "other").map { bucket =>
      val path = new Path(s"s3a://$bucket/test.csv")
      Try(path.getFileSystem(conf.value).getFileStatus(path)).fold(_.toString.split(": ").take(2).mkString(": "), _ => "file rows")
    }).flatten
  }

  private def executors[T: scala.reflect.ClassTag](task: Int => T): Seq[T] =
    spark.sparkContext.parallelize(1 to 8, 8).map(task).distinct().collect().toSeq
}
