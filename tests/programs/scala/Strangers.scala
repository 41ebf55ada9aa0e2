import io.hops.util.CredentialsProvider
import io.hops.util.s3a.DefinedTwice
import io.hops.util.spark.WriteOrder
import java.security.PrivilegedExceptionAction
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.hadoop.security.UserGroupInformation
import org.apache.spark.SerializableWritable
import org.apache.spark.sql.SparkSession
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
    Report("begun", begun(before))
    Report("defined twice", DefinedTwice())
    val conf = context.broadcast(new SerializableWritable(whole))
    // One task per executor at a time: the two that wait for a push wait together.
    val inTasks = context.parallelize(Seq("missed", "later", "torn"), 3).map {
      case "missed" => "missed" -> Seq(missed(once(conf.value.value)))
      case "later" => "later" -> Seq(opened("s3a://resource/test.csv", later(once(conf.value.value))))
      case "torn" => "torn" -> torn(conf.value.value)
    }.collect().toMap
    inTasks.foreach { case (name, found) => Report(name, found) }
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
      val conf = once(before)
      keys.take(written).foreach { case (key, value) => conf.set(key, value) }
      conf.set("fs.s3a.impl.disable.cache", "true")
      WriteOrder.opened("s3a://resource/test.csv", conf)
    }
  }

  /** Reads as a user who received no push. */
  private def missed(conf: Configuration): String =
    UserGroupInformation.createRemoteUser("missed").doAs(new PrivilegedExceptionAction[String] {
      override def run(): String = opened("s3a://resource/test.csv", conf)
    })

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
  import io.hops.util.s3a.{Bridge, ClosedEntrance}
  import java.net.URI
  import org.apache.hadoop.fs.FileSystem
  import scala.collection.JavaConverters._

  /** The keys of the roles in use in the order in which the product writes them. */
  object WriteOrder {
    def keys(before: Configuration): Seq[(String, String)] = {
      val set = LiveStore.findCurrent()
      Mode.live(Bridge.ensure()).keys(Schemes.of(before), set, set.buckets()).asScala.toSeq
    }

    /**
     * Opens a bucket as in a JVM where no code of ours has run, and tells whose it is then: ours, stock without the sign of a choice, or
     * refused.
     */
    def opened(path: String, conf: Configuration): String = Try {
      ClosedEntrance()
      FileSystem.get(new URI(path), conf)
    }.map { fileSystem =>
      if (Bridge.isOurs(fileSystem.getConf.get("fs.s3a.aws.credentials.provider"))) "ours"
      else if (fileSystem.getConf.get("fs.s3a.hops.generation") == null) "stock"
      else "taken for a choice"
    }.recover { case thrown => thrown.toString }.get
  }
}

package io.hops.util.s3a {

  /** Defines our provider as a second copy of the jar does that comes a moment later. */
  object DefinedTwice {
    def apply(): Boolean = Bridge.define(Bridge.ensure()).getName == Bridge.ensure()
  }

  /** Lets names of Hadoop's classes mean what they say. */
  object ClosedEntrance {
    def apply(): Unit = Entrance.close()
  }
}
