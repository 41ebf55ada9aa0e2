package io.hops.util.spark;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/**
 * Keys written to one Hadoop configuration, with what stood there before, so that they can be put back one by one.
 *
 * <p>What stood there before the first role, and what was written last, lies in the live store, which outlasts this object
 * and this copy of the jar.
 */
final class SavedKeys {
  private static final String PLACE = "hadoop:";

  private final Configuration configuration;
  private final Map<String, String[]> store;
  private final Map<String, String> found = new LinkedHashMap<>();

  SavedKeys(Configuration configuration, Map<String, String[]> store) {
    this.configuration = configuration;
    this.store = store;
  }

  /** Writes the keys and keeps what stood there. */
  void write(Map<String, String> keys) {
    for (Map.Entry<String, String> key : keys.entrySet()) {
      String name = key.getKey();
      found.putIfAbsent(name, configuration.getRaw(name));
      String[] first = store.get(PLACE + name);
      store.put(
          PLACE + name,
          new String[] {first == null ? configuration.getRaw(name) : first[0], key.getValue()});
      configuration.set(name, key.getValue());
    }
  }

  /** Overwrites those of the keys that still hold what we wrote last. Adds none. */
  void overwrite(Map<String, String> keys) {
    for (Map.Entry<String, String> key : keys.entrySet()) {
      String[] saved = store.get(PLACE + key.getKey());
      if (saved != null && saved[1].equals(configuration.getRaw(key.getKey()))) {
        store.put(PLACE + key.getKey(), new String[] {saved[0], key.getValue()});
        configuration.set(key.getKey(), key.getValue());
      }
    }
  }

  /** Puts back what {@link #write} found. */
  void undo() {
    for (Map.Entry<String, String> key : found.entrySet()) {
      String[] saved = store.get(PLACE + key.getKey());
      put(key.getKey(), key.getValue());
      if (key.getValue() == null || key.getValue().equals(saved[0])) {
        store.remove(PLACE + key.getKey());
      } else {
        store.put(PLACE + key.getKey(), new String[] {saved[0], key.getValue()});
      }
    }
    found.clear();
  }

  /** Puts back what stood there before the first role, where what stands there is still ours. */
  void release() {
    for (Map.Entry<String, String[]> key : store.entrySet()) {
      if (key.getKey().startsWith(PLACE)) {
        String name = key.getKey().substring(PLACE.length());
        if (key.getValue()[1].equals(configuration.getRaw(name))) {
          put(name, key.getValue()[0]);
        }
      }
    }
    forget();
  }

  /** Begins anew, for another configuration. */
  void forget() {
    store.keySet().removeIf(name -> name.startsWith(PLACE));
  }

  private void put(String name, String value) {
    if (value == null) {
      configuration.unset(name);
    } else {
      configuration.set(name, value);
    }
  }
}
