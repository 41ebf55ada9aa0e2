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
      case "starting" => starting(arguments(1))
      case "busy" => busy(arguments(1), arguments(2))
      case "renewal" => renewal(arguments(1), arguments(2))
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

  /** A role while no executor has room for a task, after each has opened the buckets as somebody else. */
  private def busy(role: String, end: String): Unit = {
    Report("before", reads())
    val before = new SerializableConfiguration(new Configuration(conf))
    val work = context.parallelize(1 to 2, 2).foreachAsync(_ => while (!new File(end).exists) Thread.sleep(20))
    await(context.statusTracker.getExecutorInfos.map(_.numRunningTasks).sum == 2)
    Report("assumed", Try(CredentialsProvider.assumeRole(role)).fold(_.toString, _ => "assumed"))
    val meanwhile = new SerializableConfiguration(new Configuration(conf))
    Report("meanwhile", conf.get("fs.s3a.impl.disable.cache"))
    new File(end).createNewFile()
    Await.ready(work, Duration.Inf)
    Report("first", reads())
    await(conf.get("fs.s3a.impl.disable.cache") == null)
    // What an executor does that is given a task of an earlier job, and then one that was planned in that time.
    Report("polluted", executors { _ =>
      val path = new Path("s3a://other/test.csv")
      Seq(before, meanwhile).map(conf => Try(path.getFileSystem(conf.value).getFileStatus(path)).fold(_.getClass.getSimpleName, _ => "file"))
    }.flatten)
  }

  /** A renewal by Spark replaces what executors get that start later; then one dies and another one comes. */
  private def renewal(role: String, lake: String): Unit = {
    await(executorIds().size == 2)
    CredentialsProvider.assumeRole(role)
    Report("application", context.applicationId)
    Report("clear", Seq("127.0.0.1", "192.0.2.1", "ssl.rpc.enabled", "network.crypto.enabled").map(clear))
    Report("shown", Clear.isShown(new SparkConf(false).set("spark.yarn.appMasterEnv.API_KEY", "key")) ++
      Clear.isShown(new SparkConf(false).set("spark.redaction.regex", "(?i)secret|access")) ++ Clear.isShown(new SparkConf(false)))
    Report("jobs", call(call(context, "dagScheduler"), "numTotalJobs"))
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
      CredentialsProvider.current()
      Report(s"context $number", Seq(mode(), Option(each.hadoopConfiguration.get("fs.s3a.hops.role"))))
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

  private def executors[T: scala.reflect.ClassTag](task: Int => T): Seq[T] =
    context.parallelize(1 to 8, 8).map(task).distinct().collect().toSeq
}

/** An executor that is not ready until there is the file `spark.test.go`. */
class SlowToStart extends SparkPlugin {
  override def driverPlugin(): DriverPlugin = null
  override def executorPlugin(): ExecutorPlugin = new ExecutorPlugin {
    override def init(context: PluginContext, extra: JavaMap[String, String]): Unit =
      while (!new File(context.conf.get("spark.test.go")).exists) Thread.sleep(20)
  }
}
