package io.hops.util.spark;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.UnaryOperator;

/**
 * Keys written to one place, with what stood there before, so that they can be put back one by one.
 *
 * <p>What stood there before the first role, and what was written last, lies in the live store, which outlasts this object
 * and this copy of the jar.
 */
final class SavedKeys {
  private final String place;
  private final Map<String, String[]> store;
  private final UnaryOperator<String> get;
  private final UnaryOperator<String> before;
  private final BiConsumer<String, String> put;
  private final Map<String, String> found = new LinkedHashMap<>();

  /**
   * Takes the name of the place, unlike that of any other, what a key holds there, what it held before the first role if
   * that is asked at the first write, and what sets it; null removes it.
   */
  SavedKeys(
      String place,
      Map<String, String[]> store,
      UnaryOperator<String> get,
      UnaryOperator<String> before,
      BiConsumer<String, String> put) {
    this.place = place;
    this.store = store;
    this.get = get;
    this.before = before;
    this.put = put;
  }

  /** Writes the keys and keeps what stood there. */
  void write(Map<String, String> keys) {
    for (Map.Entry<String, String> key : keys.entrySet()) {
      String name = key.getKey();
      found.putIfAbsent(name, get.apply(name));
      String[] first = store.get(place + name);
      store.put(
          place + name,
          new String[] {first == null ? before.apply(name) : first[0], key.getValue()});
      put.accept(name, key.getValue());
    }
  }

  /** Overwrites those of the keys that still hold what we wrote last. Adds none. */
  void overwrite(Map<String, String> keys) {
    for (Map.Entry<String, String> key : keys.entrySet()) {
      String[] saved = store.get(place + key.getKey());
      if (saved != null && saved[1].equals(get.apply(key.getKey()))) {
        store.put(place + key.getKey(), new String[] {saved[0], key.getValue()});
        put.accept(key.getKey(), key.getValue());
      }
    }
  }

  /** Puts back what {@link #write} found. */
  void undo() {
    for (Map.Entry<String, String> key : found.entrySet()) {
      String[] saved = store.get(place + key.getKey());
      put.accept(key.getKey(), key.getValue());
      if (key.getValue() == null || key.getValue().equals(saved[0])) {
        store.remove(place + key.getKey());
      } else {
        store.put(place + key.getKey(), new String[] {saved[0], key.getValue()});
      }
    }
    found.clear();
  }

  /** Puts back what stood there before the first role, where what stands there is still ours. */
  void release() {
    for (Map.Entry<String, String[]> key : store.entrySet()) {
      if (key.getKey().startsWith(place)) {
        String name = key.getKey().substring(place.length());
        if (key.getValue()[1].equals(get.apply(name))) {
          put.accept(name, key.getValue()[0]);
        }
      }
    }
    forget();
  }

  /** Begins anew, for another configuration. */
  void forget() {
    store.keySet().removeIf(name -> name.startsWith(place));
  }
}
