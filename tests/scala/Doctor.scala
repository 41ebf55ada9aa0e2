import io.hops.util.CredentialsProvider
import java.net.{URL, URLClassLoader}
import java.nio.file.{Files, Paths, StandardOpenOption}
import org.apache.spark.sql.SparkSession
import scala.util.Try

/**
 * Asks the doctor, and assumes the default role: once for each argument, after what the argument says has been done.
 *
 * An argument is a list of `name=value`, separated by semicolons, each of which sets a system property, or adds a line to a
 * file when the name is a path.
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

/** The doctor in a SparkContext. */
object DoctorOfContext {
  def main(arguments: Array[String]): Unit = {
    SparkSession.builder.getOrCreate().range(1).count()
    CredentialsProvider.assumeRole()
    Report("doctor", CredentialsProvider.doctor().split("\n").toSeq)
    Report("explain", CredentialsProvider.explain("s3a://resource/test.csv").split("\n").toSeq)
  }
}

/** Runs another program in a class loader below that of the class path. Arguments: jars, class, its arguments. */
object Apart {
  def main(arguments: Array[String]): Unit = {
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
