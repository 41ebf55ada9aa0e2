package io.hops.util.spark;

import io.hops.util.internal.Applied;
import io.hops.util.internal.Applied.WrittenKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.UnaryOperator;

/** Writes keys to one place, and puts back one by one what stood there before. */
final class SavedKeys {
  private final String prefix;
  private final UnaryOperator<String> get;
  private final BiConsumer<String, String> put;
  private final Map<String, String> found = new LinkedHashMap<>();

  /**
   * Describes the place, and writes nothing yet.
   *
   * @param prefix the beginning of the names of its keys in {@link Applied}
   * @param get returns the value of a key there, or null
   * @param put sets a key there; the value null removes it
   */
  SavedKeys(String prefix, UnaryOperator<String> get, BiConsumer<String, String> put) {
    this.prefix = prefix;
    this.get = get;
    this.put = put;
  }

  /**
   * Writes the keys, and remembers what stood there.
   *
   * @param applied the record so far
   * @param keys the keys with their values
   * @param withoutUs returns the value that a key would have without us; asked for keys that do not hold what we wrote last
   * @return the record with these keys
   */
  Applied write(Applied applied, Map<String, String> keys, UnaryOperator<String> withoutUs) {
    Map<String, WrittenKey> written = new LinkedHashMap<>();
    keys.forEach(
        (name, value) -> {
          found.putIfAbsent(name, get.apply(name));
          WrittenKey known = applied.find(prefix + name);
          // Somebody else may have written since: that is what comes back then.
          String before = isOurs(applied, name) ? known.before : withoutUs.apply(name);
          written.put(prefix + name, new WrittenKey(before, value));
          put.accept(name, value);
        });
    return applied.withKeys(written);
  }

  /**
   * Overwrites keys that belong together, as long as all of them hold what we wrote last, and returns the record. Adds no key. Where
   * somebody else has written some of them, puts back the others: a mixture is nobody's.
   */
  Applied overwrite(Applied applied, Map<String, String> keys) {
    Map<String, WrittenKey> written = new LinkedHashMap<>();
    boolean areOurs = keys.keySet().stream().allMatch(name -> isOurs(applied, name));
    keys.forEach(
        (name, value) -> {
          if (isOurs(applied, name)) {
            String before = applied.find(prefix + name).before;
            if (areOurs) {
              written.put(prefix + name, new WrittenKey(before, value));
            }
            put.accept(name, areOurs ? value : before);
          }
        });
    return applied.withKeys(written);
  }

  private boolean isOurs(Applied applied, String name) {
    WrittenKey known = applied.find(prefix + name);
    return known != null && known.last.equals(get.apply(name));
  }

  /**
   * Puts back what {@link #write} found, the last first: whoever copies the place meanwhile finds what stood there while we
   * wrote.
   */
  void undo() {
    List<String> names = new ArrayList<>(found.keySet());
    Collections.reverse(names);
    names.forEach(name -> put.accept(name, found.get(name)));
    found.clear();
  }

  /**
   * Restores what stood there before the first role, where the value is still ours.
   *
   * @param first the names of keys to restore before all others
   */
  void release(Applied applied, String... first) {
    Map<String, WrittenKey> keys = applied.list(prefix);
    Set<String> names = new LinkedHashSet<>(Arrays.asList(first));
    names.retainAll(keys.keySet());
    names.addAll(keys.keySet());
    for (String name : names) {
      if (keys.get(name).last.equals(get.apply(name))) {
        put.accept(name, keys.get(name).before);
      }
    }
  }
}
