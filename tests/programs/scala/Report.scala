import scala.collection.JavaConverters._
import io.hops.util.cloud.Credentials

/** Prints what a test program reports, as lines `report NAME JSON`, separated by tabs. Compares secrets here and never prints them. */
object Report {
  def apply(name: String, value: Any): Unit = println(s"report\t$name\t${json(value)}")

  /** Reports whose credentials this process and its children hold. */
  def environment(credentials: Credentials): Unit = {
    Report("getenv", holder(credentials, System.getenv))
    Report("getenv by name", Option(System.getenv("AWS_ACCESS_KEY_ID")))
    Report("ProcessBuilder", holder(credentials, child(new ProcessBuilder("/usr/bin/env").start())))
    Report("Runtime.exec", holder(credentials, child(Runtime.getRuntime.exec(Array("/usr/bin/env")))))
  }

  /** Finds the access key id in an environment; None unless its three values are those of `credentials`. */
  private def holder(credentials: Credentials, variables: java.util.Map[String, String]): Option[String] =
    Option(variables.get("AWS_ACCESS_KEY_ID")).filter(_ =>
      variables.get("AWS_ACCESS_KEY_ID") == credentials.getAccessKeyId &&
        variables.get("AWS_SECRET_ACCESS_KEY") == credentials.getSecretAccessKey &&
        variables.get("AWS_SESSION_TOKEN") == credentials.getSessionToken)

  private def child(process: Process): java.util.Map[String, String] =
    lines(process).map(_.split("=", 2)).collect { case Array(name, value) => name -> value }.toMap.asJava

  /** Returns the output of a child process, errors included. */
  def output(command: ProcessBuilder): Seq[String] = lines(command.redirectErrorStream(true).start())

  private def lines(process: Process): List[String] = {
    val printed = scala.io.Source.fromInputStream(process.getInputStream).getLines().toList
    process.waitFor()
    printed
  }

  /** Lists the classes and messages of an exception and its causes. */
  def causes(thrown: Throwable): Seq[String] =
    Iterator.iterate(thrown)(_.getCause).takeWhile(_ != null).map(_.toString).toSeq

  private def json(value: Any): String = value match {
    case None | null => "null"
    case Some(held) => json(held)
    case number: Int => number.toString
    case number: Long => number.toString
    case truth: Boolean => truth.toString
    case items: Iterable[_] => items.map(json).mkString("[", ",", "]")
    case text => "\"" + text.toString.flatMap {
        case '"' => "\\\""
        case '\\' => "\\\\"
        case c if c < ' ' => f"\\u${c.toInt}%04x"
        case c => c.toString
      } + "\""
  }
}
