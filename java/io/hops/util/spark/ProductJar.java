package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.File;
import java.net.URISyntaxException;
import java.security.CodeSource;
import org.apache.spark.SparkContext;

/** The jar that this class was loaded from. Executors need it too. */
final class ProductJar {
  private ProductJar() {}

  /** Makes Spark send the jar to the executors, unless the user has already done so. */
  static void ensure(SparkContext context) throws CloudCredentialException {
    CodeSource source = ProductJar.class.getProtectionDomain().getCodeSource();
    if (source == null || !"file".equals(source.getLocation().getProtocol())) {
      return;
    }
    File jar;
    try {
      jar = new File(source.getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new CloudCredentialException("the path of the jar of hops-credentials is not a URI", e, 0);
    }
    String systemPath = context.getConf().get("spark.executor.extraClassPath", "");
    if (jar.isFile() && !list(context).contains(jar.getName()) && !systemPath.contains(jar.getName())) {
      context.addJar(jar.getPath());
    }
  }

  /** Lists the jars that Spark sends to executors, as one text: the Seq of Scala 2.12 and that of 2.13 are two types. */
  private static String list(SparkContext context) {
    try {
      return SparkContext.class.getMethod("listJars").invoke(context).toString();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Spark does not tell which jars it has", e);
    }
  }
}
