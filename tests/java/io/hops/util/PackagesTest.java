package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Packages form a tree. The class files of the jar show which package uses which, Spark, Hadoop and the AWS SDKs included. */
class PackagesTest {
  private static final String OURS = "io.hops.util";
  private static final String HADOOP = "org.apache.hadoop";
  private static final String SPARK = "org.apache.spark";
  private static final String SCALA = "scala";
  private static final String SDK_V1 = "com.amazonaws";
  private static final String SDK_V2 = "software.amazon";

  /** The package of a class by its name in a class file. The name of a resource, which ends in ".class", is not one. */
  private static final Pattern PACKAGE =
      Pattern.compile(
          "(io/hops/util(?:/[a-z0-9]+)*|org/apache/[a-z0-9]+|com/amazonaws|software/amazon|scala)"
              + "(?:/[a-z0-9_]+)*/[A-Z][\\w$]*+(?!\\.class)");

  /** The packages that each package uses. A package of ours uses only those of ours that stand above it. */
  private static final Map<String, Set<String>> ALLOWED = new LinkedHashMap<>();

  static {
    allow("io.hops.util.cloud");
    allow("io.hops.util.exceptions");
    allow("io.hops.util.internal", "io.hops.util.cloud", "io.hops.util.exceptions");
    allow("io.hops.util", "io.hops.util.cloud", "io.hops.util.exceptions", "io.hops.util.internal");
    allow(
        "io.hops.util.python", "io.hops.util", "io.hops.util.cloud", "io.hops.util.exceptions", "io.hops.util.internal");
    allow("io.hops.util.s3a", "io.hops.util.exceptions", "io.hops.util.internal", HADOOP);
    allow("io.hops.util.aws", "io.hops.util.internal", "io.hops.util.s3a", HADOOP, SDK_V1, SDK_V2);
    allow(
        "io.hops.util.spark",
        "io.hops.util.cloud",
        "io.hops.util.exceptions",
        "io.hops.util.internal",
        "io.hops.util.s3a",
        HADOOP,
        SPARK,
        SCALA);
  }

  private static void allow(String user, String... used) {
    ALLOWED.put(user, new TreeSet<>(Arrays.asList(used)));
  }

  /** Lists the packages that each package in the jar uses. */
  private static Map<String, Set<String>> findUses() throws IOException {
    Map<String, Set<String>> found = new TreeMap<>();
    try (JarFile jar = new JarFile(ChildJvm.JAR)) {
      for (JarEntry entry : Collections.list(jar.entries())) {
        String name = entry.getName();
        if (name.endsWith(".class")) {
          String user = name.substring(0, name.lastIndexOf('/')).replace('/', '.');
          Set<String> used = found.computeIfAbsent(user, key -> new TreeSet<>());
          Matcher matcher = PACKAGE.matcher(read(jar.getInputStream(entry)));
          while (matcher.find()) {
            used.add(matcher.group(1).replace('/', '.'));
          }
          used.remove(user);
        }
      }
    }
    return found;
  }

  private static String read(InputStream in) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int next = in.read(); next >= 0; next = in.read()) {
      bytes.write(next);
    }
    return new String(bytes.toByteArray(), StandardCharsets.ISO_8859_1);
  }

  @Test
  void aPackageUsesExactlyThoseThatTheTableNames() throws IOException {
    Map<String, Set<String>> uses = findUses();
    assertEquals(new TreeSet<>(ALLOWED.keySet()), uses.keySet());
    uses.forEach((user, used) -> assertEquals(ALLOWED.get(user), used, user));
  }

  @Test
  void theTableHoldsNoCircle() {
    Set<String> above = new TreeSet<>();
    ALLOWED.forEach(
        (user, used) -> {
          for (String name : used) {
            assertTrue(!name.startsWith(OURS) || above.contains(name), user + " uses " + name);
          }
          above.add(user);
        });
  }
}
