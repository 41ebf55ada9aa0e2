import io.hops.util.CredentialsProvider
import java.io.File
import java.net.URI
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FileSystem, Path}
import org.apache.spark.{Executors, SparkEnv, TaskContext}
import org.apache.spark.rdd.RDD
import org.apache.spark.resource.{ExecutorResourceRequests, ResourceProfileBuilder, TaskResourceRequests}
import org.apache.spark.scheduler.{SparkListener, SparkListenerJobStart}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.SerializableConfiguration
import scala.concurrent.Await
import scala.concurrent.duration.Duration
import scala.util.Try

/**
 * A role beside executors that get no task any more, or tasks of their resource profile alone. Arguments: a role that may read `resource`
 * and not `other`, and a file that ends the last task of an executor.
 */
object Away {
  private lazy val context = SparkSession.builder.getOrCreate().sparkContext
  private lazy val profile = new ResourceProfileBuilder()
    .require(new ExecutorResourceRequests().cores(1).memory("512m")).require(new TaskResourceRequests().cpus(1)).build()
  private val paths = Seq("s3a://other/test.csv", "s3a://resource/test.csv")

  def main(arguments: Array[String]): Unit = {
    val Array(role, end) = arguments
    val executors = new Executors(context)
    val before = new SerializableConfiguration(new Configuration(context.hadoopConfiguration))
    // Loads what a role needs, so that the second one shows what it waits for. Nothing has been opened yet.
    CredentialsProvider.assumeRole(role)
    CredentialsProvider.release()
    // A task that waits brings a second one.
    val both = new File(end + " of the first job")
    val first = usual.foreachAsync(_ => while (!both.exists) Thread.sleep(20))
    await(executors.ids().size == 2)
    val default = executors.ids()
    both.createNewFile()
    Await.result(first, Duration.Inf)
    Report("before", onEach(default, usual)(looked(before)) ++ found(ofProfile)(looked(before)))
    val alone = executors.ids().diff(default)
    Report("alone", alone.size)

    // Fails once, and then succeeds on the other one.
    context.parallelize(1 to 1, 1).foreach(_ => if (TaskContext.get.attemptNumber == 0) throw new IllegalStateException("for the first time"))
    await(executors.excluded().nonEmpty)
    val excluded = executors.excluded()
    val work = context.parallelize(1 to 1, 1).foreachAsync(_ => while (!new File(end).exists) Thread.sleep(20))
    await(context.statusTracker.getExecutorInfos.map(_.numRunningTasks).sum == 1)
    val leaving = default.diff(excluded)
    executors.decommission(leaving.head)

    val asked = new Asked
    context.addSparkListener(asked)
    Report("assumed", Try(CredentialsProvider.assumeRole(role)).fold(_.toString, _ => "assumed"))
    org.apache.spark.Listeners.await(context)
    Report("asked", asked.tasks)
    def isUncached: Boolean = context.hadoopConfiguration.get("fs.s3a.impl.disable.cache") != null
    Report("uncached", isUncached)
    val now = new SerializableConfiguration(new Configuration(context.hadoopConfiguration))
    Report("of its profile", found(ofProfile)(looked(before)))
    Report("left", !work.isCompleted && executors.ids() == default ++ alone)

    new File(end).createNewFile()
    Report("that came", found(usual)(looked(now)))
    Report("came", executors.ids().diff(default ++ alone).size)
    Report("that came, as before", soon(found(usual)(looked(before)) == Seq("other denied", "resource read")))
    executors.forgive()
    Report("forgiven", onEach(excluded, usual)(looked(now)))
    Report("over", soon(!isUncached))
    Report("forgiven, as before", onEach(excluded, usual)(looked(before)))
    context.stop()
  }

  private def usual: RDD[Int] = context.parallelize(1 to 2, 2)

  private def ofProfile: RDD[Int] = context.parallelize(1 to 1, 1).withResources(profile)

  /** Looks on these executors, each of which comes to its turn. Returns what the tasks found everywhere, each once. */
  private def onEach(wanted: Set[String], tasks: => RDD[Int])(look: () => Seq[String]): Seq[String] =
    Iterator.continually(tasks.map { _ => Thread.sleep(50); SparkEnv.get.executorId -> look() }.collect().toSeq)
      .scanLeft(Seq.empty[(String, Seq[String])])(_ ++ _)
      .find(answers => wanted.subsetOf(answers.map(_._1).toSet)).get.flatMap(_._2).distinct

  private def found(tasks: RDD[Int])(look: () => Seq[String]): Seq[String] = tasks.map(_ => look()).collect().toSeq.flatten.distinct

  private def looked(conf: SerializableConfiguration): () => Seq[String] = () => paths.map(path =>
    path.split("/")(2) + " " + Try(FileSystem.get(new URI(path), conf.value).getFileStatus(new Path(path))).fold(
      thrown => if (Report.causes(thrown).exists(_.contains("AccessDenied"))) "denied" else Report.causes(thrown).mkString(" < "), _ => "read"))

  /** Waits 20 s at most. Returns true if it holds. */
  private def soon(holds: => Boolean): Boolean = {
    val end = System.nanoTime + 20000000000L
    while (!holds && System.nanoTime < end) Thread.sleep(20)
    holds
  }

  private def await(holds: => Boolean): Unit = while (!holds) Thread.sleep(20)
}

/** Counts the tasks of each job of ours. */
class Asked extends SparkListener {
  @volatile var tasks: Seq[Int] = Seq.empty

  override def onJobStart(job: SparkListenerJobStart): Unit =
    if (String.valueOf(job.properties.getProperty("spark.jobGroup.id")).startsWith("hops-credentials")) tasks :+= job.stageInfos.head.numTasks
}
