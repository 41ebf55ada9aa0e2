package io.hops.util.spark;

import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The version of Iceberg that Spark uses, and what it does with a provider of credentials. */
final class IcebergVersion {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final Pattern NUMBERS = Pattern.compile("(\\d+)\\.(\\d+).*");

  private final String text;
  private final int major;
  private final int minor;

  private IcebergVersion(String text) {
    this.text = text;
    Matcher numbers = NUMBERS.matcher(text);
    boolean isKnown = numbers.matches();
    this.major = isKnown ? Integer.parseInt(numbers.group(1)) : 0;
    this.minor = isKnown ? Integer.parseInt(numbers.group(2)) : 0;
  }

  /** Finds the version; one before all others when Iceberg does not say it. */
  static IcebergVersion find() {
    try {
      Class<?> build = Class.forName("org.apache.iceberg.IcebergBuild", true, Thread.currentThread().getContextClassLoader());
      return new IcebergVersion((String) build.getMethod("version").invoke(null));
    } catch (ReflectiveOperationException | LinkageError e) {
      LOG.log(Level.FINE, "the version of Iceberg is not known", e);
      return new IcebergVersion("of an unknown version");
    }
  }

  /** Returns true where {@code client.credentials-provider} counts. */
  boolean takesProviders() {
    return isAtLeast(3);
  }

  /** Returns true where a provider gets what the server of a catalog vends, and may give it back. */
  boolean handsOverVended() {
    return isAtLeast(11);
  }

  private boolean isAtLeast(int wanted) {
    return major > 1 || major == 1 && minor >= wanted;
  }

  @Override
  public String toString() {
    return text;
  }
}
