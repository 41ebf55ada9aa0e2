import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import io.hops.util.spark.Clear
import java.io.{ByteArrayInputStream, ByteArrayOutputStream, DataInputStream, DataOutputStream, File}
import java.lang.management.ManagementFactory
import java.lang.ref.WeakReference
import java.util.concurrent.CountDownLatch
import java.util.logging.{Handler, Level, LogRecord, Logger}
import java.util.{Map => JavaMap}
import javax.management.ObjectName
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.hadoop.io.Text
import org.apache.hadoop.security.{Credentials, UserGroupInformation}
import org.apache.spark.api.plugin.{DriverPlugin, ExecutorPlugin, PluginContext, SparkPlugin}
import org.apache.spark.{CountingExecutors, SparkConf, SparkContext, SparkEnv}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import scala.concurrent.{Await, Future}
import scala.concurrent.duration.Duration
import scala.util.Try

/** Roles on the way to executors that start, are busy, die and are replaced, beside a renewal of Spark's own tokens. */
object Deliveries {
  private val Ours = new Text("io.hops.util.live.1")
  private val Theirs = new Text("of a renewal")
  private val warnings = new Warnings
  private lazy val spark = SparkSession.builder.getOrCreate()
  private def context: SparkContext = spark.sparkContext
  private def conf: Configuration = context.hadoopConfiguration

  def main(arguments: Array[String]): Unit = {
    arguments.head match {
      case "without room" =>
        starting(arguments(1))
        CredentialsProvider.release()
        busy(arguments(1), arguments(2))
        CredentialsProvider.release()
        broken(arguments(1))
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
    Report("late", within(20) { Later(context, 660000); warnings.list.exists(_.contains("ten minutes")) })
    Report("late by doctor", CredentialsProvider.doctor().contains(warnings.list.last))
    Later(context, 660000)
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

  /** A role beside an executor on which each task of ours fails. */
  private def broken(role: String): Unit = {
    await {
      executors(_ => if (SparkEnv.get.executorId == "0") Broken())
      executors(_ => Broken.isBroken).size == 2
    }
    val before = new SerializableConfiguration(new Configuration(conf))
    val assumed = Future(Try(CredentialsProvider.assumeRole(role)).fold(_.toString, _ => "assumed"))(scala.concurrent.ExecutionContext.global)
    Report("given up", within(30) { Later(context, 100); warnings.list.exists(_.contains("not asked any more")) })
    Report("assumed beside a broken one", Await.result(assumed, Duration.Inf))
    val jobs = call(call(context, "dagScheduler"), "numTotalJobs").asInstanceOf[Int]
    val path = new Path("s3a://other/test.csv")
    Report("beside a broken one", executors { _ =>
      if (Broken.isBroken) "broken" else Try(path.getFileSystem(before.value).getFileStatus(path)).fold(_.getClass.getSimpleName, _ => "file")
    }.toSet - "broken")
    Later(context, 660000)
    org.apache.spark.Listeners.await(context)
    // That of the look itself.
    Report("jobs since", call(call(context, "dagScheduler"), "numTotalJobs").asInstanceOf[Int] - jobs)
    Report("still uncached", Option(conf.get("fs.s3a.impl.disable.cache")))
    Report("warnings", warnings.list)
    Report("doctor", CredentialsProvider.doctor().split("\n").filter(_.startsWith("PROBLEM executors")).toSeq)
  }

  /** A renewal by Spark replaces what executors get that start later; then one dies and another one comes, while a third is busy. */
  private def renewal(role: String, lake: String, end: String): Unit = {
    await(executorIds().size == 2)
    val before = new SerializableConfiguration(new Configuration(conf))
    CredentialsProvider.assumeRole(role)
    CredentialsProvider.release()
    CredentialsProvider.assumeRole(role)
    Report("application", context.applicationId)
    Report("clear", Seq("127.0.0.1", "192.0.2.1", "ssl.rpc.enabled", "network.crypto.enabled").map(clear))
    Report("shown", Clear.isShown(new SparkConf(false).set("spark.yarn.appMasterEnv.API_KEY", "key")) ++
      Clear.isShown(new SparkConf(false).set("spark.redaction.regex", "(?i)secret|access")) ++ Clear.isShown(new SparkConf(false)))
    Report("on disks", Seq("yarn", "local").flatMap(master =>
      Clear.onDisks(new SparkConf(false).setMaster(master).set("spark.yarn.appMasterEnv.API_KEY", "key"))))
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
    CredentialsProvider.release()
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
    val stopped = (1 to 50).map { number =>
      val master = if (Seq(5, 10).contains(number)) "local-cluster[1,1,1024]" else "local[1]"
      val each = new SparkContext(old.clone.setMaster(master))
      // As on Kubernetes, where the submitter chooses it for all contexts of a driver.
      id.set(each, "one id for all")
      each.parallelize(1 to 1, 1).count()
      CredentialsProvider.current()
      Report(s"context $number", Seq(mode(), Option(each.hadoopConfiguration.get("fs.s3a.hops.role"))))
      each.parallelize(1 to 1, 1).count()
      org.apache.spark.Listeners.await(each)
      Report(s"answered $number", within(20)(each.hadoopConfiguration.get("fs.s3a.impl.disable.cache") == null))
      if (number == 10) many(each, role)
      each.stop()
      new WeakReference(each)
    }
    val last = new SparkContext(old.clone.setMaster("local[1]"))
    CredentialsProvider.current()
    for (_ <- 1 to 50 if stopped.exists(_.get != null)) { System.gc(); Thread.sleep(20) }
    Report("left", stopped.count(_.get != null))
    Report("objects left", histogram())
    Report("threads left", Thread.getAllStackTraces.keySet.toArray.map(_.asInstanceOf[Thread].getName).filter(_.contains("hops")).toSeq.sorted)
    last.stop()
    Report("beside a writer", Iterator.continually(besideWriter(old.clone.setMaster("local[1]"))).collectFirst { case Some(found) => found })
  }

  /**
   * Asks for credentials while somebody else writes the role into a new context. Tells whether the one who asked waited, and the mode that
   * he found. None if the role was there before.
   */
  private def besideWriter(conf: SparkConf): Option[Seq[Any]] = {
    val context = new SparkContext(conf)
    val slow = new SlowToWrite(context.hadoopConfiguration)
    val held = classOf[SparkContext].getDeclaredField("_hadoopConfiguration")
    held.setAccessible(true)
    held.set(context, slow)
    val writer = new Thread(() => CredentialsProvider.current())
    writer.start()
    await(slow.begun.getCount == 0 || !writer.isAlive)
    val found = if (slow.begun.getCount > 0) None else {
      var mode_ = ""
      val reader = new Thread(() => { CredentialsProvider.current(); mode_ = mode() })
      reader.start()
      await(reader.getState == Thread.State.BLOCKED || !reader.isAlive)
      val waits = reader.isAlive
      slow.go.countDown()
      reader.join()
      Some(Seq(waits, mode_))
    }
    slow.go.countDown()
    writer.join()
    context.stop()
    found
  }

  /** Counts the objects of ours, and the contexts, that can be reached. */
  private def histogram(): Seq[String] = {
    val command = new ObjectName("com.sun.management:type=DiagnosticCommand")
    ManagementFactory.getPlatformMBeanServer.invoke(command, "gcClassHistogram", Array(Array.empty[String]), Array(classOf[Array[String]].getName))
      .toString.split("\n").map(_.trim.split("\\s+")).filter(row => row.length > 3 && (row(3).startsWith("io.hops") || row(3) == classOf[SparkContext].getName))
      .map(row => s"${row(1)} ${row(3)}").toSeq
  }

  /** Counts messages and jobs for executors that register, hear of a role, and start. */
  private def many(context: SparkContext, role: String): Unit = {
    def jobs(): Int = call(call(context, "dagScheduler"), "numTotalJobs").asInstanceOf[Int]
    val executors = new CountingExecutors(context, 200)
    val before = jobs()
    executors.register()
    org.apache.spark.Listeners.await(context)
    def counted(): Seq[Int] = Seq(executors.pushes.get, executors.pushesUnderMonitor.get, executors.tasks.get, jobs() - before)
    Report("registered", counted())
    CredentialsProvider.assumeRole(role)
    Report("told", counted())
    executors.start()
    // Together less than the ten minutes after which executors without room are named.
    within(20) { Later(context, 500); executors.tasks.get > 0 }
    within(20)(executors.tasks.get == 200)
    Report("started", counted())
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

/** Keeps what the product warns of. */
class Warnings extends Handler {
  @volatile var list: Seq[String] = Seq.empty
  private val logger = Logger.getLogger("io.hops.util")
  logger.addHandler(this)

  override def publish(record: LogRecord): Unit = if (record.getLevel == Level.WARNING) list :+= record.getMessage
  override def flush(): Unit = {}
  override def close(): Unit = {}
}

/** A configuration into which nobody writes a provider until it may. */
class SlowToWrite(before: Configuration) extends Configuration(before) {
  val begun = new CountDownLatch(1)
  val go = new CountDownLatch(1)

  override def set(name: String, value: String): Unit = {
    if (name == "fs.s3a.aws.credentials.provider") {
      begun.countDown()
      go.await()
    }
    super.set(name, value)
  }
}

/** A JVM in which no bucket can be opened any more. */
object Broken {
  private def field = {
    val cache = classOf[FileSystem].getDeclaredField("CACHE")
    cache.setAccessible(true)
    val map = cache.get(null).getClass.getDeclaredField("map")
    map.setAccessible(true)
    (map, cache.get(null))
  }
  def apply(): Unit = field match { case (map, cache) => map.set(cache, null) }
  def isBroken: Boolean = field match { case (map, cache) => map.get(cache) == null }
}

/** Lets time pass for the executors that have not answered. The class of the product may be in a class loader above. */
object Later {
  def apply(context: SparkContext, millis: Long): Unit = {
    val product = Class.forName("io.hops.util.spark.ExecutorMatch")
    val of = product.getDeclaredMethod("of", classOf[SparkContext])
    of.setAccessible(true)
    val executors = of.invoke(null, context)
    executors.synchronized {
      for (state <- field(product, "asked").get(executors).asInstanceOf[JavaMap[String, AnyRef]].values.toArray; name <- Seq("since", "dueNanos")) {
        val at = field(state.getClass, name)
        at.setLong(state, at.getLong(state) - millis * 1000000)
      }
      executors.notifyAll()
    }
  }

  private def field(type_ : Class[_], name: String): java.lang.reflect.Field = {
    val found = type_.getDeclaredField(name)
    found.setAccessible(true)
    found
  }
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
