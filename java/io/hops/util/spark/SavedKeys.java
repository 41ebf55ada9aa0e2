package io.hops.util.spark;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/** Keys written to a Hadoop configuration, with what stood there before, so that they can be put back one by one. */
final class SavedKeys {
  private final Configuration configuration;
  private final Map<String, String> before = new LinkedHashMap<>();

  SavedKeys(Configuration configuration) {
    this.configuration = configuration;
  }

  /** Writes the keys; what stood there before the first write of a key is kept. */
  void write(Map<String, String> keys) {
    for (Map.Entry<String, String> key : keys.entrySet()) {
      if (!before.containsKey(key.getKey())) {
        before.put(key.getKey(), configuration.getRaw(key.getKey()));
      }
      configuration.set(key.getKey(), key.getValue());
    }
  }

  /** Puts back what stood there before the first write. Safe twice. */
  void restore() {
    for (Map.Entry<String, String> key : before.entrySet()) {
      if (key.getValue() == null) {
        configuration.unset(key.getKey());
      } else {
        configuration.set(key.getKey(), key.getValue());
      }
    }
    before.clear();
  }
}
