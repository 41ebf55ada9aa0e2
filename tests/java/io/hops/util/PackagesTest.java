package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.junit.jupiter.api.Test;

/**
 * Packages form a tree: spark uses s3a, both and the facade use internal, and internal knows neither the facade nor Spark or Hadoop.
 */
class PackagesTest {
  /** Lists the classes of a package whose constant pool holds one of the names. */
  private static List<String> users(String user, String... used) throws IOException {
    List<String> found = new ArrayList<>();
    int classes = 0;
    try (JarFile jar = new JarFile(ChildJvm.JAR)) {
      for (JarEntry entry : Collections.list(jar.entries())) {
        if (entry.getName().startsWith("io/hops/util/" + user + "/") && entry.getName().endsWith(".class")) {
          classes++;
          String text = text(jar.getInputStream(entry));
          for (String name : used) {
            if (text.contains(name)) {
              found.add(entry.getName() + " uses " + name);
            }
          }
        }
      }
    }
    assertTrue(classes > 3, user);
    return found;
  }

  private static String text(InputStream in) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int next = in.read(); next >= 0; next = in.read()) {
      bytes.write(next);
    }
    return new String(bytes.toByteArray(), StandardCharsets.ISO_8859_1);
  }

  @Test
  void internalKnowsNeitherSparkNorHadoop() throws IOException {
    assertEquals(
        Collections.emptyList(),
        users("internal", "io/hops/util/CredentialsProvider", "io/hops/util/spark/", "io/hops/util/s3a/", "Lorg/apache/", "com/amazonaws/", "software/amazon/"));
  }

  @Test
  void s3aDoesNotKnowSpark() throws IOException {
    assertEquals(Collections.emptyList(), users("s3a", "io/hops/util/spark/", "org/apache/spark/"));
  }
}
