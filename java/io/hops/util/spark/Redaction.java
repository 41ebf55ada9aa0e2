package io.hops.util.spark;

import io.hops.util.s3a.Keys;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.apache.spark.SparkConf;
import scala.Tuple2;

/**
 * What Spark and YARN show of secrets: Spark everything whose name its expression does not match, in its event log and its pages;
 * YARN the variables of containers, on the disks of its nodes.
 */
final class Redaction {
  private static final String REGEX = "spark.redaction.regex";
  private static final String DEFAULT = "(?i)secret|password|token|access[.]?key";
  private static final String[] SECRET_KEYS = {Keys.ACCESS_KEY, Keys.SECRET_KEY, Keys.SESSION_TOKEN};

  private Redaction() {}

  /** Lists a sentence for each name under which Spark shows a secret. */
  static List<String> listShown(SparkConf conf) {
    Pattern hidden;
    try {
      hidden = Pattern.compile(conf.get(REGEX, DEFAULT));
    } catch (PatternSyntaxException e) {
      hidden = Pattern.compile(DEFAULT);
    }
    List<String> shown = new ArrayList<>();
    for (String key : SECRET_KEYS) {
      if (!hidden.matcher(key).find()) {
        shown.add(explain(key));
      }
    }
    for (Tuple2<String, String> entry : conf.getAll()) {
      String key = entry._1();
      if (key.endsWith(".API_KEY") && !hidden.matcher(key).find()) {
        shown.add(explain(key));
      }
    }
    return shown;
  }

  /** Lists a sentence for each API key that YARN writes to disks. */
  static List<String> listOnDisks(SparkConf conf) {
    List<String> onDisks = new ArrayList<>();
    for (Tuple2<String, String> entry : conf.getAll()) {
      String key = entry._1();
      boolean isVariable = key.startsWith("spark.yarn.appMasterEnv.") || key.startsWith("spark.executorEnv.");
      if (isVariable && key.endsWith(".API_KEY") && conf.get("spark.master", "").startsWith("yarn")) {
        onDisks.add(
            "YARN writes the value of "
                + key
                + " to the disks of its nodes; give the key as a file, by --files and API_KEY_FILE");
      }
    }
    return onDisks;
  }

  private static String explain(String key) {
    return "Spark shows the value of " + key + " in its event log and its pages; set " + REGEX + " to " + DEFAULT
        + "|api[._]?key, and more of your own";
  }
}
