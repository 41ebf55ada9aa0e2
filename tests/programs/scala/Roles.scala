import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import java.io.File
import java.net.URI
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FSDataInputStream, FileSystem, Path}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import org.apache.spark.{SparkConf, SparkContext}
import scala.concurrent.ExecutionContext.Implicits.global
import scala.concurrent.duration.Duration
import scala.concurrent.{Await, Future}
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
      case "switch" => switch(arguments(1), arguments(2), arguments(3))
      case "opened" => opened(arguments(1))
      case "under way" => underWay(arguments(1), arguments(2))
      case "buckets" => buckets(arguments(1), arguments(2))
      case "release" => release(arguments(1))
      case "executors" => onExecutors(arguments(1))
      case "overrides" => overrides(arguments(1), arguments(2))
    }
    spark.stop()
  }

  /** One role, then another, then the first again. */
  private def switch(first: String, second: String, directory: String): Unit = {
    CredentialsProvider.assumeRole(first)
    val stream = openInTask(directory)
    Report("first", reads())
    Report("provider", spark.sparkContext.hadoopConfiguration.get("fs.s3a.aws.credentials.provider"))
    CredentialsProvider.assumeRole(second)
    Report("second", reads())
    new File(directory, "switched").createNewFile()
    Report("stream", Await.result(stream, Duration.Inf).head)
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
      while (!new File(go).exists) Thread.sleep(20)
      val path = new Path("s3a://other/test.csv")
      Iterator(path.getFileSystem(before.value).getFileStatus(path).getLen)
    }.collectAsync()
    while (spark.sparkContext.statusTracker.getActiveJobIds().isEmpty) Thread.sleep(20)
    CredentialsProvider.assumeRole(role)
    new File(go).createNewFile()
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
    val stream = fileSystem.open(held)
    Report("begun", stream.read())
    Report("assumed", reads())
    CredentialsProvider.release()
    CredentialsProvider.release()
    Report("restored", values == before)
    Report("getenv", Option(System.getenv("AWS_ACCESS_KEY_ID")))
    Report("current", Option(CredentialsProvider.current()))
    Report("held", Try(fileSystem.getFileStatus(held)).fold(thrown => Report.causes(thrown).last, _.toString))
    Report("stream", rest(stream))
    Report("released", reads())
  }

  /** Opens a file in a task, and reads on when the file `switched` is there. */
  private def openInTask(directory: String): Future[Seq[Seq[String]]] = {
    val conf = new SerializableConfiguration(spark.sparkContext.hadoopConfiguration)
    val opened = new File(directory, "opened")
    val job = spark.sparkContext.parallelize(1 to 1, 1).mapPartitions { _ =>
      val path = new Path("s3a://resource/test.csv")
      val stream = path.getFileSystem(conf.value).open(path)
      stream.read()
      opened.createNewFile()
      while (!new File(directory, "switched").exists) Thread.sleep(20)
      Iterator(rest(stream))
    }.collectAsync()
    while (!opened.exists && !job.isCompleted) Thread.sleep(20)
    job
  }

  /** Reads what follows in an open file, and then its first byte again, for which S3A asks anew. */
  private def rest(stream: FSDataInputStream): Seq[String] = Seq(
    Try(scala.io.Source.fromInputStream(stream).mkString.length),
    Try { stream.seek(0); stream.read() }).map(_.fold(Report.causes(_).mkString(" < "), _.toString))

  /**
   * The user's own word beside a role. Each key of a bucket is read once, so that the recorder tells who read it: `other` has a provider of
   * its own, `resource` only keys, and `third` and `fourth` are opened first by a session with a provider of its own.
   */
  private def overrides(role: String, other: String): Unit = {
    def read(session: SparkSession, path: String): Unit =
      Report(path, Try(session.read.text(s"s3a://$path").count()).fold(Report.causes(_).mkString(" < "), _ => "read"))
    CredentialsProvider.assumeRole(role)
    read(spark, "resource/keys")
    read(spark, "other/provider")
    val own = spark.newSession()
    val strangers = Map("fs.s3a.aws.credentials.provider" -> "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
      "fs.s3a.access.key" -> sys.env("STRANGER"), "fs.s3a.secret.key" -> sys.env("STRANGERS_SECRET"))
    strangers.foreach { case (key, value) => own.conf.set(key, value) }
    read(own, "resource/session")
    read(own, "third/session")
    Report("third/option", Try(spark.read.options(strangers).text("s3a://third/option").count()).fold(Report.causes(_).mkString(" < "), _ => "read"))
    read(spark, "third/after-session")
    val conf = new Configuration(spark.sparkContext.hadoopConfiguration)
    strangers.foreach { case (key, value) => conf.set(key, value) }
    Seq[(String, (URI, Configuration) => FileSystem)]("get" -> FileSystem.get, "instance" -> FileSystem.newInstance).foreach { case (name, open) =>
      val path = new Path(s"s3a://resource/$name")
      Report(s"resource/$name", Try(open(path.toUri, conf).getFileStatus(path)).fold(_.toString, _ => "read"))
    }
    own.conf.set("fs.s3a.bucket.fourth.aws.credentials.provider", strangers("fs.s3a.aws.credentials.provider"))
    read(own, "fourth/session-for-bucket")
    Report("fourth/after-session", Try(FileSystem.get(new URI("s3a://fourth"), spark.sparkContext.hadoopConfiguration).getFileStatus(
      new Path("s3a://fourth/after-session"))).fold(_.toString, _ => "read"))
    AssumeRoleRequest.builder().setRoleArn(other).forBucket("other").send()
    read(spark, "other/role-of-bucket")
    Report("keys", Seq("resource", "other").map(CredentialsProvider.current(_).getAccessKeyId))
    CredentialsProvider.release()
    read(spark, "other/released")
  }

  /** Reports what works in a task, and what does not. */
  private def onExecutors(role: String): Unit = {
    val credentials = CredentialsProvider.assumeRole(role)
    Report("reads", reads())
    Report("current", executors(_ => Option(CredentialsProvider.current()).map(_.getAccessKeyId)) == Seq(Some(credentials.getAccessKeyId)))
    Report("explained", executors(_ => CredentialsProvider.explain("s3a://resource/test.csv").split("\n").toSeq).flatten)
    Report("calls", executors(_ => Seq(Try(CredentialsProvider.assumeRole()), Try(CredentialsProvider.release()), Try(CredentialsProvider.getRoles))
      .map(_.fold(_.getMessage, _ => "did it"))).flatten.distinct)
    io.hops.util.internal.Refresh.deliver("ASIAREFRESHED")
    Report("static keys", Seq("access.key", "secret.key", "session.token").flatMap(key =>
      Option(spark.sparkContext.hadoopConfiguration.get(s"fs.s3a.$key"))).size)
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
