import io.hops.util.CredentialsProvider
import io.hops.util.s3a.{DefinedTwice, Missed, Reopened}
import io.hops.util.spark.WriteOrder
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.spark.SerializableWritable
import org.apache.spark.sql.SparkSession
import scala.concurrent.ExecutionContext.Implicits.global
import scala.concurrent.{Await, Future}
import scala.concurrent.duration.Duration
import scala.util.{Failure, Success, Try}

/**
 * Assumes a role beside identities that may read everything and stand where Hadoop and the AWS SDK look for them: in the
 * configuration, in the environment, on the node. Arguments: the role, and a provider for each of these identities.
 */
object Strangers {
  private val impl = "fs.s3a.impl"
  private val provider = "fs.s3a.aws.credentials.provider"
  private val generation = "fs.s3a.hops.generation"
  private val role = "fs.s3a.hops.role"

  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    val context = spark.sparkContext
    Report("strangers", arguments.tail.toSeq.map { name =>
      val conf = new Configuration(context.hadoopConfiguration)
      conf.set(provider, name)
      opened("s3a://resource/control.csv", conf)
    })

    val before = new Configuration(context.hadoopConfiguration)
    CredentialsProvider.assumeRole(arguments.head)
    Report("reads", Seq("resource", "other").map(bucket => Try(spark.read.csv(s"s3a://$bucket/test.csv").collect().length) match {
      case Success(rows) => s"$rows rows"
      case Failure(thrown) => Report.causes(thrown).head
    }))
    val whole = new Configuration(context.hadoopConfiguration)
    Report("torn on the driver", torn(whole))
    Report("begun", begun(once(before)))
    // What a role for another bucket has written before.
    val beside = once(before)
    beside.set(generation, "1")
    beside.set(impl, "io.hops.util.s3a.HopsS3AFileSystem")
    Report("begun beside", begun(beside))
    Report("ended", WriteOrder.ended(whole).map(WriteOrder.opened("s3a://resource/test.csv", _)))
    Report("reopened", Reopened(before))
    Report("defined twice", DefinedTwice())
    val conf = context.broadcast(new SerializableWritable(whole))
    // The two that wait for a push wait together.
    val missed = Future(Missed())
    val inTasks = context.parallelize(Seq("later", "torn"), 2).map {
      case "later" => "later" -> Seq(opened("s3a://resource/test.csv", later(once(conf.value.value))))
      case "torn" => "torn" -> torn(conf.value.value)
    }.collect().toMap
    inTasks.foreach { case (name, found) => Report(name, found) }
    Report("missed", Seq(Await.result(missed, Duration.Inf)))
    spark.stop()
  }

  /** Reads with configurations that have each lost one key of ours on their way. */
  private def torn(whole: Configuration): Seq[String] = Seq(provider, generation, role, impl).map { lost =>
    val conf = once(whole)
    if (lost == impl) conf.set(impl, "org.apache.hadoop.fs.s3a.S3AFileSystem") else conf.unset(lost)
    opened("s3a://resource/test.csv", conf)
  }

  /** Reads with configurations that were copied while our keys were written, and tells which of the files that are open then is foreign. */
  private def begun(before: Configuration): Seq[String] = {
    val keys = WriteOrder.keys(before)
    (0 to keys.size).map { written =>
      val conf = new Configuration(before)
      keys.take(written).foreach { case (key, value) => conf.set(key, value) }
      WriteOrder.opened("s3a://resource/test.csv", conf)
    }
  }

  /** Returns the configuration of a job that was planned under a generation that has not been pushed. */
  private def later(conf: Configuration): Configuration = {
    conf.setLong(generation, conf.getLong(generation, 0) + 1)
    conf
  }

  private def once(conf: Configuration): Configuration = {
    val copy = new Configuration(conf)
    copy.set("fs.s3a.retry.limit", "0")
    copy
  }

  /** Reads through a new file system, so that no earlier one answers, and returns how much it read, or why it could not. */
  private def opened(path: String, conf: Configuration): String =
    Try {
      val fileSystem = FileSystem.newInstance(new Path(path).toUri, conf)
      try {
        val in = fileSystem.open(new Path(path))
        try s"${in.read(new Array[Byte](5))} bytes" finally in.close()
      } finally fileSystem.close()
    }.recover { case thrown => Report.causes(thrown).mkString(" < ") }.get
}

package io.hops.util.spark {

  import io.hops.util.internal.LiveStore
  import io.hops.util.s3a.{Bridge, ClosedEntrance, Judged}
  import java.net.URI
  import org.apache.hadoop.fs.FileSystem
  import scala.collection.JavaConverters._

  /** The keys of the roles in use in the order in which the product writes them. */
  object WriteOrder {
    def keys(before: Configuration): Seq[(String, String)] = {
      val set = LiveStore.findCurrent()
      Mode.live(Bridge.ensure()).keys(Schemes.of(before), set, set.buckets()).asScala.toSeq
    }

    /** Copies a configuration after each key that the product takes out of it at the release. */
    def ended(whole: Configuration): Seq[Configuration] = {
      val conf = new Configuration(whole)
      val copies = scala.collection.mutable.Buffer[Configuration]()
      new SavedKeys("hadoop:", name => conf.getRaw(name), (key, value) => {
        if (value == null) conf.unset(key) else conf.set(key, value)
        copies += new Configuration(conf)
      }).release(LiveStore.findApplied(), "fs.s3a.hops.generation")
      copies.toSeq
    }

    /**
     * Opens a bucket as in a JVM where no code of ours has run, and tells whose it is then: ours, stock without the sign of a choice, or
     * refused.
     */
    def opened(path: String, conf: Configuration): String = Try {
      ClosedEntrance()
      conf.set("fs.s3a.impl.disable.cache", "true")
      FileSystem.get(new URI(path), conf)
    }.map { fileSystem =>
      if (Bridge.isOurs(fileSystem.getConf.get("fs.s3a.aws.credentials.provider"))) "ours"
      else if (Judged.isRight(fileSystem)) "taken for a choice"
      else "stock"
    }.recover { case thrown => if (thrown.getMessage.contains("run the job again")) "refused" else thrown.toString }.get
  }
}

package io.hops.util.s3a {

  import org.apache.hadoop.conf.Configuration
  import org.apache.hadoop.fs.FileSystem

  /** Defines our provider as a second copy of the jar does that comes a moment later. */
  object DefinedTwice {
    def apply(): Boolean = Bridge.define(Bridge.ensure()).getName == Bridge.ensure()
  }

  /** Reads as an executor that no push has reached. */
  object Missed {
    def apply(): String = new PushedCredentials("resource", 1).get()(1).toString
  }

  /** Asks the product whether a file system may stay open while the application has a role. */
  object Judged {
    def isRight(fileSystem: FileSystem): Boolean = OpenFileSystems.isRight(fileSystem, java.util.Collections.singleton(""))
  }

  /** Counts what is open of a bucket while it is opened again, several times at once, and past Hadoop's cache. */
  object Reopened {
    private val uri = new java.net.URI("s3a://lake")

    def apply(before: Configuration): Seq[Any] = {
      ClosedEntrance()
      OpenFileSystems.`match`()
      val foreign = new org.apache.hadoop.fs.s3a.S3AFileSystem
      foreign.initialize(uri, before)
      val cache = field(classOf[FileSystem], "CACHE").get(null)
      val map = field(cache.getClass, "map").get(cache).asInstanceOf[java.util.HashMap[Any, FileSystem]]
      val key = Class.forName("org.apache.hadoop.fs.FileSystem$Cache$Key").getDeclaredConstructor(classOf[java.net.URI], classOf[Configuration])
      key.setAccessible(true)
      val at = key.newInstance(uri, before)
      map.putIfAbsent(at, foreign)
      OpenFileSystems.`match`()
      val unchanged = map.get(at) eq foreign
      val threads = (1 to 8).map(_ => new Thread(() => OpenFileSystems.`match`(java.util.Collections.singleton(""))))
      threads.foreach(_.start())
      threads.foreach(_.join())
      val together = open()
      val past = new Configuration(before)
      past.set("fs.s3a.impl.disable.cache", "true")
      val most = (1 to 5).map { _ => FileSystem.get(uri, past); open() }.max
      val end = System.nanoTime + 20000000000L
      while (open() > together && System.nanoTime < end) { System.gc(); Thread.sleep(50) }
      Seq(unchanged, map.get(at).getClass.getSimpleName, together, most > together, open())
    }

    /** Counts the clients of the bucket: S3A counts the requests of each, from its start to its end. */
    private def open(): Int = {
      val metrics = field(Class.forName("org.apache.hadoop.fs.s3a.S3AInstrumentation"), "metricsSystem").get(null)
      val source = metrics.getClass.getMethod("getSource", classOf[String])
      ("" +: (0 to 300).map(_.toString)).count(number => source.invoke(metrics, s"S3AMetrics$number-lake") != null)
    }

    private def field(type_ : Class[_], name: String): java.lang.reflect.Field = {
      val found = type_.getDeclaredField(name)
      found.setAccessible(true)
      found
    }
  }

  /** Lets Hadoop open its own file systems. */
  object ClosedEntrance {
    def apply(): Unit = Entrance.close()
  }
}
