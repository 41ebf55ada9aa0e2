package io.hops.util.internal;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A record of what the roles in use have written beside the {@link LiveStore}, and of what stood there before the first role.
 *
 * <p>Immutable. Whoever writes makes a new record, and puts it into the store last, when everything is written. Whoever undoes
 * puts the earlier record back.
 */
public final class Applied {
  /** The record before the first role: nothing is written. */
  public static final Applied NOTHING = new Applied(new String[0], null, null, Collections.emptyMap());

  // The names of these parts on their way to another copy of this jar. Every other name there is that of a key.
  private static final String ENVIRONMENT = "environment";
  private static final String CONTEXT = "spark";

  private final String[] environment;
  private final String context;
  private final String mode;
  private final Map<String, WrittenKey> keys;

  private Applied(String[] environment, String context, String mode, Map<String, WrittenKey> keys) {
    this.environment = environment;
    this.context = context;
    this.mode = mode;
    this.keys = keys;
  }

  /** A key that we wrote to a place where others write too. */
  public static final class WrittenKey {
    /** Its value before the first role; null when there was none. */
    public final String before;

    /** The value that we wrote last. */
    public final String last;

    /**
     * Keeps both.
     *
     * @param before see {@link #before}
     * @param last see {@link #last}
     */
    public WrittenKey(String before, String last) {
      this.before = before;
      this.last = last;
    }
  }

  /** Returns what we wrote to the environment, see {@link WrittenEnvironment#record}; empty while we have not. */
  String[] environment() {
    return environment;
  }

  /**
   * Returns true if a variable holds what we wrote.
   *
   * @param variable its name
   * @return false also for one that a role takes out
   */
  public boolean hasWritten(String variable) {
    int at = find(variable, environment);
    return at >= 0 && environment[at + 2] != null;
  }

  /**
   * Returns what a variable held before the first role.
   *
   * @param variable the name of one that we wrote
   * @return its value; null when it was not set
   */
  public String environmentBefore(String variable) {
    return environment[find(variable, environment) + 1];
  }

  private static int find(String variable, String[] record) {
    for (int i = 0; i < record.length; i += 3) {
      if (record[i].equals(variable)) {
        return i;
      }
    }
    return -1;
  }

  /**
   * Returns the mode in which the roles in use have reached a context.
   *
   * @return the mode; null when they have reached no context
   */
  public String mode() {
    return mode;
  }

  /**
   * Returns true if and only if the roles in use have reached this context.
   *
   * @param id the id of the context
   * @return true when all of their effect is in place
   */
  public boolean hasReached(String id) {
    return id.equals(context);
  }

  /**
   * Finds a key of ours.
   *
   * @param name the full name, which begins with the prefix of its place
   * @return the key; null when we have not written it
   */
  public WrittenKey find(String name) {
    return keys.get(name);
  }

  /**
   * Lists our keys in one place.
   *
   * @param prefix the beginning of their names
   * @return the keys by the rest of their names
   */
  public Map<String, WrittenKey> list(String prefix) {
    Map<String, WrittenKey> found = new TreeMap<>();
    keys.forEach(
        (name, key) -> {
          if (name.startsWith(prefix)) {
            found.put(name.substring(prefix.length()), key);
          }
        });
    return found;
  }

  /** Returns a record in which we have written this to the environment. */
  Applied withEnvironment(String[] record) {
    return new Applied(record, context, mode, keys);
  }

  /**
   * Returns a record in which the roles in use have reached a context.
   *
   * @param id the id of the context
   * @param reachedIn see {@link #mode}
   * @return the new record
   */
  public Applied withContext(String id, String reachedIn) {
    return new Applied(environment, id, reachedIn, keys);
  }

  /**
   * Returns a record with these keys, which replace those of the same names.
   *
   * @param written the keys by name
   * @return the new record
   */
  public Applied withKeys(Map<String, WrittenKey> written) {
    Map<String, WrittenKey> all = new HashMap<>(keys);
    all.putAll(written);
    return new Applied(environment, context, mode, all);
  }

  /**
   * Returns a record without the keys of one place.
   *
   * @param prefix the beginning of their names
   * @return the new record
   */
  public Applied withoutKeys(String prefix) {
    Map<String, WrittenKey> others = new HashMap<>(keys);
    others.keySet().removeIf(name -> name.startsWith(prefix));
    return new Applied(environment, context, mode, others);
  }

  /** Converts to JDK types, for another copy of this jar: two texts for each key, three for each variable. */
  Map<String, String[]> toMap() {
    // An older copy of this jar takes the map over as its own, and reads it without a lock.
    Map<String, String[]> map = new ConcurrentHashMap<>();
    keys.forEach((name, key) -> map.put(name, new String[] {key.before, key.last}));
    map.put(ENVIRONMENT, environment);
    if (context != null) {
      map.put(CONTEXT, new String[] {context, mode});
    }
    return map;
  }

  /** Converts back from what {@link #toMap} of another copy of this jar returned. */
  static Applied fromMap(Map<String, String[]> map) {
    Map<String, WrittenKey> keys = new HashMap<>();
    map.forEach(
        (name, texts) -> {
          if (!name.equals(ENVIRONMENT) && !name.equals(CONTEXT)) {
            keys.put(name, new WrittenKey(texts[0], texts[1]));
          }
        });
    String[] context = map.getOrDefault(CONTEXT, new String[2]);
    return new Applied(map.getOrDefault(ENVIRONMENT, new String[0]), context[0], context[1], keys);
  }

  /** Shows context, mode and the names of the keys; never a value. */
  @Override
  public String toString() {
    return "Applied{context=" + context + ", mode=" + mode + ", keys=" + new TreeMap<>(keys).keySet() + "}";
  }
}
