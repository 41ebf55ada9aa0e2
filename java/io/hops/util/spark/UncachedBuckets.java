package io.hops.util.spark;

import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;

/**
 * A time in which jobs open their buckets anew instead of taking what Hadoop keeps open.
 *
 * <p>Problem: an executor that has no room for a task may keep a bucket open under an earlier identity, and everybody there would
 * read from it. Solution: Hadoop does not look at what is open when the configuration of a job says so.
 */
final class UncachedBuckets {
  private static final Pattern IMPLEMENTATION = Pattern.compile("fs\\.([^.]+)\\.impl");

  /** By context, how many such times have begun and not ended; and what stood in the configuration before. */
  private static final Map<Configuration, UncachedBuckets> ACTIVE = new HashMap<>();

  private final Configuration configuration;
  private final Map<String, String> before = new HashMap<>();
  private int count;

  private UncachedBuckets(Configuration configuration) {
    this.configuration = configuration;
  }

  /** Begins such a time. Each ends by itself, see {@link #end}. */
  static synchronized UncachedBuckets begin(SparkContext context) {
    Configuration configuration = context.hadoopConfiguration();
    UncachedBuckets times = ACTIVE.computeIfAbsent(configuration, UncachedBuckets::new);
    if (times.count++ == 0) {
      times.write();
    }
    return times;
  }

  private void write() {
    for (Map.Entry<String, String> entry : new Configuration(configuration)) {
      Matcher implementation = IMPLEMENTATION.matcher(entry.getKey());
      boolean isFileSystem = implementation.matches();
      if (isFileSystem && (implementation.group(1).equals("s3a") || entry.getValue().equals(Mode.HOPS_FILE_SYSTEM))) {
        String key = entry.getKey() + ".disable.cache";
        before.put(key, configuration.getRaw(key));
        configuration.set(key, "true");
      }
    }
  }

  /** Ends the time; when it was the last, puts back what stood in the configuration, where the value is still ours. */
  void end() {
    synchronized (UncachedBuckets.class) {
      if (--count > 0) {
        return;
      }
      ACTIVE.remove(configuration);
      before.forEach(
          (key, value) -> {
            if (!"true".equals(configuration.getRaw(key))) {
              return;
            }
            if (value == null) {
              configuration.unset(key);
            } else {
              configuration.set(key, value);
            }
          });
    }
  }
}
