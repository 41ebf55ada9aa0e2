package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.File;
import java.net.URISyntaxException;
import java.security.CodeSource;
import org.apache.spark.SparkContext;

/** The jar that this class was loaded from: executors need it as well. */
final class ProductJar {
  private ProductJar() {}

  /** Has Spark take it to the executors, unless the user has seen to that. */
  static void ensure(SparkContext context) throws CloudCredentialException {
    CodeSource source = ProductJar.class.getProtectionDomain().getCodeSource();
    if (source == null || !"file".equals(source.getLocation().getProtocol())) {
      return;
    }
    File jar;
    try {
      jar = new File(source.getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new CloudCredentialException("the path of the jar of hops-credentials is no URI", e, 0);
    }
    String systemPath = context.getConf().get("spark.executor.extraClassPath", "");
    if (jar.isFile() && !listed(context).contains(jar.getName()) && !systemPath.contains(jar.getName())) {
      context.addJar(jar.getPath());
    }
  }

  /** The jars that Spark takes to executors, as one text. A Seq of Scala 2.12 or of 2.13: two types. */
  private static String listed(SparkContext context) {
    try {
      return SparkContext.class.getMethod("listJars").invoke(context).toString();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Spark does not tell which jars it has", e);
    }
  }
}
