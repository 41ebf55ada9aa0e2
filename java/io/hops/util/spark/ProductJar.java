package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.File;
import java.net.URISyntaxException;
import java.security.CodeSource;
import org.apache.spark.SparkContext;

/** The jar that this class was loaded from. Executors need it too. */
final class ProductJar {
  private ProductJar() {}

  /**
   * Makes Spark send the jar to the executors, unless they have it.
   *
   * @return where executors fetch it; null when they have it, or this class does not come from a jar
   */
  static String ensure(SparkContext context) throws CloudCredentialException {
    File jar = find();
    if (jar == null || isOnClassPath(context)) {
      return null;
    }
    if (findUrl(context, jar) == null) {
      context.addJar(jar.getPath());
    }
    return findUrl(context, jar);
  }

  /** Returns true if the administrator has put the jar on the class path of the executors. */
  static boolean isOnClassPath(SparkContext context) throws CloudCredentialException {
    File jar = find();
    return jar != null && context.getConf().get("spark.executor.extraClassPath", "").contains(jar.getName());
  }

  private static File find() throws CloudCredentialException {
    CodeSource source = ProductJar.class.getProtectionDomain().getCodeSource();
    if (source == null || !"file".equals(source.getLocation().getProtocol())) {
      return null;
    }
    try {
      File jar = new File(source.getLocation().toURI());
      return jar.isFile() ? jar : null;
    } catch (URISyntaxException e) {
      throw new CloudCredentialException("the path of the jar of hops-credentials is not a URI", e, 0);
    }
  }

  /** Finds the jar among those that Spark sends to executors. */
  private static String findUrl(SparkContext context, File jar) {
    for (String url : list(context, "listJars")) {
      if (url.endsWith("/" + jar.getName())) {
        return url;
      }
    }
    return null;
  }

  /** Lists what executors fetch, by {@code listJars}, {@code listFiles} or {@code listArchives}. */
  static String[] list(SparkContext context, String kind) {
    try {
      // The Seq of Scala 2.12 and that of 2.13 are two types with this method in common.
      Object urls = SparkContext.class.getMethod(kind).invoke(context);
      return ((String) urls.getClass().getMethod("mkString", String.class).invoke(urls, "\n")).split("\n");
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Spark does not tell what executors fetch", e);
    }
  }
}
