package io.hops.util.internal;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Finds the native library and loads it.
 *
 * <p>Loads the file that {@link #PATH} names, else the library in the jar, unpacked into {@link #DIRECTORY}, else into
 * {@code java.io.tmpdir}, and deleted as soon as it is loaded.
 */
final class NativeLoader {
  static final Setting PATH = new Setting("spark.hops.native.path", "hops.native.path", "HOPS_NATIVE_PATH");
  static final Setting DIRECTORY =
      new Setting("spark.hops.native.tmpdir", "hops.native.tmpdir", "HOPS_NATIVE_TMPDIR");

  private static final String NAME = "hops_credentials";
  private static final String[] PLATFORMS = {
    "linux-x86_64", "linux-aarch64", "linux-x86_64-musl", "linux-aarch64-musl"
  };

  private NativeLoader() {}

  /** Loads the library into the class loader of this class. Throws UnsatisfiedLinkError with a remedy when that fails. */
  static void load() {
    String path = PATH.find();
    if (path == null) {
      loadCopy(bundled());
    } else {
      loadFile(Paths.get(path).toAbsolutePath());
    }
  }

  private static void loadFile(Path file) {
    String problem = ElfFile.findProblem(file);
    if (problem != null) {
      throw failed("cannot load " + file + ", which " + PATH.property + " names: " + problem, null);
    }
    try {
      System.load(file.toString());
    } catch (UnsatisfiedLinkError e) {
      if (!String.valueOf(e.getMessage()).contains("already loaded in another classloader")) {
        throw explained(e, file);
      }
      try {
        loadCopy(file.toUri().toURL());
      } catch (IOException malformed) {
        throw failed("cannot load " + file, malformed);
      }
    }
  }

  private static URL bundled() {
    String platform = platform();
    URL resource = resource(platform);
    if (resource == null) {
      String present =
          Arrays.stream(PLATFORMS)
              .filter(other -> resource(other) != null)
              .collect(Collectors.joining(", "));
      throw failed(
          "this jar has no native library for "
              + platform
              + ", only for: "
              + (present.isEmpty() ? "nothing" : present)
              + (CLibrary.isMusl() ? "; use an image with glibc, or build a library" : "; build one")
              + " for it and name the file with -D"
              + PATH.property,
          null);
    }
    return resource;
  }

  private static URL resource(String platform) {
    return NativeLoader.class.getResource("/native/" + platform + "/lib" + NAME + ".so");
  }

  /** Names the folder of the jar for this process, by operating system, processor and C library. */
  private static String platform() {
    String system = System.getProperty("os.name").toLowerCase(Locale.ROOT).replace(' ', '-');
    String processor = System.getProperty("os.arch").replace("amd64", "x86_64");
    return system + "-" + processor + (CLibrary.isMusl() ? "-musl" : "");
  }

  /** Loads a copy with a new name: only one class loader can load a file. */
  private static void loadCopy(URL library) {
    String named = DIRECTORY.find();
    Path directory = Paths.get(named == null ? System.getProperty("java.io.tmpdir") : named);
    Path copy = null;
    try {
      copy = unpack(library, Files.createDirectories(directory));
      System.load(copy.toString());
    } catch (IOException e) {
      throw failed(
          "cannot unpack the native library into "
              + directory
              + "; set -D"
              + DIRECTORY.property
              + " to a directory that can be written and has room for it",
          e);
    } catch (UnsatisfiedLinkError e) {
      throw explained(e, copy);
    } finally {
      if (copy != null && !copy.toFile().delete()) {
        copy.toFile().deleteOnExit();
      }
    }
  }

  private static Path unpack(URL library, Path directory) throws IOException {
    URLConnection connection = library.openConnection();
    connection.setUseCaches(false); // JDK-8205976: a cached jar that was replaced on disk
    Path copy = Files.createTempFile(directory.toAbsolutePath(), NAME + "-", ".so"); // mode 0600
    try (InputStream in = connection.getInputStream();
        OutputStream out = Files.newOutputStream(copy)) {
      byte[] buffer = new byte[1 << 18];
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        out.write(buffer, 0, read);
      }
      return copy;
    } catch (IOException e) {
      Files.delete(copy);
      throw e;
    }
  }

  private static UnsatisfiedLinkError explained(UnsatisfiedLinkError e, Path file) {
    String text = String.valueOf(e.getMessage());
    if (text.contains("failed to map segment from shared object")) {
      text =
          "the native library cannot be executed from "
              + file.getParent()
              + "; is it mounted noexec? Set -D"
              + DIRECTORY.property
              + " to a directory that is not";
    } else if (text.contains("GLIBC_")) {
      text =
          "the native library needs "
              + CLibrary.neededBy(file)
              + " or later, this machine has "
              + CLibrary.present()
              + "; run on a newer Linux, or build a library on this machine and name the file with -D"
              + PATH.property;
    }
    return failed(text, e);
  }

  private static UnsatisfiedLinkError failed(String message, Throwable cause) {
    UnsatisfiedLinkError error = new UnsatisfiedLinkError(message);
    error.initCause(cause);
    return error;
  }
}
