import io.hops.util.internal.SettingsHere
import org.apache.spark.{SparkConf, SparkContext}
import scala.io.Source
import scala.util.Try

/**
 * The settings as the product reads them, one place at a time. Arguments: the place (`names` for none, `variable`, `property`, `spark`), and
 * for each setting that must have a particular value its property and the value. In `property` and `spark` every other setting has its own
 * name as its value.
 */
object Settings {
  def main(arguments: Array[String]): Unit = {
    val particular = arguments.tail.grouped(2).map { case Array(property, value) => property -> value }.toMap
    // Two settings are for loading the library, so they must be in place before it can list the names of all.
    arguments.head match {
      case "spark" =>
        val conf = new SparkConf().setMaster("local[1]").setAppName("settings").set("spark.ui.enabled", "false")
        particular.foreach { case (property, value) => conf.set(s"spark.$property", value) }
        val context = new SparkContext(conf)
        // `getConf` is a copy.
        val live = classOf[SparkContext].getMethod("conf").invoke(context).asInstanceOf[SparkConf]
        SettingsHere.table().flatMap(_._1).filterNot(live.contains).foreach(name => live.set(name, name))
        report()
        context.stop()
      case "property" =>
        particular.foreach { case (property, value) => System.setProperty(property, value) }
        SettingsHere.table().flatMap(_._2).filterNot(particular.contains).foreach(name => System.setProperty(name, name))
        report()
      case _ => report()
    }
  }

  private def report(): Unit = {
    Report("names", SettingsHere.table().map { case (spark, property, variables) => Seq(spark, property, variables) })
    Report("read", SettingsHere.read())
    Report("switch", Try(SettingsHere.requiresLive()).fold(_.getMessage, _.toString))
    Report("library", Source.fromFile("/proc/self/maps").getLines().find(_.contains("hops_credentials")).map(_.split(" ").last))
  }
}

package io.hops.util.internal {

  /** The settings as the product knows them. */
  object SettingsHere {
    /** Lists for each setting its key in a SparkConf, its property and its variables. */
    def table(): Seq[(Option[String], Option[String], Seq[String])] =
      Native.loaded().settings().toSeq.map(setting => (Option(setting.spark), Option(setting.property), setting.variables.toSeq))

    def read(): String = JvmSettings.read().toString

    def requiresLive(): Boolean = Native.loaded().requiresLive(JvmSettings.read())
  }
}
