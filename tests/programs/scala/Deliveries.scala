import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import io.hops.util.spark.Clear
import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream, File}
import java.lang.ref.WeakReference
import java.util.{Map => JavaMap}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.{Credentials, UserGroupInformation}
import org.apache.spark.api.plugin.{DriverPlugin, ExecutorPlugin, PluginContext, SparkPlugin}
import org.apache.spark.{SparkConf, SparkContext, SparkEnv}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import scala.concurrent.{Await, Future}
import scala.concurrent.duration.Duration
import scala.util.Try

/** Roles on the way to executors that start, are busy, die and are replaced, beside a renewal of Spark's own tokens. */
object Deliveries {
  private val Ours = new Text("io.hops.util.live.1")
  private val Theirs = new Text("of a renewal")
  private lazy val spark = SparkSession.builder.getOrCreate()
  private def context: SparkContext = spark.sparkContext
  private def conf: Configuration = context.hadoopConfiguration

  def main(arguments: Array[String]): Unit = {
    arguments.head match {
      case "without room" =>
        starting(arguments(1))
        CredentialsProvider.release()
        busy(arguments(1), arguments(2))
      case "renewal" => renewal(arguments(1), arguments(2), arguments(3))
      case "without S3A" => withoutS3A(arguments(1))
      case "contexts" => contexts(arguments(1))
    }
    SparkSession.getActiveSession.foreach(_.stop())
  }

  /** A role for executors that have registered and do not take a task yet. */
  private def starting(role: String): Unit = {
    await(executorIds().size == 2)
    Report("assumed", Try(CredentialsProvider.assumeRole(role)).fold(_.toString, _ => "assumed"))
    new File(context.getConf.get("spark.test.go")).createNewFile()
    Report("first", reads())
  }

  /**
   * A role while no executor has room for a task, after each has opened the buckets as somebody else: a call that is interrupted, a call
   * whose jobs somebody cancels, and its end.
   */
  private def busy(role: String, end: String): Unit = {
    Report("before", reads())
    val before = new SerializableConfiguration(new Configuration(conf))
    val work = context.parallelize(1 to 2, 2).foreachAsync(_ => while (!new File(end).exists) Thread.sleep(20))
    await(context.statusTracker.getExecutorInfos.map(_.numRunningTasks).sum == 2)
    def uncached: Seq[Option[String]] = Seq("s3a", "s3").map(scheme => Option(conf.get(s"fs.$scheme.impl.disable.cache")))
    var thrown = "assumed"
    val interrupted = new Thread(() => thrown = Try(CredentialsProvider.assumeRole(role)).fold(_.getMessage, _ => "assumed"))
    interrupted.start()
    await(uncached.head.isDefined || !interrupted.isAlive)
    interrupted.interrupt()
    interrupted.join()
    Report("interrupted", thrown)
    Report("undone", uncached.flatten ++ Option(conf.get("fs.s3a.hops.role")))
    Report("assumed busy", Try(CredentialsProvider.assumeRole(role)).fold(_.toString, _ => "assumed"))
    val meanwhile = new SerializableConfiguration(new Configuration(conf))
    Report("meanwhile", uncached)
    // Our job, which waits for room, is among them. The tasks of the other one go on.
    context.cancelAllJobs()
    await(work.isCompleted)
    new File(end).createNewFile()
    Report("first busy", reads())
    Report("ended", within(30)(uncached.flatten.isEmpty))
    // What an executor does that is given a task of an earlier job, and then one that was planned in that time.
    Report("polluted", executors { _ =>
      val path = new Path("s3a://other/test.csv")
      Seq(before, meanwhile).map(conf => Try(path.getFileSystem(conf.value).getFileStatus(path)).fold(_.getClass.getSimpleName, _ => "file"))
    }.flatten)
  }

  /** A renewal by Spark replaces what executors get that start later; then one dies and another one comes, while a third is busy. */
  private def renewal(role: String, lake: String, end: String): Unit = {
    await(executorIds().size == 2)
    val before = new SerializableConfiguration(new Configuration(conf))
    CredentialsProvider.assumeRole(role)
    Report("application", context.applicationId)
    Report("clear", Seq("127.0.0.1", "192.0.2.1", "ssl.rpc.enabled", "network.crypto.enabled").map(clear))
    Report("shown", Clear.isShown(new SparkConf(false).set("spark.yarn.appMasterEnv.API_KEY", "key")) ++
      Clear.isShown(new SparkConf(false).set("spark.redaction.regex", "(?i)secret|access")) ++ Clear.isShown(new SparkConf(false)))
    Report("jobs", call(call(context, "dagScheduler"), "numTotalJobs"))
    // The first job there is. Whoever asks executors because of it waits for this one too.
    val work = context.parallelize(1 to 1, 1).foreachAsync(_ => while (!new File(end).exists) Thread.sleep(20))
    Report("first", reads())
    val renewed = new Credentials
    renewed.addSecretKey(Theirs, "theirs".getBytes)
    val bytes = new ByteArrayOutputStream
    renewed.writeTokenStorageToStream(new DataOutputStream(bytes))
    call(backend, "updateDelegationTokens", bytes.toByteArray)
    Report("renewed", secrets())
    val ids = executorIds()
    Try(context.parallelize(1 to 1, 1).foreach(_ => Runtime.getRuntime.halt(1)))
    await(executorIds().size == 2 && executorIds() != ids)
    def byTheNewOne(): Seq[String] = executors { _ =>
      val path = new Path("s3a://other/test.csv")
      Try(path.getFileSystem(before.value).getFileStatus(path)).fold(_.getClass.getSimpleName, _ => "file")
    }
    Report("beside a busy one", within(30)(byTheNewOne() == Seq("AccessDeniedException")))
    Report("still busy", !work.isCompleted)
    new File(end).createNewFile()
    await(executors(_ => SparkEnv.get.executorId).toSet == executorIds())
    Report("replaced", executors(_ => Try(CredentialsProvider.current().getAccessKeyId).getOrElse("none")) == Seq(CredentialsProvider.current().getAccessKeyId))
    Report("afterwards", secrets())
    Report("user of the driver", Option(UserGroupInformation.getCurrentUser.getCredentials.getSecretKey(Ours)).isDefined)
    val own = AssumeRoleRequest.builder().setRoleArn(lake).forBucket("lake").send().getAccessKeyId
    Report("providers", executors(_ => Seq(Sdk.keyOf("lake"), Sdk.keyOf("resource"))).flatten ==
      Seq(own, CredentialsProvider.current().getAccessKeyId))
    CredentialsProvider.release()
    Report("released", executors(_ => Option(CredentialsProvider.current()).map(_.getAccessKeyId)))
  }

  /** Asks whether others can read what executors get: of a driver with this address, or with this switch on. */
  private def clear(value: String): Boolean = {
    val conf = new SparkConf(false).set("spark.driver.host", "192.0.2.1")
    Clear.travels(if (value.contains("enabled")) conf.set(s"spark.$value", "true") else conf.set("spark.driver.host", value))
  }

  /** Lists the secrets that an executor gets when it starts. */
  private def secrets(): Seq[String] = {
    val held = new Credentials
    held.readTokenStorageStream(new DataInputStream(new ByteArrayInputStream(
      call(backend, "currentDelegationTokens").asInstanceOf[Array[Byte]])))
    Seq(Ours, Theirs).filter(held.getSecretKey(_) != null).map(_.toString)
  }

  private def backend: AnyRef = call(context, "schedulerBackend")

  /** Calls what is private to Spark in Scala, and public in the class files. */
  private def call(on: AnyRef, name: String, arguments: AnyRef*): AnyRef =
    on.getClass.getMethods.find(_.getName == name).get.invoke(on, arguments: _*)

  /** A client of the user's own in tasks, where there is no S3A. */
  private def withoutS3A(role: String): Unit = {
    await(executorIds().size == 2)
    val first = CredentialsProvider.assumeRole(role)
    Report("tasks", executors(_ => Try(CredentialsProvider.current()).fold(Report.causes(_).mkString(" < "), now => if (now == null) "none" else now.getAccessKeyId)))
    Report("first", first.getAccessKeyId)
    io.hops.util.internal.Refresh.deliver("ASIAREFRESHED")
    Report("refreshed", executors(_ => Option(CredentialsProvider.current()).map(_.getAccessKeyId)))
    Report("mode", mode())
    Report("schemes", Seq("s3a", "s3").map(scheme => Try(CredentialsProvider.explain(s"$scheme://resource/test.csv")).isSuccess))
    Report("released", Try(CredentialsProvider.release()).fold(Report.causes(_).mkString(" < "), _ => "released"))
  }

  /** Contexts that nothing but their start tells apart, from a SparkConf from before the role; and what is left of them. */
  private def contexts(role: String): Unit = {
    val old = new SparkConf
    val id = classOf[SparkContext].getDeclaredField("_applicationId")
    id.setAccessible(true)
    CredentialsProvider.assumeRole(role)
    val stopped = (1 to 10).map { number =>
      val master = if (number % 5 == 0) "local-cluster[1,1,1024]" else "local[1]"
      val each = new SparkContext(old.clone.setMaster(master))
      // As on Kubernetes, where the submitter chooses it for all contexts of a driver.
      id.set(each, "one id for all")
      each.parallelize(1 to 1, 1).count()
      CredentialsProvider.current()
      Report(s"context $number", Seq(mode(), Option(each.hadoopConfiguration.get("fs.s3a.hops.role"))))
      each.parallelize(1 to 1, 1).count()
      org.apache.spark.Listeners.await(each)
      Report(s"answered $number", within(20)(each.hadoopConfiguration.get("fs.s3a.impl.disable.cache") == null))
      each.stop()
      new WeakReference(each)
    }
    val last = new SparkContext(old.clone.setMaster("local[1]"))
    CredentialsProvider.current()
    for (_ <- 1 to 50 if stopped.exists(_.get != null)) { System.gc(); Thread.sleep(20) }
    Report("left", stopped.count(_.get != null))
    last.stop()
  }

  private def mode(): String = CredentialsProvider.explain("s3a://resource/test.csv").split("\n").find(_.startsWith("mode=")).get

  private def reads(): Seq[String] = Seq("resource", "other").map { bucket =>
    Try(spark.read.csv(s"s3a://$bucket/test.csv").collect().length).fold(thrown => Report.causes(thrown).mkString(" < "), rows => s"$rows rows")
  }

  private def executorIds(): Set[String] = call(backend, "getExecutorIds").asInstanceOf[Iterable[String]].toSet

  private def await(holds: => Boolean): Unit = while (!holds) Thread.sleep(20)

  /** Waits for so many seconds at most. Returns true if it holds. */
  private def within(seconds: Long)(holds: => Boolean): Boolean = {
    val end = System.nanoTime + seconds * 1000000000L
    while (!holds && System.nanoTime < end) Thread.sleep(20)
    holds
  }

  private def executors[T: scala.reflect.ClassTag](task: Int => T): Seq[T] =
    context.parallelize(1 to 8, 8).map(task).distinct().collect().toSeq
}

package org.apache.spark {

  /** The listeners of a context. */
  object Listeners {
    /** Returns when they have handled every event so far. */
    def await(context: SparkContext): Unit = context.listenerBus.waitUntilEmpty()
  }
}

/** An executor that is not ready until there is the file `spark.test.go`. */
class SlowToStart extends SparkPlugin {
  override def driverPlugin(): DriverPlugin = null
  override def executorPlugin(): ExecutorPlugin = new ExecutorPlugin {
    override def init(context: PluginContext, extra: JavaMap[String, String]): Unit =
      while (!new File(context.conf.get("spark.test.go")).exists) Thread.sleep(20)
  }
}
