package io.hops.util.spark

import org.apache.spark.SparkConf

/** Says what others could see of secrets with a configuration. */
object Clear {
  def travels(conf: SparkConf): Boolean = Encryption.explainClear(conf) != null
  def onDisks(conf: SparkConf): Seq[String] = Redaction.listOnDisks(conf).toArray(Array.empty[String]).toSeq
  def isShown(conf: SparkConf): Seq[String] = Redaction.listShown(conf).toArray(Array.empty[String]).toSeq
}
