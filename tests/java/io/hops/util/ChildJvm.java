package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A second JVM of the same version. Its environment holds only what the test puts there. */
public final class ChildJvm {
  static final String JAR = System.getProperty("hops.test.jar");

  private final List<String> launcher = new ArrayList<>();
  private final List<String> options = new ArrayList<>();
  private final Map<String, String> environment = new TreeMap<>();
  private String classPath = JAR + File.pathSeparator + testClasses();

  public ChildJvm() {
    environment.put("PATH", System.getenv("PATH"));
    environment.put("HOME", System.getProperty("java.io.tmpdir"));
    environment.put("AWS_EC2_METADATA_DISABLED", "true");
    environment.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
  }

  static String testClasses() {
    return ChildJvm.class.getProtectionDomain().getCodeSource().getLocation().getPath();
  }

  static byte[] libraryOfTheJar() throws IOException {
    URI jar = URI.create("jar:" + Paths.get(JAR).toUri());
    try (FileSystem files = FileSystems.newFileSystem(jar, Collections.emptyMap())) {
      return Files.readAllBytes(files.getPath("native/linux-x86_64/libhops_credentials.so"));
    }
  }

  public ChildJvm with(String option) {
    options.add(option);
    return this;
  }

  public ChildJvm environment(String name, String value) {
    environment.put(name, value);
    return this;
  }

  ChildJvm classPath(String path) {
    classPath = path;
    return this;
  }

  /** Starts the JVM through another program. */
  ChildJvm through(String... command) {
    launcher.addAll(Arrays.asList(command));
    return this;
  }

  /**
   * Runs a class to its end and returns everything that it printed, without the lines of the JVM and of our log. Fails when
   * the output holds a secret or a complaint about JNI.
   */
  public String run(Class<?> main, String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(launcher);
    command.add(System.getProperty("java.home") + "/bin/java");
    command.add("-Xcheck:jni");
    command.addAll(options);
    command.addAll(Arrays.asList("-cp", classPath, main.getName()));
    command.addAll(Arrays.asList(arguments));
    Path output = Files.createTempFile("child-jvm", ".log");
    try {
      ProcessBuilder builder =
          new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
      builder.environment().clear();
      builder.environment().putAll(environment);
      int status = builder.start().waitFor();
      String text = new String(Files.readAllBytes(output), StandardCharsets.UTF_8);
      Secrets.assertNoneIn(text);
      if (System.getProperty("java.specification.version").equals("1.8")) {
        // It finds fault with its own launcher, once for each argument: without a frame of Java, which calls of ours have.
        text = text.replaceAll("(?m)^WARNING in native method: .*\n(?!\\s+at )", "");
      }
      assertFalse(text.contains("in native method"), text);
      // JDK 24 and later warn when a program loads a native library.
      text = text.replaceAll("(?m)^(WARNING: .*\n)+\n?", "");
      text = text.replaceAll("(?m)^.* io\\.hops\\.util\\..*\nINFO: .*\n", "");
      return status == 0 ? text : text + "exit status " + status + "\n";
    } finally {
      Files.delete(output);
    }
  }
}
