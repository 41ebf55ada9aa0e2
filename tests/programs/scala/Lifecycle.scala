import io.hops.util.CredentialsProvider
import java.nio.file.{Files, Paths}
import org.apache.spark.sql.SparkSession
import scala.util.{Failure, Success, Try}

/** Roles and the lives of contexts, sessions and JVMs: their order, and what remains when one ends. */
object Lifecycle {
  private val keys = Seq("fs.s3a.impl", "fs.AbstractFileSystem.s3a.impl", "fs.s3a.aws.credentials.provider", "fs.s3a.hops.generation",
    "fs.s3a.hops.role", "fs.s3a.access.key", "fs.s3a.secret.key", "fs.s3a.session.token")

  def main(arguments: Array[String]): Unit = arguments.head match {
    case "contexts" => contexts(arguments(1))
    case "server" => server()
    case "exit" => exit(arguments(1))
  }

  /** A role before any context, a second context after the first, and a third after the release. */
  private def contexts(role: String): Unit = {
    CredentialsProvider.assumeRole(role)
    Report("pending", mode())

    val first = SparkSession.builder.getOrCreate()
    Report("at the start", mode())
    Report("first", rows(first))
    Report("first mode", mode())
    Report("static", first.sparkContext.hadoopConfiguration.get("fs.s3a.access.key") == CredentialsProvider.current().getAccessKeyId)
    // Does what a notebook does that reruns its cell.
    CredentialsProvider.assumeRole(role)
    Report("rerun", rows(first))
    Report("session", rows(first.newSession()))
    first.stop()

    // Sets plugins, so that ours is not there.
    val second = SparkSession.builder.config("spark.plugins", "").getOrCreate()
    Report("second", rows(second))
    Report("second mode", mode())
    CredentialsProvider.release()
    Report("second released", ours(second))
    second.stop()

    val third = SparkSession.builder.getOrCreate()
    Report("third", ours(third))
    Report("third reads", rows(third))
    val isLocal = third.sparkContext.isLocal
    third.stop()
    if (isLocal) withAndWithoutPlugin(role)
  }

  /** A role that reaches a context whose program sets plugins while nobody calls us, and the default role of an operator in a job. */
  private def withAndWithoutPlugin(role: String): Unit = {
    CredentialsProvider.assumeRole(role)
    val without = SparkSession.builder.config("spark.plugins", "").getOrCreate()
    val end = System.nanoTime + 20000000000L
    while (ours(without).isEmpty && System.nanoTime < end) Thread.sleep(20)
    Report("by itself", ours(without).nonEmpty)
    without.stop()
    CredentialsProvider.release()
    val job = SparkSession.builder.config("spark.plugins", "io.hops.util.spark.HopsSparkPlugin").config("spark.hops.role", "default").getOrCreate()
    Report("operator's", Seq(rows(job), CredentialsProvider.current().getRoleArn, Try(CredentialsProvider.assumeRole(role)).isSuccess))
    job.stop()
  }

  /** A role that only the operator's configuration can name, in a server that many users share. */
  private def server(): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    Report("reads", rows(spark))
    Report("mode", mode())
    Report("calls", Seq(Try(CredentialsProvider.assumeRole()), Try(CredentialsProvider.release())).map(_.fold(_.getMessage, _ => "did it")))
    Report("role", CredentialsProvider.current().getRoleArn)
    // What any SQL user can call, by java_method and reflect.
    Report("taken home", Seq(Try(io.hops.util.python.PythonGateway.current()).toOption, Option(System.getenv("AWS_SECRET_ACCESS_KEY")),
      Option(spark.sparkContext.hadoopConfiguration.get("fs.s3a.secret.key"))).flatten.size)
    spark.stop()
  }

  /** Ends while a refresh waits for its answer. */
  private def exit(asked: String): Unit = {
    CredentialsProvider.assumeRole("arn:aws:iam::123456789012:role/reader")
    while (!Files.exists(Paths.get(asked))) Thread.sleep(20)
    Report("leaves", true)
  }

  private def mode(): String = CredentialsProvider.explain("s3a://resource/test.csv").split("\n").find(_.startsWith("mode=")).getOrElse("none")

  private def rows(spark: SparkSession): String =
    Try(spark.read.csv("s3a://resource/test.csv").collect().length) match {
      case Success(rows) => s"$rows rows"
      case Failure(thrown) => Report.causes(thrown).mkString(" < ")
    }

  /** Lists the keys of ours that a context still has without a role. */
  private def ours(spark: SparkSession): Seq[String] = {
    val conf = spark.sparkContext.hadoopConfiguration
    keys.filter(key => conf.get(key) != null && conf.get(key).matches(".*(?:[Hh]ops|ASIA).*|arn:.*|\\d+"))
  }
}
