package io.hops.util.internal;

/**
 * Finds the {@link Host} of this JVM, once.
 *
 * <p>Problem: Spark need not be on the class path, and then no class that names one of its types may be loaded. Solution:
 * nothing here names such a class but by a text.
 */
final class HostLoader {
  private static final String SPARK_HOST = "io.hops.util.spark.SparkHost";

  private static volatile Host host;

  private HostLoader() {}

  static Host host() {
    // Asked at each request to S3, and the answer takes a look into every jar.
    Host found = host;
    if (found == null) {
      found = load();
      host = found;
    }
    return found;
  }

  private static Host load() {
    if (HostLoader.class.getResource("/org/apache/spark/SparkEnv.class") == null) {
      return new PlainHost();
    }
    try {
      return (Host) Class.forName(SPARK_HOST).getConstructor().newInstance();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(
          "the jar of hops-credentials has no " + SPARK_HOST + "; use the jar as published", e);
    }
  }
}
