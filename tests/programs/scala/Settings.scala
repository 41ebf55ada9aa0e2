package io.hops.util.internal

import org.apache.spark.{SparkConf, SparkContext}
import scala.io.Source
import scala.util.Try

/**
 * The settings as the product reads them, one place at a time. Arguments: the place (`names` for the names alone, `variable`, `property`,
 * `spark`), and for each setting that must have a particular value its property and the value. Every other one has its own name as its value.
 */
object Settings {
  def main(arguments: Array[String]): Unit = {
    val particular = arguments.tail.grouped(2).map { case Array(property, value) => property -> value }.toMap
    // The library itself has two settings, so nothing of it may be needed before they stand in their place.
    arguments.head match {
      case "spark" =>
        val conf = new SparkConf().setMaster("local[1]").setAppName("settings").set("spark.ui.enabled", "false")
        particular.foreach { case (property, value) => conf.set(s"spark.$property", value) }
        val context = new SparkContext(conf)
        // Of a configuration that is read at each call: names known only now.
        table().flatMap(setting => Option(setting.spark)).filterNot(conf.contains).foreach(name => live(context).set(name, name))
        report()
        context.stop()
      case "property" =>
        particular.foreach { case (property, value) => System.setProperty(property, value) }
        table().flatMap(setting => Option(setting.property)).filterNot(particular.contains).foreach(name => System.setProperty(name, name))
        report()
      case _ => report()
    }
  }

  private def report(): Unit = {
    Report("names", table().map(setting => Seq(Option(setting.spark), Option(setting.property), setting.variables.toSeq)))
    Report("read", JvmSettings.read().toString)
    Report("switch", Try(Native.loaded().requiresLive(JvmSettings.read())).fold(_.getMessage, _.toString))
    Report("library", Source.fromFile("/proc/self/maps").getLines().find(_.contains("hops_credentials")).map(_.split(" ").last))
  }

  private def table(): Seq[Setting] = Native.loaded().settings().toSeq

  /** The context's own SparkConf; `getConf` is a copy. */
  private def live(context: SparkContext): SparkConf = classOf[SparkContext].getMethod("conf").invoke(context).asInstanceOf[SparkConf]
}
