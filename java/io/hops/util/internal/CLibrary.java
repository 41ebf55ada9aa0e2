package io.hops.util.internal;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The C library of this process. Asks files alone, since it explains why native code does not load.
 *
 * <p>A machine can have several C libraries, so what the process has mapped decides.
 */
final class CLibrary {
  private static final Pattern GLIBC = Pattern.compile("/[^ ]*/libc(-[0-9.]+\\.so|\\.so\\.6)$");
  /** The one file of musl by its names: as a loader, as distributions link to it, and as it is installed. */
  private static final Pattern MUSL = Pattern.compile("/(ld-musl-[^/]*|libc\\.musl-[^/]*|libc\\.so)$");
  /** What glibc says of itself when it is run as a program. */
  private static final Pattern BANNER = Pattern.compile("GNU C Library .*release version (\\d+)\\.(\\d+)");
  private static final Pattern SYMBOL_VERSION = Pattern.compile("GLIBC_(\\d+)\\.(\\d+)");

  private CLibrary() {}

  /** Returns true if this process is linked to musl. */
  static boolean isMusl() {
    return mapped().stream().anyMatch(line -> MUSL.matcher(line).find());
  }

  /** Names the glibc of this process, for example "glibc 2.31". */
  static String present() {
    return mapped().stream()
        .map(GLIBC::matcher)
        .filter(Matcher::find)
        .findFirst()
        .map(file -> newest(BANNER, Paths.get(file.group()), "an unknown one"))
        .orElse("an unknown one");
  }

  /** Names the oldest glibc that has every function that a shared library asks for. */
  static String neededBy(Path library) {
    return newest(SYMBOL_VERSION, library, "a newer glibc");
  }

  private static List<String> mapped() {
    try {
      return Files.readAllLines(Paths.get("/proc/self/maps"));
    } catch (IOException e) {
      return Collections.emptyList(); // not Linux, or without /proc
    }
  }

  private static String newest(Pattern pattern, Path file, String otherwise) {
    String content;
    try {
      content = new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      return otherwise;
    }
    int[] newest = {0, 0};
    for (Matcher found = pattern.matcher(content); found.find(); ) {
      int major = Integer.parseInt(found.group(1));
      int minor = Integer.parseInt(found.group(2));
      if (major > newest[0] || major == newest[0] && minor > newest[1]) {
        newest = new int[] {major, minor};
      }
    }
    return newest[0] == 0 ? otherwise : "glibc " + newest[0] + "." + newest[1];
  }
}
