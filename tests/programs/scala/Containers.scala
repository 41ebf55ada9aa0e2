import io.hops.util.CredentialsProvider
import io.hops.util.s3a.PushedCredentials
import java.nio.file.{AccessDeniedException, Files, Paths}
import java.util
import org.apache.hadoop.fs.Path
import org.apache.spark.SparkEnv
import org.apache.spark.api.plugin.{DriverPlugin, ExecutorPlugin, PluginContext, SparkPlugin}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import scala.util.Try

/** A plugin behind ours, which looks whether its executor has the roles before the first task. */
class AtStart extends SparkPlugin {
  override def driverPlugin(): DriverPlugin = null

  override def executorPlugin(): ExecutorPlugin = new ExecutorPlugin {
    override def init(plugin: PluginContext, extra: util.Map[String, String]): Unit = AtStart.hasRole = PushedCredentials.readSet() != null
  }
}

object AtStart {
  @volatile var hasRole = false
}

/**
 * A job on YARN whose executors start before a role, after it because one has died, and after another role because there shall be more.
 * In client mode its ApplicationMaster dies too, and a second context follows. Arguments: two roles.
 */
object Containers {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    val context = spark.sparkContext
    await(ids(spark).size == 2)
    Report("application", context.applicationId)
    CredentialsProvider.assumeRole(arguments(0))
    Report("first", reads(spark))
    val before = ids(spark)
    Try(context.parallelize(1 to 1, 1).foreach(_ => Runtime.getRuntime.halt(1)))
    await(ids(spark).size == 2 && ids(spark) != before)
    Report("replaced", reads(spark))
    CredentialsProvider.assumeRole(arguments(1))
    Report("second", reads(spark))
    // As dynamic allocation asks for them.
    context.requestTotalExecutors(3, 0, Map.empty)
    await(ids(spark).size == 3)
    Report("three", reads(spark))
    Report("command lines", commandLines().size)
    if (context.deployMode == "client") {
      val old = ids(spark)
      Report("master", kill("ExecutorLauncher"))
      await(ids(spark).nonEmpty && ids(spark).intersect(old).isEmpty)
      Report("of a new master", reads(spark))
      spark.stop()
      val next = SparkSession.builder.config("spark.plugins", s"io.hops.util.spark.HopsSparkPlugin,${classOf[AtStart].getName}").getOrCreate()
      await(ids(next).size == 2)
      Report("there at the start", next.sparkContext.parallelize(1 to 8, 8).map(_ => AtStart.hasRole).collect().toSeq.distinct)
      Report("next context", reads(next))
      Report("next application", next.sparkContext.applicationId)
      next.stop()
    }
    spark.stop()
  }

  /** Lists what each executor could do with each bucket, as `BUCKET read` or `BUCKET denied`: the same for all of them. */
  private def reads(spark: SparkSession): Seq[String] = {
    val conf = new SerializableConfiguration(spark.sparkContext.hadoopConfiguration)
    val expected = ids(spark)
    val found = Iterator.continually(spark.sparkContext.parallelize(1 to 8, 8).map { _ =>
      Thread.sleep(50)
      SparkEnv.get.executorId -> Seq("resource", "other").map { bucket =>
        val path = new Path(s"s3a://$bucket/test.csv")
        Try(path.getFileSystem(conf.value).open(path).read()).fold({
          case _: AccessDeniedException => s"$bucket denied"
          case thrown => s"$bucket: ${Report.causes(thrown).mkString(" < ")}"
        }, _ => s"$bucket read")
      }
    }.collect().toMap).find(found => expected.subsetOf(found.keySet)).get
    found.values.toSeq.distinct.flatten
  }

  private def ids(spark: SparkSession): Set[String] = new org.apache.spark.Executors(spark.sparkContext).ids()

  private def await(holds: => Boolean): Unit = while (!holds) Thread.sleep(20)

  /** Lists the processes of Spark on this machine: their ids and their command lines. */
  private def commandLines(): Seq[(String, String)] =
    Paths.get("/proc").toFile.list().toSeq.filter(_.forall(_.isDigit))
      .flatMap(pid => Try(pid -> new String(Files.readAllBytes(Paths.get("/proc", pid, "cmdline")))).toOption)
      .filter { case (_, line) => line.split('\u0000').head.endsWith("java") && line.contains("org.apache.spark") }

  /** Ends what of this application runs a class, and tells how many processes that were. */
  private def kill(name: String): Int = {
    val children = commandLines().filter { case (pid, line) =>
      line.contains(name) && Try(Paths.get("/proc", pid, "cwd").toRealPath().toString.contains(SparkEnv.get.conf.getAppId)).getOrElse(false)
    }
    children.foreach { case (pid, _) => new ProcessBuilder("kill", "-9", pid).start().waitFor() }
    children.size
  }
}
