package io.hops.util.spark;

import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/**
 * A time in which jobs open their buckets anew instead of taking what Hadoop keeps open.
 *
 * <p>Problem: an executor that has no room for a task may keep a bucket open under an earlier identity, and everybody there would
 * read from it. Solution: Hadoop does not look at what is open when the configuration of a job says so. The time ends with the
 * last such executor, or with the roles, and not before: reading slowly is better than reading as somebody else. What is opened
 * meanwhile is closed when nobody reads from it any more ({@link io.hops.util.s3a.HopsS3AFileSystem}).
 */
final class UncachedBuckets {
  private final Configuration configuration;
  private final Map<String, String> before = new HashMap<>();
  private boolean hasWarned;

  UncachedBuckets(Configuration configuration) {
    this.configuration = configuration;
  }

  /** Begins such a time, unless it has begun. */
  void begin() {
    if (!before.isEmpty()) {
      return;
    }
    for (String scheme : Schemes.of(configuration).list()) {
      String key = "fs." + scheme + ".impl.disable.cache";
      before.put(key, configuration.getRaw(key));
      configuration.set(key, "true");
    }
  }

  /** Ends the time, if there is one: puts back what stood in the configuration, where the value is still ours. */
  void end() {
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
    before.clear();
    hasWarned = false;
  }

  /** Returns true once while such a time lasts. */
  boolean mayWarn() {
    boolean mayWarn = !before.isEmpty() && !hasWarned;
    hasWarned |= mayWarn;
    return mayWarn;
  }
}
