package io.hops.util.spark;

import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.s3a.S3AFileSystem;

/**
 * The schemes that a configuration gives to S3A: {@code s3a}, and often {@code s3}, as the locations of Hive and Glue tables have
 * it. The class behind a scheme decides, not its name. Works without S3A on the class path too.
 */
final class Schemes {
  static final String HOPS_FILE_SYSTEM = "io.hops.util.s3a.HopsS3AFileSystem";

  private static final String STOCK_ABSTRACT_FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3A";
  private static final String HOPS_ABSTRACT_FILE_SYSTEM = "io.hops.util.s3a.HopsS3A";
  private static final Pattern FILE_SYSTEM = Pattern.compile("fs\\.([^.]+)\\.impl");
  private static final Pattern ABSTRACT_FILE_SYSTEM = Pattern.compile("fs\\.AbstractFileSystem\\.([^.]+)\\.impl");

  private final Configuration configuration;
  private final Map<String, String> fileSystems = new TreeMap<>();
  private final Map<String, String> abstractFileSystems = new TreeMap<>();

  private Schemes(Configuration configuration) {
    this.configuration = configuration;
    fileSystems.put(Keys.FILE_SYSTEM, OpenFileSystems.STOCK);
    abstractFileSystems.put(Keys.ABSTRACT_FILE_SYSTEM, STOCK_ABSTRACT_FILE_SYSTEM);
    for (Map.Entry<String, String> entry : configuration) {
      String value = entry.getValue().trim();
      if (FILE_SYSTEM.matcher(entry.getKey()).matches()) {
        fileSystems.put(entry.getKey(), value);
      } else if (ABSTRACT_FILE_SYSTEM.matcher(entry.getKey()).matches()) {
        abstractFileSystems.put(entry.getKey(), value);
      }
    }
  }

  /** Reads those of a configuration; looks at a copy, because others write to it meanwhile. */
  static Schemes of(Configuration configuration) {
    return new Schemes(new Configuration(configuration));
  }

  /** Lists the keys that lead these schemes through our classes, first those for FileContext. A class of the user's stays. */
  Map<String, String> ours() {
    Map<String, String> keys = new LinkedHashMap<>();
    abstractFileSystems.forEach(
        (key, value) -> {
          if (value.equals(STOCK_ABSTRACT_FILE_SYSTEM) || value.equals(HOPS_ABSTRACT_FILE_SYSTEM)) {
            keys.put(key, HOPS_ABSTRACT_FILE_SYSTEM);
          }
        });
    fileSystems.forEach(
        (key, value) -> {
          if (value.equals(OpenFileSystems.STOCK) || value.equals(HOPS_FILE_SYSTEM)) {
            keys.put(key, HOPS_FILE_SYSTEM);
          }
        });
    return keys;
  }

  /** Finds the key of a scheme whose class the user derived from S3A; null when there is none. */
  String findCustom() {
    for (String key : fileSystems.keySet()) {
      if (isCustom(key)) {
        return key;
      }
    }
    return null;
  }

  /** Lists the schemes that S3A reads, or a class derived from it. */
  List<String> list() {
    List<String> found = new ArrayList<>();
    for (String key : fileSystems.keySet()) {
      Matcher scheme = FILE_SYSTEM.matcher(key);
      if (scheme.matches() && areReadByS3a(scheme.group(1))) {
        found.add(scheme.group(1));
      }
    }
    return found;
  }

  /** Returns true if S3A reads paths of this scheme. */
  boolean areReadByS3a(String scheme) {
    String key = "fs." + scheme + ".impl";
    String value = fileSystems.get(key);
    return OpenFileSystems.STOCK.equals(value) || HOPS_FILE_SYSTEM.equals(value) || value != null && isCustom(key);
  }

  private boolean isCustom(String key) {
    String value = fileSystems.get(key);
    if (value.equals(OpenFileSystems.STOCK) || value.equals(HOPS_FILE_SYSTEM)) {
      return false;
    }
    Matcher scheme = FILE_SYSTEM.matcher(key);
    if (scheme.matches() && scheme.group(1).equals("s3a")) {
      return true;
    }
    try {
      return S3AFileSystem.class.isAssignableFrom(Class.forName(value, false, configuration.getClassLoader()));
    } catch (ClassNotFoundException | LinkageError e) {
      // It is not here, or lacks what it is derived from: not S3A, which is.
      return false;
    }
  }
}
