package io.hops.util.internal;

import java.util.Map;

/**
 * One setting: the names under which it is looked for. The core has the table; the two settings that are needed to load the
 * core stand in {@link NativeLoader} as well, under the same names.
 */
final class Setting {
  final String spark;
  final String property;
  final String[] variables;

  /**
   * Keeps the names.
   *
   * @param spark its key in a SparkConf, or null
   * @param property its JVM system property, or null
   * @param variables its environment variables
   */
  Setting(String spark, String property, String... variables) {
    this.spark = spark;
    this.property = property;
    this.variables = variables;
  }

  /** The value that counts, in the order in which the core looks; null when it is not set. A blank value counts as unset. */
  String find() {
    Map<String, String> application = HostLoader.host().settings();
    String found = spark == null ? null : filled(application.get(spark));
    if (found == null && property != null) {
      found = filled(System.getProperty(property));
    }
    for (int i = 0; found == null && i < variables.length; i++) {
      found = filled(System.getenv(variables[i]));
    }
    return found;
  }

  private static String filled(String value) {
    return value == null || value.trim().isEmpty() ? null : value;
  }
}
