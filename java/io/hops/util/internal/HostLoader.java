package io.hops.util.internal;

/**
 * Finds the {@link Host} of this JVM, once.
 *
 * <p>Problem: Spark may be absent from the class path, and then no class that uses one of its types may be loaded. Solution:
 * the one class that leads to all of these is named by a text.
 */
final class HostLoader {
  private static final String SPARK_HOST = "io.hops.util.spark.SparkHost";

  private static volatile Host host;

  private HostLoader() {}

  static Host host() {
    // Kept, because callers ask at each request to S3 and a search looks into every jar.
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
