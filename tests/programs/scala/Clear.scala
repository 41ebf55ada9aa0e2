package io.hops.util.spark

import org.apache.spark.SparkConf

/** Says whether credentials would go to executors in clear. */
object Clear {
  def apply(conf: SparkConf): Boolean = Encryption.explainClear(conf) != null
}
