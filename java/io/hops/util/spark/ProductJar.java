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
    // Both Scala lines have mkString; a Seq is another type in each.
    String listed = context.listJars().mkString(" ");
    if (jar.isFile() && !listed.contains(jar.getName()) && !systemPath.contains(jar.getName())) {
      context.addJar(jar.getPath());
    }
  }
}
