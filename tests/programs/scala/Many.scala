import io.hops.util.CredentialsProvider
import io.hops.util.internal.Refresh
import java.io.File
import java.nio.file.{Files, Paths}
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.{Executors, SparkContext, SparkEnv, WatchedExecutors}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import scala.concurrent.Await
import scala.concurrent.duration.Duration
import scala.reflect.ClassTag
import scala.util.Try

/**
 * Many executors, each in its own JVM, and most of them start when a role is assumed; a refresh, an executor that dies and is replaced, and
 * switches of roles. Reports after each what every executor may read, and how many messages, tasks and jobs it took.
 * Arguments: the roles for `resource` and `other`, how many executors there are before the role, how many afterwards, and how many switches.
 */
object Many {
  private lazy val context: SparkContext = SparkSession.builder.getOrCreate().sparkContext
  private var ownJobs = 0

  def main(arguments: Array[String]): Unit = {
    val (roles, Array(few, number, switches)) = (arguments.take(2), arguments.drop(2).map(_.toInt))
    val watched = new WatchedExecutors(context)
    def ids(): Set[String] = new Executors(context).ids()
    def now: SerializableConfiguration = new SerializableConfiguration(new Configuration(context.hadoopConfiguration))
    val before = now
    def readers(): Set[Seq[String]] = {
      each(number)(_ => 0).collect()
      await(hasAnswered)
      Set(before, now).flatMap(conf => each(number)(_ => look(conf)).collect().toSet)
    }

    Report("application", context.applicationId)
    Report("before", each(few)(_ => look(before)).collect().toSet)
    // Has no end before all are there.
    val all = each(number)(_ => 0).collectAsync()
    await(context.statusTracker.getExecutorInfos.map(_.numRunningTasks).sum == few)
    CredentialsProvider.assumeRole(roles.head)
    Report("registered", ids().size)
    Await.result(all, Duration.Inf)
    Report("assumed", readers())

    watched.watch()
    Report("messages of a refresh", counted(watched)(Refresh.again()))
    Report("refreshed", readers())

    Try(each(1)(_ => Runtime.getRuntime.halt(1)).collect())
    await(ids().size < number)
    Report("replaced", readers())

    watched.watch()
    for (turn <- 1 to switches) {
      Report(s"messages of switch $turn", counted(watched)(CredentialsProvider.assumeRole(roles(turn % 2))))
      Report(s"switch $turn", readers())
    }
    Report("jobs of the product", jobs() - ownJobs)
    context.stop()
  }

  /** Counts pushes, those under the monitor of the scheduler, tasks and jobs, until each executor follows. */
  private def counted(watched: WatchedExecutors)(change: => Unit): Seq[Int] = {
    def now = Seq(watched.pushes.get, watched.pushesUnderMonitor.get, watched.tasks.get, jobs())
    val before = now
    change
    await(hasAnswered)
    now.zip(before).map { case (after, before) => after - before }
  }

  /** Tells whether each executor has said that it follows the role. */
  private def hasAnswered: Boolean = context.hadoopConfiguration.get("fs.s3a.impl.disable.cache") == null

  private def jobs(): Int = {
    val scheduler = context.getClass.getMethod("dagScheduler").invoke(context)
    scheduler.getClass.getMethod("numTotalJobs").invoke(scheduler).asInstanceOf[Int]
  }

  /** Runs a task on so many executors of one core: none ends before each has begun. */
  private def each[T: ClassTag](number: Int)(task: Int => T): RDD[T] = {
    ownJobs += 1
    val here = Files.createTempDirectory(Paths.get(context.getConf.get("spark.local.dir")), "executors").toFile
    context.parallelize(1 to number, number).map { place =>
      new File(here, SparkEnv.get.executorId).createNewFile()
      while (here.list.length < number) Thread.sleep(20)
      task(place)
    }
  }

  private def look(conf: SerializableConfiguration): Seq[String] = Seq("resource", "other").map { bucket =>
    val path = new Path(s"s3a://$bucket/test.csv")
    Try(path.getFileSystem(conf.value).getFileStatus(path)).fold(_.getClass.getSimpleName, _ => "read")
  }

  private def await(holds: => Boolean): Unit = while (!holds) Thread.sleep(20)
}
