package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.Collections;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeLoaderTest {
  private static final String FAILED = "io.hops.util.exceptions.CloudCredentialException: ";
  private static final String CAUSE = "\n  caused by java.lang.UnsatisfiedLinkError\n";
  private static final String LOADED = "[arn:aws:iam::123456789012:role/reader]\n";

  @TempDir Path directory;
  private byte[] library;

  @BeforeEach
  void readTheLibraryOfTheJar() throws IOException {
    library = ChildJvm.libraryOfTheJar();
  }

  private static ChildJvm jvm() {
    return new ChildJvm().environment("HOPS_CLOUD_ROLES", "arn:aws:iam::123456789012:role/reader");
  }

  private String override(byte[] content) throws IOException {
    return Files.write(directory.resolve("libother.so"), content).toString();
  }

  /** Runs a program that asks twice, and gets the same reason both times. */
  private void checkOverride(byte[] content, String problem) throws Exception {
    String path = override(content);
    String answer =
        FAILED + "cannot load " + path + ", which hops.native.path names: " + problem + CAUSE;
    assertEquals(
        answer + answer, jvm().with("-Dhops.native.path=" + path).run(Program.class, "roles", "roles"));
  }

  @Test
  void theJarLoadsOnAPlainJvmAndLeavesNoFileBehind() throws Exception {
    assertEquals(LOADED, jvm().with("-Djava.io.tmpdir=" + directory).run(Program.class, "roles"));
    assertEmpty(directory);
  }

  @Test
  void theDirectoryToUnpackIntoIsMadeWhenItIsNotThere() throws Exception {
    Path wanted = directory.resolve("a/b");
    assertEquals(LOADED, jvm().with("-Dhops.native.tmpdir=" + wanted).run(Program.class, "roles"));
    assertEmpty(wanted);
    Path other = directory.resolve("c");
    assertEquals(
        LOADED, jvm().environment("HOPS_NATIVE_TMPDIR", other.toString()).run(Program.class, "roles"));
    assertEmpty(other);
  }

  private static void assertEmpty(Path directory) throws IOException {
    try (Stream<Path> left = Files.list(directory)) {
      assertEquals(0, left.filter(path -> !path.toString().contains("hsperfdata")).count());
    }
  }

  @Test
  void aNamedFileIsLoadedInsteadOfTheOneInTheJar() throws Exception {
    String path = override(library);
    String classesOnly = withoutLibrary();
    assertEquals(
        LOADED,
        jvm().classPath(classesOnly).with("-Dhops.native.path=" + path).run(Program.class, "roles"));
    assertEquals(
        LOADED,
        jvm().classPath(classesOnly).environment("HOPS_NATIVE_PATH", path).run(Program.class, "roles"));
    assertTrue(Files.exists(Paths.get(path)));
  }

  @Test
  void aJarWithoutALibraryForThisPlatformSaysWhatItHas() throws Exception {
    assertEquals(
        FAILED
            + "this jar has no native library for linux-riscv64, only for: linux-x86_64, linux-aarch64; build one for it and name the"
            + " file with -Dhops.native.path"
            + CAUSE,
        jvm().with("-Dos.arch=riscv64").run(Program.class, "roles"));
  }

  @Test
  void aDirectoryThatCannotBeWrittenIsNamed() throws Exception {
    Path file = Files.createFile(directory.resolve("file"));
    String answer = jvm().with("-Dhops.native.tmpdir=" + file + "/x").run(Program.class, "roles");
    assertEquals(
        FAILED
            + "cannot unpack the native library into "
            + file
            + "/x; set -Dhops.native.tmpdir to a directory that can be written and has room for it"
            + "\n  caused by java.lang.UnsatisfiedLinkError\n  caused by java.nio.file.FileSystemException\n",
        answer);
  }

  @Test
  void aDirectoryMountedNoexecIsNamed() throws Exception {
    ChildJvm jvm =
        jvm()
            .through("unshare", "-rm", "sh", "-c", "mount -t tmpfs -o noexec tmpfs \"$0\" && exec \"$@\"")
            .through(directory.toString())
            .with("-Dhops.native.tmpdir=" + directory);
    assertEquals(
        FAILED
            + "the native library cannot be executed from "
            + directory
            + "; is it mounted noexec? Set -Dhops.native.tmpdir to a directory that is not\n"
            + "  caused by java.lang.UnsatisfiedLinkError\n  caused by java.lang.UnsatisfiedLinkError\n",
        jvm.run(Program.class, "roles"));
  }

  @Test
  void aProcessThatHasMappedMuslIsToldWhatToUseInstead() throws Exception {
    for (String name : new String[] {"ld-musl-x86_64.so.1", "libc.musl-x86_64.so.1", "libc.so"}) {
      Path named = Files.write(directory.resolve(name), library);
      assertEquals(
          FAILED
              + "this jar has no native library for linux-x86_64-musl, only for: linux-x86_64, linux-aarch64; use an image"
              + " with glibc, or build a library for it and name the file with -Dhops.native.path"
              + CAUSE,
          jvm().environment("LD_PRELOAD", named.toString()).run(Program.class, "roles"),
          name);
    }
  }

  @Test
  void aLibraryForANewerCLibraryNamesWhatItNeedsAndWhatIsThere() throws Exception {
    String text = new String(library, StandardCharsets.ISO_8859_1);
    byte[] newer = text.replace("GLIBC_2.17", "GLIBC_2.77").getBytes(StandardCharsets.ISO_8859_1);
    assertEquals(
        FAILED
            + "the native library needs glibc 2.77 or later, this machine has "
            + glibcOfThisMachine()
            + "; run on a newer Linux, or build a library on this machine and name the file with -Dhops.native.path\n"
            + "  caused by java.lang.UnsatisfiedLinkError\n  caused by java.lang.UnsatisfiedLinkError\n",
        jvm().with("-Dhops.native.path=" + override(newer)).run(Program.class, "roles"));
  }

  private static String glibcOfThisMachine() throws IOException {
    Process asked = new ProcessBuilder("getconf", "GNU_LIBC_VERSION").start();
    try (BufferedReader answer =
        new BufferedReader(new InputStreamReader(asked.getInputStream(), StandardCharsets.UTF_8))) {
      return answer.readLine();
    }
  }

  @Test
  void aNamedFileThatIsNotALibraryIsRefused() throws Exception {
    byte[] text = "#!/bin/sh\nexit 0\n# a script of more than sixty-four characters, as ELF headers have\n".getBytes(StandardCharsets.UTF_8);
    checkOverride(text, "it is not a 64-bit shared library of Linux");
  }

  @Test
  void aNamedFileForAnotherProcessorIsRefused() throws Exception {
    byte[] other = library.clone();
    other[18] = (byte) 183;
    checkOverride(other, "it is built for aarch64, this JVM runs on x86_64");
  }

  @Test
  void aTruncatedFileIsRefusedInsteadOfKillingTheJvm() throws Exception {
    checkOverride(Arrays.copyOf(library, library.length / 4), "it is truncated");
    checkOverride(Arrays.copyOf(library, 10), "it is truncated");
  }

  @Test
  void aNamedFileThatIsNotThereIsRefused() throws Exception {
    String answer = jvm().with("-Dhops.native.path=/nowhere/lib.so").run(Program.class, "roles");
    assertEquals(
        FAILED
            + "cannot load /nowhere/lib.so, which hops.native.path names: /nowhere/lib.so (No such file or directory)"
            + CAUSE,
        answer);
  }

  /** Returns a class path of the test classes and a copy of the jar without the library. */
  private String withoutLibrary() throws IOException {
    Path copy = directory.resolve("classes.jar");
    try (InputStream in = Files.newInputStream(Paths.get(ChildJvm.JAR))) {
      Files.copy(in, copy);
    }
    try (FileSystem files =
        FileSystems.newFileSystem(URI.create("jar:" + copy.toUri()), Collections.emptyMap())) {
      Files.delete(files.getPath("native/linux-x86_64/libhops_credentials.so"));
    }
    return copy + File.pathSeparator + ChildJvm.testClasses();
  }
}
