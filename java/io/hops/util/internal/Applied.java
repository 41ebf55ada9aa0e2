package io.hops.util.internal;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/**
 * What the roles in use have written beside the {@link LiveStore}, and what stood there before the first of them.
 *
 * <p>Does not change: whoever writes makes a new one, and puts it into the store when everything is written, last. Whoever
 * undoes puts the earlier one back.
 */
public final class Applied {
  /** Nothing, as before the first role. */
  static final Applied NOTHING = new Applied(null, null, null, Collections.emptyMap());

  // Under these names the parts travel to another copy of this jar; every other name is that of a key.
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

  /** A key of ours in a place that others write to as well. */
  public static final class WrittenKey {
    /** What it held before the first role; null for nothing. */
    public final String before;

    /** What we wrote last. */
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

  /**
   * The environment before the first role.
   *
   * @return access key id, secret access key, session token and mark, null for one that was not set; null while they are not
   *     ours
   */
  public String[] environment() {
    return environment;
  }

  /**
   * The mode in which the roles in use reached a context.
   *
   * @return the word; null when they have reached none
   */
  public String mode() {
    return mode;
  }

  /**
   * Whether the roles in use have reached this context.
   *
   * @param id the id of the context
   * @return true when everything of theirs is there
   */
  public boolean hasReached(String id) {
    return id.equals(context);
  }

  /**
   * Finds a key of ours.
   *
   * @param name the name, which begins with that of its place
   * @return what is known of it; null when it is not ours
   */
  public WrittenKey find(String name) {
    return keys.get(name);
  }

  /**
   * Lists the keys of ours in one place.
   *
   * @param place the beginning of their names
   * @return the keys by the rest of their names
   */
  public Map<String, WrittenKey> list(String place) {
    Map<String, WrittenKey> found = new TreeMap<>();
    keys.forEach(
        (name, key) -> {
          if (name.startsWith(place)) {
            found.put(name.substring(place.length()), key);
          }
        });
    return found;
  }

  /** The same, and the environment is ours; keeps what is known of it already. */
  Applied withEnvironment(String[] before) {
    return new Applied(environment == null ? before : environment, context, mode, keys);
  }

  /**
   * The same, and the roles in use have reached a context.
   *
   * @param id the id of the context
   * @param reachedIn see {@link #mode}
   * @return the new value
   */
  public Applied withContext(String id, String reachedIn) {
    return new Applied(environment, id, reachedIn, keys);
  }

  /**
   * The same with these keys, which replace those of the same names.
   *
   * @param written the keys by name
   * @return the new value
   */
  public Applied withKeys(Map<String, WrittenKey> written) {
    Map<String, WrittenKey> all = new HashMap<>(keys);
    all.putAll(written);
    return new Applied(environment, context, mode, all);
  }

  /**
   * The same without the keys of one place.
   *
   * @param place the beginning of their names
   * @return the new value
   */
  public Applied withoutKeys(String place) {
    Map<String, WrittenKey> others = new HashMap<>(keys);
    others.keySet().removeIf(name -> name.startsWith(place));
    return new Applied(environment, context, mode, others);
  }

  /** In JDK types, for another copy of this jar: by name two texts, of the environment four. */
  Map<String, String[]> toMap() {
    Map<String, String[]> map = new HashMap<>();
    keys.forEach((name, key) -> map.put(name, new String[] {key.before, key.last}));
    if (environment != null) {
      map.put(ENVIRONMENT, environment);
    }
    if (context != null) {
      map.put(CONTEXT, new String[] {context, mode});
    }
    return map;
  }

  /** Reads {@link #toMap} of another copy of this jar. */
  static Applied fromMap(Map<String, String[]> map) {
    Map<String, WrittenKey> keys = new HashMap<>();
    map.forEach((name, texts) -> keys.put(name, new WrittenKey(texts[0], texts[1])));
    keys.remove(ENVIRONMENT);
    keys.remove(CONTEXT);
    String[] context = map.getOrDefault(CONTEXT, new String[2]);
    return new Applied(map.get(ENVIRONMENT), context[0], context[1], keys);
  }

  /** Shows context, mode and the names of the keys; never a value. */
  @Override
  public String toString() {
    return "Applied{context=" + context + ", mode=" + mode + ", keys=" + new TreeMap<>(keys).keySet() + "}";
  }
}
