package io.hops.util.spark;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import org.apache.spark.SparkContext;

/** What Spark itself opens on executors without a job: the files and jars of the application, and the plugins of others. */
final class Fetches {
  /** The schemes of what Spark serves itself, or finds on each machine. A path without a scheme is a file. */
  private static final Collection<String> SPARKS_OWN = Arrays.asList(null, "file", "local", "spark");

  private Fetches() {}

  /** Returns true if an executor can have opened a bucket before its first task. */
  static boolean hasAny(SparkContext context) {
    for (String plugin : context.getConf().get("spark.plugins", "").split(",")) {
      if (!plugin.trim().isEmpty() && !plugin.trim().startsWith("io.hops.util.")) {
        return true;
      }
    }
    return !paths(context).isEmpty();
  }

  /** Lists the paths in buckets that an executor fetches when it starts, or before a task. */
  static List<String> paths(SparkContext context) {
    List<String> found = new ArrayList<>();
    for (String kind : new String[] {"listJars", "listFiles", "listArchives"}) {
      for (String path : ProductJar.list(context, kind)) {
        String scheme = scheme(path);
        // Reads the configuration only where somebody names a scheme that Spark does not serve itself.
        if (!SPARKS_OWN.contains(scheme) && Schemes.of(context.hadoopConfiguration()).areReadByS3a(scheme)) {
          found.add(path);
        }
      }
    }
    return found;
  }

  private static String scheme(String path) {
    try {
      return new URI(path).getScheme();
    } catch (URISyntaxException e) {
      return "unknown";
    }
  }
}
