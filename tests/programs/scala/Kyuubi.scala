package org.apache.kyuubi.engine.spark

import io.hops.util.CredentialsProvider
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
import scala.util.Try

/**
 * Stands in for the engine of Kyuubi, which has this name. Assumes the default role, and again when it has started a Thrift server in its
 * context.
 */
object SparkSQLEngine {
  def main(arguments: Array[String]): Unit = {
    val spark = SparkSession.builder.getOrCreate()
    report("assumed")
    val server = HiveThriftServer2.startWithContext(spark.sqlContext)
    report("beside a server")
    server.stop()
    spark.stop()
  }

  // A package cannot name the object `Report`, which has none.
  private def report(name: String): Unit = {
    val outcome = Try(CredentialsProvider.assumeRole()).fold(_.getMessage, _ => "yes")
    println(List("report", name, "\"" + outcome + "\"").mkString("\t"))
  }
}
