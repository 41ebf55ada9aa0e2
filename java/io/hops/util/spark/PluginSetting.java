package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;

/** {@link HopsSparkPlugin} in the list {@code spark.plugins}, beside the plugins of others. */
final class PluginSetting {
  static final String KEY = "spark.plugins";

  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final String OURS = HopsSparkPlugin.class.getName();

  /** The jars that an executor fetches before it starts its plugins. */
  private static final String FIRST_JARS = "spark.app.initial.jar.urls";

  private PluginSetting() {}

  /** Adds ours to a list, which may be null. */
  static String with(String list) {
    List<String> plugins = split(list);
    if (!plugins.contains(OURS)) {
      plugins.add(OURS);
    }
    return String.join(",", plugins);
  }

  /** Takes ours out of a list. */
  static String without(String list) {
    List<String> plugins = split(list);
    plugins.remove(OURS);
    return String.join(",", plugins);
  }

  /**
   * Returns true if every later context of this JVM finds the plugin: beside Spark, or in the class loader of spark-submit. A
   * context that does not find it would not start.
   */
  static boolean isVisible() {
    ClassLoader own = Thread.currentThread().getContextClassLoader();
    boolean isOfSpark = own != null && own.getClass().getName().startsWith("org.apache.spark.util.");
    try {
      Class.forName(OURS, false, isOfSpark ? own : SparkContext.class.getClassLoader());
      return true;
    } catch (ClassNotFoundException | LinkageError e) {
      return false;
    }
  }

  /** Returns true if the executors of a context have our plugin. */
  static boolean isIn(SparkContext context) {
    return split(context.getConf().get(KEY, "")).contains(OURS);
  }

  /**
   * Makes sure that the executors of a context which is starting get our jar before they look for the plugin, because an executor
   * does not start without it. Where that is not possible, takes the plugin out for executors. Where they fetch files from a
   * bucket before the jar, leaves them Hadoop's own file system for that; the plugin replaces it before the first task.
   */
  static void reachExecutors(SparkContext context) {
    if (context.isLocal()) {
      return;
    }
    SparkConf conf = context.conf();
    if (YarnClient.hasDriver(conf)) {
      YarnClient.hideRole(conf);
      // An executor asks for the role when its plugins start, too late for what it fetches before. What Spark itself opens here with
      // that configuration, such as a staging folder in a bucket, it opens with the role all the same.
      HopsSparkPlugin.match();
      FutureContexts.withdraw(conf);
    }
    try {
      String url = ProductJar.ensure(context);
      List<String> first = split(conf.get(FIRST_JARS, ""));
      if (url == null && !ProductJar.isOnClassPath(context)) {
        throw new CloudCredentialException("the classes of hops-credentials do not come from a jar; use the jar as published");
      }
      if (url != null && !Fetches.paths(context).isEmpty()) {
        FutureContexts.withdraw(conf);
      }
      if (url != null && !first.contains(url)) {
        first.add(url);
        conf.set(FIRST_JARS, String.join(",", first));
      }
    } catch (CloudCredentialException | RuntimeException e) {
      LOG.log(Level.WARNING, "the plugin of hops-credentials does not reach the executors", e);
      conf.set(KEY, without(conf.get(KEY, "")));
    }
  }

  private static List<String> split(String list) {
    List<String> names = new ArrayList<>();
    for (String name : list == null ? new String[0] : list.split(",")) {
      if (!name.trim().isEmpty()) {
        names.add(name.trim());
      }
    }
    return names;
  }
}
