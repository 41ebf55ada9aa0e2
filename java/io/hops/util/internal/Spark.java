package io.hops.util.internal;

import io.hops.util.spark.SparkEffect;
import java.io.IOException;
import java.util.Collections;
import java.util.Map;

/** What is used of Spark, where there is Spark: without it the class that touches it is never loaded. */
final class Spark {
  private Spark() {}

  /** Whether Spark is on the class path that loaded us. */
  static boolean isPresent() {
    return Spark.class.getResource("/org/apache/spark/SparkEnv.class") != null;
  }

  /** The effect on the active SparkContext; null without Spark or without an active context. */
  static Effect effectForActiveContext() {
    return isPresent() ? SparkEffect.forActiveContext() : null;
  }

  /** Whether this JVM is an executor of Spark. */
  static boolean isExecutor() {
    return isPresent() && SparkEffect.isExecutor();
  }

  /** The roles in use as the driver pushed them to this executor; null when nothing has arrived. */
  static LiveSet pushed() throws IOException {
    return isExecutor() ? SparkEffect.pushed() : null;
  }

  /** The {@code spark.hops.*} entries of the active SparkConf. */
  static Map<String, String> settings() {
    return isPresent() ? SparkEffect.settings() : Collections.emptyMap();
  }
}
