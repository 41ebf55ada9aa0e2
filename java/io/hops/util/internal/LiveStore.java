package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * The roles in use in this JVM, and the refresher that keeps them fresh.
 *
 * <p>Problem: two class loaders may hold two copies of this jar (sbt's second {@code run}, a notebook with {@code --jars},
 * system and user class path), and statics would make two stores that overwrite each other's work.
 *
 * <p>Solution: one slot of {@code System.getProperties()}. The copy that called {@code assumeRole} last owns the slot and has
 * taken over the store that it found there; a copy that is not the owner writes nothing. Copies talk to the object in the
 * slot in JDK types only: {@code apply(question, argument)}, with one question for each constant below.
 */
public final class LiveStore implements BiFunction<String, Object, Object> {
  private static final String SLOT = "io.hops.util.live.1";

  /** Argument: a bucket. Answer: {@link LiveSet#answer}. */
  private static final String CREDENTIALS = "credentials";

  /** Answer: {@link LiveSet#toBytes}. */
  private static final String SET = "set";

  /** Answer: {@link #fetches}, each as {@link Fetch#toFunction}. */
  private static final String FETCHES = "fetches";

  /** Answer: {@link Applied#toMap}. */
  private static final String SAVED = "saved";

  /** Argument: a bucket or {@link LiveRole#APPLICATION}. Answer: {@link Refresher#times}. */
  private static final String TIMES = "times";

  private final Refresher refresher = new Refresher(this);
  private final Map<String, Fetch> fetches;
  private volatile Applied applied;
  private volatile LiveSet set;

  private LiveStore(LiveSet set, Map<String, Fetch> fetches, Applied applied) {
    this.set = set;
    this.fetches = fetches;
    this.applied = applied;
  }

  /** Makes this copy the owner of the slot, takes over what another copy left there, and returns the store. */
  static LiveStore own() {
    synchronized (LiveRoles.LOCK) {
      Object there = System.getProperties().get(SLOT);
      if (there instanceof LiveStore) {
        return (LiveStore) there;
      }
      LiveStore store;
      if (there == null) {
        store = new LiveStore(LiveSet.empty(), new ConcurrentHashMap<>(), Applied.NOTHING);
      } else {
        store = new LiveStore(read(there), readFetches(there), readApplied(there));
      }
      System.getProperties().put(SLOT, store);
      return store;
    }
  }

  /**
   * Returns what a reader of a bucket in this JVM gets now, whichever copy owns the store.
   *
   * @param bucket the bucket
   * @return see {@link LiveSet#answer}; null without a store: this JVM has not assumed a role
   */
  public static Object[] answer(String bucket) {
    Object there = System.getProperties().get(SLOT);
    return there == null ? null : (Object[]) ask(there, CREDENTIALS, bucket);
  }

  /**
   * Returns the newest set in the form in which it travels, whichever copy owns the store.
   *
   * @return the bytes; null without a store
   */
  public static byte[] findBytes() {
    Object there = System.getProperties().get(SLOT);
    return there == null ? null : (byte[]) ask(there, SET, null);
  }

  /**
   * Returns when the credentials of a bucket were and will be refreshed, see {@link Refresher#times}.
   *
   * @param bucket the bucket; {@link LiveRole#APPLICATION} for the role of the application
   * @return milliseconds since 1970; null without a store
   */
  public static long[] refreshTimes(String bucket) {
    Object there = System.getProperties().get(SLOT);
    return there == null ? null : (long[]) ask(there, TIMES, bucket);
  }

  /**
   * Returns what the roles in use have written elsewhere in this JVM, whichever copy owns the store.
   *
   * @return the newest value; that of an untouched JVM without a store
   */
  public static Applied findApplied() {
    Object there = System.getProperties().get(SLOT);
    if (there == null) {
      return Applied.NOTHING;
    }
    return there instanceof LiveStore ? ((LiveStore) there).applied : readApplied(there);
  }

  /**
   * Returns the roles in use in this JVM, whichever copy owns the store.
   *
   * @return the newest set; null without a store
   */
  public static LiveSet findCurrent() {
    Object there = System.getProperties().get(SLOT);
    if (there == null) {
      return null;
    }
    return there instanceof LiveStore ? ((LiveStore) there).set : read(there);
  }

  @SuppressWarnings("unchecked")
  private static Applied readApplied(Object there) {
    return Applied.fromMap((Map<String, String[]>) ask(there, SAVED, null));
  }

  /** Reads the fetches. Buckets that share one there share one here. */
  @SuppressWarnings("unchecked")
  private static Map<String, Fetch> readFetches(Object there) {
    Map<Function<long[], Object[]>, Fetch> known = new IdentityHashMap<>();
    Map<String, Fetch> fetches = new ConcurrentHashMap<>();
    ((Map<String, Function<long[], Object[]>>) ask(there, FETCHES, null))
        .forEach((bucket, fetch) -> fetches.put(bucket, known.computeIfAbsent(fetch, Fetch::fromOtherCopy)));
    return fetches;
  }

  private static LiveSet read(Object there) {
    try {
      return LiveSet.fromBytes((byte[]) ask(there, SET, null));
    } catch (IOException e) {
      throw new IllegalStateException("two versions of hops-credentials in one JVM", e);
    }
  }

  @SuppressWarnings("unchecked")
  private static Object ask(Object there, String question, Object argument) {
    return ((BiFunction<String, Object, Object>) there).apply(question, argument);
  }

  /** Returns true if this copy is still the owner of the slot. */
  boolean isOwner() {
    return System.getProperties().get(SLOT) == this;
  }

  /**
   * Returns the roles in use.
   *
   * @return the newest set
   */
  public LiveSet current() {
    return set;
  }

  /** Replaces the set. Readers see the new one from their next request on. */
  void replace(LiveSet newer) {
    this.set = newer;
  }

  /**
   * Keeps which providers of S3A the roles in use take the place of. Call it under the JVM-wide lock only.
   *
   * @param providers what the configuration of the application named before
   */
  public void keepEarlierProviders(Set<String> providers) {
    replace(set.withEarlierProviders(providers));
  }

  /**
   * Keeps which buckets are read with something else than the role of the application. Call it under the JVM-wide lock only.
   *
   * @param keys all of them, see {@link LiveSet#findOwnKeys}
   */
  public void keepOwnKeys(Map<String, String> keys) {
    replace(set.withOnlyOwnKeys(keys));
  }

  /**
   * Keeps how the environment of executors has to change. Call it under the JVM-wide lock only.
   *
   * @param isLed false where the application's executors are to stay as they are
   * @throws CloudCredentialException when the setting that switches this off has a value that is neither true nor false
   */
  public void keepEndpointVariables(boolean isLed) throws CloudCredentialException {
    String[] variables = isLed ? Native.loaded().endpointVariables(JvmSettings.read()) : new String[0];
    replace(set.withEndpointVariables(Arrays.asList(variables)));
  }

  /** Returns, by bucket, the fetch that brings its credentials. Buckets of one request share one. */
  Map<String, Fetch> fetches() {
    return fetches;
  }

  /** Lists the buckets that one fetch serves. */
  Set<String> buckets(Fetch fetch) {
    Set<String> buckets = new TreeSet<>();
    fetches.forEach(
        (bucket, other) -> {
          if (other == fetch) {
            buckets.add(bucket);
          }
        });
    return buckets;
  }

  /** Returns the refresher of this store. */
  Refresher refresher() {
    return refresher;
  }

  /**
   * Returns what the roles in use have written elsewhere.
   *
   * @return the newest value
   */
  public Applied applied() {
    return applied;
  }

  /**
   * Replaces the record of what the roles in use have written elsewhere. Call it under the JVM-wide lock only.
   *
   * @param newer the new value
   */
  public void replace(Applied newer) {
    this.applied = newer;
  }

  @Override
  public Object apply(String question, Object argument) {
    switch (question) {
      case CREDENTIALS:
        return answer(set, (String) argument);
      case SET:
        return set.toBytes();
      case FETCHES:
        // An older copy of this jar takes the map over as its own, and reads it without a lock.
        Map<String, Function<long[], Object[]>> functions = new ConcurrentHashMap<>();
        fetches.forEach((bucket, fetch) -> functions.put(bucket, fetch.toFunction()));
        return functions;
      case SAVED:
        return applied.toMap();
      case TIMES:
        return refresher.times(fetches.get((String) argument));
      default:
        throw new IllegalArgumentException(question);
    }
  }

  private Object[] answer(LiveSet now, String bucket) {
    Object[] answer = now.answer(bucket, System.currentTimeMillis());
    if (answer.length == 3) {
      return answer;
    }
    LiveRole role = now.find(bucket);
    if (role != null && refresher.isGood(fetches.get(role.bucket), role)) {
      // Only the time of day says otherwise, and it is wrong.
      return now.answer(bucket, role.expirationMillis - 1);
    }
    // A machine that slept has credentials that ended, and a refresher that does not know.
    refresher.wake();
    return answer;
  }

  /** Shows nothing: whoever lists the system properties sees this text. */
  @Override
  public String toString() {
    return "***";
  }
}
