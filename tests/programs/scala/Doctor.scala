import io.hops.util.CredentialsProvider
import io.hops.util.CredentialsProvider.AssumeRoleRequest
import java.net.{URL, URLClassLoader}
import java.nio.file.{Files, Paths, StandardOpenOption}
import org.apache.spark.{SparkConf, SparkContext}
import org.apache.spark.sql.SparkSession
import scala.util.Try

/**
 * Asks the doctor and assumes the default role, once for each argument, after doing what the argument says.
 *
 * An argument is a list of `name=value`, separated by semicolons. Each sets a system property, or appends a line to a file when
 * the name is a path.
 */
object Doctor {
  def main(arguments: Array[String]): Unit =
    for ((argument, step) <- arguments.zipWithIndex) {
      argument.split(";").filter(_.nonEmpty).map(_.split("=", 2)).foreach {
        case Array(path, line) if path.startsWith("/") => Files.write(Paths.get(path), s"$line\n".getBytes, StandardOpenOption.APPEND)
        case Array(name, value) => System.setProperty(name, value)
      }
      Report(s"doctor $step", CredentialsProvider.doctor().split("\n").toSeq)
      Report(s"assumed $step", Try(CredentialsProvider.assumeRole()).map(_ => "yes").recover { case thrown => Report.causes(thrown).head }.get)
      CredentialsProvider.release()
    }
}

/** Asks the doctor in a SparkContext. Arguments: a role, and another one. */
object DoctorOfContext {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    spark.range(1).count()
    Report("without", explained("s3a://resource/test.csv"))
    CredentialsProvider.assumeRole(arguments(0))
    Report("doctor", doctor())
    Report("explain", explained("s3a://resource/test.csv"))
    Report("key", CredentialsProvider.current().getAccessKeyId)
    Report("end", CredentialsProvider.current().getExpiration)
    Report("switched", Try(CredentialsProvider.assumeRole(arguments(1))).fold(_.getMessage, _ => "yes"))
    // As a storage connector does.
    val conf = spark.sparkContext.hadoopConfiguration
    val ours = conf.get("fs.s3a.access.key")
    conf.set("fs.s3a.access.key", "AKIATHEIRS")
    Report("connector", doctor().filter(_.contains("override")) ++ explained("s3a://resource/test.csv").take(1))
    conf.set("fs.s3a.access.key", ours)

    val anonymous = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
    conf.set("fs.s3a.bucket.public.aws.credentials.provider", anonymous)
    conf.set("fs.s3a.bucket.keyed.access.key", "AKIA")
    spark.conf.set("fs.s3a.aws.credentials.provider", anonymous)
    Report("public", explained("s3a://public/key"))
    Report("overridden", doctor())
    CredentialsProvider.release()
    AssumeRoleRequest.builder().setRoleArn(arguments(0)).forBucket("resource").send()
    Report("for a bucket", doctor())
    CredentialsProvider.release()
    CredentialsProvider.assumeRole(arguments(0))
    // Follows the doctor's remedies to the letter.
    conf.unset("fs.s3a.bucket.public.aws.credentials.provider")
    conf.unset("fs.s3a.bucket.keyed.access.key")
    spark.conf.unset("fs.s3a.aws.credentials.provider")
    Report("again", doctor())

    // `getConf` is a copy.
    val live = classOf[SparkContext].getMethod("conf").invoke(spark.sparkContext).asInstanceOf[SparkConf]
    live.set("spark.sql.hive.metastore.jars", "path")
    Report("Hive client", doctor().filter(_.startsWith("PROBLEM")))
    live.set("spark.sql.hive.metastore.sharedPrefixes", "com.mysql.jdbc, io.hops")
    Report("shared", doctor().filter(_.startsWith("PROBLEM")))

    conf.set("fs.s3a.delegation.token.binding", "com.example.Broker")
    Report("broker", doctor().filter(_.startsWith("PROBLEM")) ++ explained("s3a://resource/test.csv"))
    System.setProperty("hops.credentials.require-live", "true")
    Report("broker required", Try(CredentialsProvider.assumeRole(arguments(0))).fold(_.getMessage, _ => "yes"))
    def forBucket: String =
      Try(AssumeRoleRequest.builder().setRoleArn(arguments(0)).forBucket("resource").send()).fold(_.getMessage, _ => "yes")
    conf.set("fs.s3a.bucket.resource.delegation.token.binding", "")
    Report("bucket without broker", forBucket)
    CredentialsProvider.release()
    conf.unset("fs.s3a.delegation.token.binding")
    conf.set("fs.s3a.bucket.resource.delegation.token.binding", "com.example.BucketBroker")
    Report("bucket broker required", forBucket)
    System.clearProperty("hops.credentials.require-live")
    forBucket
    Report("bucket broker", doctor().filter(_.startsWith("PROBLEM")))
    CredentialsProvider.release()
    conf.unset("fs.s3a.bucket.resource.delegation.token.binding")
    System.setProperty("hops.credentials.require-live", "true")
    Report("required", Try(CredentialsProvider.assumeRole(arguments(0))).fold(_.getMessage, _ => "yes"))
  }

  private def doctor(): Seq[String] = CredentialsProvider.doctor().split("\n").toSeq

  private def explained(path: String): Seq[String] = CredentialsProvider.explain(path).split("\n").toSeq
}

/** Reports what `explain` and `doctor` say of a refresh that fails, and again when it works, as soon as the file of the argument exists. */
object DoctorOfRefresh {
  def main(arguments: Array[String]): Unit = {
    CredentialsProvider.assumeRole()
    await(_ != "last error: none")
    Report("failing", CredentialsProvider.explain("s3a://b/k").split("\n").toSeq)
    Report("doctor", CredentialsProvider.doctor().split("\n").toSeq)
    Files.createFile(Paths.get(arguments(0)))
    await(_ == "last error: none")
    Report("again", CredentialsProvider.doctor().split("\n").toSeq)
  }

  private def await(isSo: String => Boolean): Unit =
    while (!isSo(CredentialsProvider.explain("s3a://b/k").split("\n").last)) Thread.sleep(20)
}

/** Assumes the role of the argument with a jar that came after the SparkContext, and reads. */
object DoctorOfLateJar {
  def main(arguments: Array[String]): Unit = {
    CredentialsProvider.assumeRole(arguments(0))
    // A later context would not find our plugin, and not start.
    Report("plugins", Option(System.getProperty("spark.plugins")))
    val spark = SparkSession.builder.getOrCreate()
    Report("reads", spark.read.csv("s3a://resource/test.csv").count())
    spark.stop()
  }
}

/**
 * Runs another program in a class loader below that of the class path, which with the property `session` has a session already. Arguments:
 * jars, class, and the arguments of the class.
 */
object Apart {
  def main(arguments: Array[String]): Unit = {
    if (sys.props.contains("session")) SparkSession.builder.getOrCreate()
    val jars = arguments(0).split(":").map(path => Paths.get(path).toUri.toURL)
    val loader = new URLClassLoader(jars, getClass.getClassLoader) {
      override def loadClass(name: String, resolve: Boolean): Class[_] =
        if (name.startsWith("Doctor") || name.startsWith("Report")) Option(findLoadedClass(name)).getOrElse(findClass(name))
        else super.loadClass(name, resolve)
    }
    Thread.currentThread.setContextClassLoader(loader)
    loader.loadClass(arguments(1)).getMethod("main", classOf[Array[String]]).invoke(null, arguments.drop(2))
  }
}
