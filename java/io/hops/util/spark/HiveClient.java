package io.hops.util.spark;

import org.apache.spark.SparkConf;

/**
 * Spark's client of a Hive metastore. Where its jars are not those of Spark, it runs in a class loader of its own, which finds
 * only classes that Spark shares with it.
 */
final class HiveClient {
  private static final String JARS = "spark.sql.hive.metastore.jars";
  private static final String SHARED = "spark.sql.hive.metastore.sharedPrefixes";

  private HiveClient() {}

  /** Says why the client finds no class of ours; null when it does. */
  static String explainUnshared(SparkConf conf) {
    String jars = conf.get(JARS, "builtin");
    if (jars.equals("builtin")) {
      return null;
    }
    for (String prefix : conf.get(SHARED, "").split(",")) {
      if (!prefix.trim().isEmpty() && HiveClient.class.getName().startsWith(prefix.trim())) {
        return null;
      }
    }
    return JARS + " is " + jars + ", and that client does not find the classes with which S3A reads as a role; add io.hops to "
        + SHARED;
  }
}
