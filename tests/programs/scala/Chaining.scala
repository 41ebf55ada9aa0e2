import io.hops.util.CredentialsProvider.AssumeRoleRequest
import io.hops.util.exceptions.CloudCredentialException

/**
 * Calls `assumeRole` once for each argument, in one JVM. An argument holds a role ARN and the other fields of the request, as
 * `role;external id=...;policy=...;tag=key:value`. Reports the result of each call, and what a child JVM then gets for the first role.
 */
object Chaining {
  def main(arguments: Array[String]): Unit = {
    arguments.zipWithIndex.foreach { case (argument, number) =>
      val role +: more = argument.split(';').toSeq
      val asked = more.foldLeft(AssumeRoleRequest.builder().setRoleArn(role)) { (request, part) =>
        part.split("=", 2) match {
          case Array("external id", value) => request.setExternalId(value)
          case Array("policy", value) => request.setPolicy(value)
          case Array("tag", value) => request.addTag(value.takeWhile(_ != ':'), value.dropWhile(_ != ':').drop(1))
        }
      }
      try {
        Report(s"role $number", asked.send().getRoleArn)
        sys.props.get("child").foreach(command => Report(s"child $number", Report.output(new ProcessBuilder(command.split(" "): _*))))
      } catch {
        case refused: CloudCredentialException => Report(s"refused $number", refused.getMessage)
      }
    }
    if (sys.props.contains("offspring")) {
      val java = System.getProperty("java.home") + "/bin/java"
      val command = Seq(java, "-cp", System.getProperty("java.class.path"), "Plain", arguments.head)
      Report("offspring", Report.output(new ProcessBuilder(command: _*)))
    }
  }
}
