package io.hops.util.spark;

import io.hops.util.internal.Applied;
import io.hops.util.internal.Applied.WrittenKey;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.UnaryOperator;

/** Keys written to one place, with what stood there before, so that they can be put back one by one. */
final class SavedKeys {
  private final String place;
  private final UnaryOperator<String> get;
  private final BiConsumer<String, String> put;
  private final Map<String, String> found = new LinkedHashMap<>();

  /**
   * Writes nothing yet.
   *
   * @param place the name of the place, with which the names of its keys begin in {@link Applied}
   * @param get what a key holds there
   * @param put sets a key there; null removes it
   */
  SavedKeys(String place, UnaryOperator<String> get, BiConsumer<String, String> put) {
    this.place = place;
    this.get = get;
    this.put = put;
  }

  /**
   * Writes the keys and keeps what stood there.
   *
   * @param applied what is known of the place
   * @param keys the keys with their values
   * @param withoutUs what a key that is not ours yet would hold without us
   * @return what is known of the place now
   */
  Applied write(Applied applied, Map<String, String> keys, UnaryOperator<String> withoutUs) {
    Map<String, WrittenKey> written = new LinkedHashMap<>();
    keys.forEach(
        (name, value) -> {
          found.putIfAbsent(name, get.apply(name));
          WrittenKey known = applied.find(place + name);
          String before = known == null ? withoutUs.apply(name) : known.before;
          written.put(place + name, new WrittenKey(before, value));
          put.accept(name, value);
        });
    return applied.withKeys(written);
  }

  /** Overwrites those of the keys that still hold what we wrote last. Adds none. */
  Applied overwrite(Applied applied, Map<String, String> keys) {
    Map<String, WrittenKey> written = new LinkedHashMap<>();
    keys.forEach(
        (name, value) -> {
          WrittenKey known = applied.find(place + name);
          if (known != null && known.last.equals(get.apply(name))) {
            written.put(place + name, new WrittenKey(known.before, value));
            put.accept(name, value);
          }
        });
    return applied.withKeys(written);
  }

  /** Puts back what {@link #write} found. */
  void undo() {
    found.forEach(put);
    found.clear();
  }

  /** Puts back what stood there before the first role, where what stands there is still ours. */
  void release(Applied applied) {
    applied
        .list(place)
        .forEach(
            (name, key) -> {
              if (key.last.equals(get.apply(name))) {
                put.accept(name, key.before);
              }
            });
  }
}
