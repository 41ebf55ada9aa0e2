package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.spark.ActiveContext;
import io.hops.util.spark.SparkEffect;
import java.io.IOException;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** What is used of Spark, where there is Spark: without it the class that touches it is never loaded. */
final class Spark {
  // Asked at each request to S3, and the answer takes a look into every jar.
  private static final boolean IS_PRESENT =
      Spark.class.getResource("/org/apache/spark/SparkEnv.class") != null;

  private Spark() {}

  /** Whether Spark is on the class path that loaded us. */
  static boolean isPresent() {
    return IS_PRESENT;
  }

  /** The effects on SparkContexts, the active one and later ones. */
  static List<Effect> effects() {
    return isPresent() ? SparkEffect.effects() : Collections.emptyList();
  }

  /** Whether this JVM is an executor of Spark. */
  static boolean isExecutor() {
    return isPresent() && ActiveContext.isExecutor();
  }

  /** Whether there is a context that the roles in use have not reached. */
  static boolean isPending() {
    return isPresent() && SparkEffect.isPending();
  }

  /**
   * Refuses to go on in a server whose users would share the role.
   *
   * @throws CloudCredentialException in a Thrift or Connect server
   */
  static void refuseSharedServer() throws CloudCredentialException {
    if (isPresent()) {
      ActiveContext.refuseSharedServer();
    }
  }

  /** The roles in use as the driver pushed them to this executor; null when nothing has arrived. */
  static LiveSet pushed() throws IOException {
    return isExecutor() ? SparkEffect.pushed() : null;
  }

  /** Where a bucket's credentials arrive on this executor; null elsewhere. */
  static Supplier<Object[]> pushedTo(String bucket) {
    return isExecutor() ? SparkEffect.pushedTo(bucket) : null;
  }

  /** The {@code spark.hops.*} entries of the active SparkConf. */
  static Map<String, String> settings() {
    return isPresent() ? ActiveContext.settings() : Collections.emptyMap();
  }

  /** How S3A gets credentials in this JVM. */
  static String mode() {
    return isPresent() ? SparkEffect.mode() : "none (there is no Spark here)";
  }

  /** The provider that the user chose for this bucket and no other; null when there is none. */
  static String foreignProvider(String bucket) {
    return isPresent() ? SparkEffect.foreignProvider(bucket) : null;
  }

  /** Looks at Spark and S3A. */
  static void examine(Findings findings) {
    if (isPresent()) {
      SparkEffect.examine(findings);
    }
  }
}
