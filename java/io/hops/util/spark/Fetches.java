package io.hops.util.spark;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import org.apache.spark.SparkContext;

/** What Spark itself opens on executors without a job: the files and jars of the application, and the plugins of others. */
final class Fetches {
  /** The schemes that are never S3A, whatever the configuration says. A path without a scheme is a file. */
  private static final Collection<String> NEVER_S3A =
      new HashSet<>(Arrays.asList(null, "file", "local", "spark", "http", "https", "ftp", "hdfs"));

  private Fetches() {}

  /** Returns true if an executor can have opened a bucket before its first task. */
  static boolean hasAny(SparkContext context) {
    for (String plugin : context.getConf().get("spark.plugins", "").split(",")) {
      if (!plugin.trim().isEmpty() && !plugin.trim().startsWith("io.hops.util.")) {
        return true;
      }
    }
    for (String kind : new String[] {"listJars", "listFiles", "listArchives"}) {
      for (String path : ProductJar.list(context, kind)) {
        if (!path.isEmpty() && !NEVER_S3A.contains(scheme(path))) {
          return true;
        }
      }
    }
    return false;
  }

  private static String scheme(String path) {
    try {
      return new URI(path).getScheme();
    } catch (URISyntaxException e) {
      return "unknown";
    }
  }
}
