package io.hops.util.spark;

import io.hops.util.internal.Applied;
import io.hops.util.internal.LiveStore;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkConf;

/**
 * A driver outside of YARN, for which YARN runs an ApplicationMaster of Spark's own and the executors: Spark's client mode.
 *
 * <p>Problem: what such a driver gives to YARN lies on the disks of its nodes. The ApplicationMaster asks for the tokens of later
 * executors, and YARN writes them into the files from which all executors start. Spark copies AWS keys of the environment, which
 * may be those of a role, into the Hadoop configuration that it uploads for a new context. Solution: keep the role out of both.
 */
final class YarnClient {
  /** The keys of Hadoop to which Spark copies AWS variables, and the variable of each. */
  private static final Map<String, String> COPIES = new LinkedHashMap<>();

  static {
    for (String scheme : new String[] {"fs.s3", "fs.s3n"}) {
      COPIES.put(scheme + ".awsAccessKeyId", "AWS_ACCESS_KEY_ID");
      COPIES.put(scheme + ".awsSecretAccessKey", "AWS_SECRET_ACCESS_KEY");
    }
    COPIES.putAll(SparkEffect.SECRETS);
  }

  private YarnClient() {}

  /** Returns true if the driver of an application is such a one, by the configuration of driver or executor. */
  static boolean hasDriver(SparkConf conf) {
    return conf.get("spark.master", "").startsWith("yarn") && conf.get("spark.submit.deployMode", "client").equals("client");
  }

  /**
   * Keeps Spark from uploading the role for a context that is starting: a key of the SparkConf counts before what Spark copies.
   * What stood in the environment before the role stays out too: a SparkConf travels farther than an environment.
   */
  static void hideRole(SparkConf conf) {
    Applied applied = LiveStore.findApplied();
    COPIES.forEach(
        (key, variable) -> {
          String name = "spark.hadoop." + key;
          if (applied.hasWritten(variable) && !conf.contains(name)) {
            conf.set(name, "");
          }
        });
  }
}
