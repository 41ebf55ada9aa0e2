import io.hops.util.CredentialsProvider

object Main {
  def main(arguments: Array[String]): Unit = {
    val creds = CredentialsProvider.assumeRole(CredentialsProvider.getRole(1))
    val id = 1
    val same = CredentialsProvider.getRole(id) == creds.getRoleArn
    println(s"Scala ${util.Properties.versionNumberString}: ${creds.getRoleArn} $same")
  }
}
