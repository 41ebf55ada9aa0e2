import io.hops.util.CredentialsProvider
import java.net.{URI, URL, URLClassLoader}
import java.security.PrivilegedExceptionAction
import java.util.concurrent.{Callable, ForkJoinPool}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileContext, FileSystem, Path}
import org.apache.hadoop.security.UserGroupInformation
import org.apache.spark.{SparkEnv, SparkFiles}
import org.apache.spark.api.plugin.{DriverPlugin, ExecutorPlugin, SparkPlugin}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import scala.util.Try

/**
 * Reads with everything that knows a configuration from before the role: RDDs, DataFrames, catalogs with a copy, tasks that carry one, Spark
 * itself. Arguments: a role that may read `resource` and not `other`.
 */
object Earlier {
  private lazy val spark = SparkSession.builder.getOrCreate()
  private lazy val context = spark.sparkContext
  private val view = "viewfs://view/other/test.csv"

  def main(arguments: Array[String]): Unit = arguments match {
    case Array(role) => madeBefore(role)
    case Array(role, directory) => inTwoTasks(role, directory)
  }

  private def madeBefore(role: String): Unit = {
    val before = new Configuration(context.hadoopConfiguration)
    val sent = new SerializableConfiguration(before)
    val rdd = context.textFile("s3a://other/test.csv", 1)
    val frame = spark.read.csv("s3a://other/test.csv")
    Report("before", Seq(rdd.count(), frame.collect().length.toLong) ++ inTasks(sent, "s3://other/test.csv", "s3a://other/test.csv", view) :+
      looked(before, "s3://other/test.csv") :+ looked(before, view))

    CredentialsProvider.assumeRole(role)
    Report("unopened", inTasks(sent, "s3a://resource/test.csv") :+ looked(before, "s3a://resource/test.csv"))
    Report("earlier", Seq(attempt(rdd.count()), attempt(rdd.map(identity).collect()), attempt(frame.collect()), attempt(frame.count()),
      looked(before, "s3a://other/test.csv"), looked(before, "s3://other/test.csv")) ++
      inTasks(sent, "s3a://other/test.csv", "s3://other/test.csv", view) :+ looked(before, view) :+
      attempt(FileContext.getFileContext(new URI("s3a://other"), before).getFileStatus(new Path("s3a://other/test.csv"))))
    val now = new SerializableConfiguration(context.hadoopConfiguration)
    Report("now", Seq("s3a://resource/test.csv", "s3://resource/test.csv", "s3a://other/test.csv", "s3://other/test.csv")
      .flatMap(path => looked(now.value, path) +: inTasks(now, path)))
    val past = uncached(before)
    val pastSent = new SerializableConfiguration(past)
    Report("anybody", context.parallelize(Seq(sent, now), 2).flatMap(conf => anybody(conf.value)).collect().toSeq)
    Report("files", files() +: context.parallelize(1 to 2, 2).map(_ => files()).collect().toSeq)
    Report("loader", inLoader(past) +: context.parallelize(1 to 2, 2).map(_ => inLoader(pastSent.value)).collect().toSeq)
    val anonymous = new Configuration(before)
    anonymous.set("fs.s3a.aws.credentials.provider", "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider")
    val own = new SerializableConfiguration(anonymous)
    Report("own", kept(own.value, now.value))
    Report("own in tasks", executors(_ => kept(own.value, now.value)))
    context.addFile("s3a://resource/test.csv")
    Report("fetched", executors(_ => new java.io.File(SparkFiles.get("test.csv")).length > 0))
    Report("doctor", CredentialsProvider.doctor().split("\n").filter(_.startsWith("PROBLEM")).toSeq)
    Report("explained", CredentialsProvider.explain("s3://resource/test.csv").split("\n").take(2).toSeq)

    if (!context.isLocal) {
      replaceOne()
      Report("replaced", Seq(sent, now).flatMap(conf => inTasks(conf, "s3a://other/test.csv", "s3a://resource/test.csv")))
    }

    CredentialsProvider.release()
    val released = new SerializableConfiguration(context.hadoopConfiguration)
    Report("released", looked(released.value, "s3a://other/test.csv") +: inTasks(released, "s3a://other/test.csv", "s3://other/test.csv"))
    Report("class loaders", classLoaders(role))
    spark.stop()
  }

  /** Tells whether a configuration that does not know our jar finds our classes while there is a role, and has its own class loader afterwards. */
  private def classLoaders(role: String): Seq[Boolean] = {
    val own = ClassLoader.getSystemClassLoader
    val conf = context.hadoopConfiguration
    def finds = conf.getClassByNameOrNull("io.hops.util.s3a.HopsS3AFileSystem") != null
    conf.setClassLoader(own)
    val before = finds
    CredentialsProvider.assumeRole(role)
    val during = finds
    CredentialsProvider.release()
    Seq(before, during, conf.getClassLoader eq own)
  }

  /**
   * Runs two tasks at once on one executor of a context that is made after the role: one has a configuration from before the role, and opens
   * a bucket after the other has begun and before that reads from it.
   */
  private def inTwoTasks(role: String, directory: String): Unit = {
    val strangers = new Configuration
    sys.props.foreach { case (name, value) => if (name.startsWith("spark.hadoop.")) strangers.set(name.stripPrefix("spark.hadoop."), value) }
    val plugins = System.getProperty("spark.plugins")
    CredentialsProvider.assumeRole(role)
    Report("plugins", context.getConf.get("spark.plugins"))
    Report("mode", CredentialsProvider.explain("s3a://resource/test.csv").split("\n").find(_.startsWith("mode=")))
    val sent = new SerializableConfiguration(strangers)
    val now = new SerializableConfiguration(context.hadoopConfiguration)
    Report("tasks", context.parallelize(Seq("now", "earlier"), 2).map { name =>
      val begun = new java.io.File(directory, "begun")
      val opened = new java.io.File(directory, "opened")
      if (name == "now") begun.createNewFile() else await(begun)
      if (name == "now") await(opened)
      val found = looked((if (name == "now") now else sent).value, "s3a://other/test.csv")
      opened.createNewFile()
      found
    }.collect().toSeq)
    Report("fetched", executors(_ => SparkFiles.get("test.csv")).map(path => new java.io.File(path).length > 0))
    CredentialsProvider.release()
    Report("restored", System.getProperty("spark.plugins") == plugins)
    spark.stop()
  }

  private def await(file: java.io.File): Unit = while (!file.exists) Thread.sleep(20)

  /** Kills an executor, and returns when another one has taken its place and matches the role. */
  private def replaceOne(): Unit = {
    val two = executors(_ => SparkEnv.get.executorId)
    val victim = two.max
    Try(context.parallelize(1 to 8, 8).foreach(_ => if (SparkEnv.get.executorId == victim) Runtime.getRuntime.halt(1)))
    while (executors { _ => Thread.sleep(50); SparkEnv.get.executorId }.forall(two.contains)) Thread.sleep(100)
    // Until it has had room for a task of the product, buckets are opened past Hadoop's cache.
    while (context.hadoopConfiguration.getBoolean("fs.s3a.impl.disable.cache", false)) Thread.sleep(50)
  }

  /** Looks at each path in tasks on every executor, and returns what they found, each once. */
  private def inTasks(conf: SerializableConfiguration, paths: String*): Seq[String] =
    paths.flatMap(path => executors { _ => Thread.sleep(20); looked(conf.value, path) })

  private def executors[T: scala.reflect.ClassTag](task: Int => T): Seq[T] =
    context.parallelize(1 to 8, 8).map(task).distinct().collect().toSeq

  /** Reads a bucket with a configuration of the program's own, and tells who reads it then, there and with that of the application. */
  private def kept(own: Configuration, now: Configuration): String =
    Seq(own, now).map(FileSystem.get(new URI("s3a://lake"), _).getConf.get("fs.s3a.aws.credentials.provider")).map(name =>
      if (name.contains("hops") || name.contains("Hops")) "role" else "own").mkString(", then ")

  /** Looks where the user is not Spark's: in a thread of a pool, as somebody else, and as somebody who has a copy of its secrets. */
  private def anybody(conf: Configuration): Seq[String] = {
    val path = "s3a://other/test.csv"
    val pool = new ForkJoinPool(1)
    val copy = UserGroupInformation.createRemoteUser("copy")
    copy.addCredentials(UserGroupInformation.getCurrentUser.getCredentials)
    val users = Seq(UserGroupInformation.createRemoteUser("other"),
      UserGroupInformation.createProxyUser("proxy", UserGroupInformation.getCurrentUser), copy)
    try pool.submit(new Callable[String] { override def call(): String = looked(conf, path) }).get() +:
      users.map(_.doAs(new PrivilegedExceptionAction[String] { override def run(): String = looked(conf, path) }))
    finally pool.shutdown()
  }

  /** Looks with a configuration that is made afresh. */
  private def files(): String = looked(uncached(new Configuration), "s3a://other/test.csv")

  /** Looks with a class loader that nobody has seen. */
  private def inLoader(conf: Configuration): String = {
    val copy = new Configuration(conf)
    copy.setClassLoader(new URLClassLoader(Array[URL](), conf.getClassLoader))
    looked(copy, "s3a://other/test.csv")
  }

  private def uncached(conf: Configuration): Configuration = {
    val copy = new Configuration(conf)
    copy.setBoolean("fs.s3a.impl.disable.cache", true)
    copy
  }

  private def looked(conf: Configuration, path: String): String = attempt(FileSystem.get(new URI(path), conf).getFileStatus(new Path(path)))

  private def attempt(read: => Any): String = Try(read).fold(
    thrown => if (Report.causes(thrown).exists(_.contains("AccessDenied"))) "denied" else Report.causes(thrown).mkString(" < "),
    _ => "read")
}

/** A plugin of somebody else. */
class OtherPlugin extends SparkPlugin {
  override def driverPlugin(): DriverPlugin = null
  override def executorPlugin(): ExecutorPlugin = null
}
