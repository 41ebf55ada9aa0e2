package io.hops.util.internal;

import java.util.Map;

/**
 * One setting: the names under which to look for it. The core has the table of all settings; the two that are needed to load
 * the core stand in {@link NativeLoader} too, with the same names.
 */
final class Setting {
  final String spark;
  final String property;
  final String[] variables;

  /**
   * Makes a row of the table.
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

  /** Finds the value that counts, in the order of the core; null when it is not set. A blank value counts as unset. */
  String find() {
    Map<String, String> application = HostLoader.host().settings();
    String found = spark == null ? null : nonBlank(application.get(spark));
    if (found == null && property != null) {
      found = nonBlank(System.getProperty(property));
    }
    for (int i = 0; found == null && i < variables.length; i++) {
      found = nonBlank(System.getenv(variables[i]));
    }
    return found;
  }

  private static String nonBlank(String value) {
    return value == null || value.trim().isEmpty() ? null : value;
  }
}
