package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.logging.Logger;

/** Assumes and releases roles: in the live store, in every place beside it, and in the refresher. All of it, or nothing. */
public final class LiveRoles {
  // A literal is one object in the whole JVM, so copies of this class in two class loaders exclude each other. The text is
  // part of what the copies agree on; it is not the name of a class.
  static final Object LOCK = "io.hops.util.internal.Roles";

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** The fetches in flight. Callers who ask for the same at the same time share one. */
  private static final Map<RoleRequest, FutureTask<Fetched>> FLIGHTS =
      new ConcurrentHashMap<>();

  /** The newest failure to apply the roles to a new context. Threads that waited for that try share it. */
  private static volatile CloudCredentialException lastFailure;

  private LiveRoles() {}

  /**
   * Assumes the role of a request, and keeps its credentials fresh.
   *
   * @param request the request; the caller must not change it afterwards
   * @param buckets the buckets that read with the role; none for the application
   * @return the credentials
   * @throws CloudCredentialException when there are none, or a place cannot be written; then every place is as before
   */
  public static Credentials assume(RoleRequest request, Collection<String> buckets)
      throws CloudCredentialException {
    requireDriver();
    refuseSharedServer();
    return fetchAndAssume(request, buckets);
  }

  /**
   * Assumes a role because the operator's configuration says so.
   *
   * @param request the request; the caller must not change it afterwards
   * @throws CloudCredentialException when there are no credentials, or a place cannot be written; then every place is as
   *     before
   */
  public static void assumeForOperator(RoleRequest request) throws CloudCredentialException {
    fetchAndAssume(request, Collections.emptyList());
  }

  /**
   * Applies the roles in use to a SparkContext that was made after them. Does nothing without such a context or a role.
   *
   * @throws CloudCredentialException when a place cannot be written; then the context is as before
   */
  public static void applyToNewContext() throws CloudCredentialException {
    applyToNewContext(HostLoader.host());
  }

  static void applyToNewContext(Host host) throws CloudCredentialException {
    if (host.findPending() == null) {
      return;
    }
    CloudCredentialException earlier = lastFailure;
    synchronized (LOCK) {
      if (host.findPending() == null) {
        return;
      }
      CloudCredentialException failure = lastFailure;
      if (failure != earlier) {
        // Another thread tried while this one waited. Each try can take many seconds.
        throw failure;
      }
      try {
        LiveStore store = LiveStore.own();
        store.refresher().adopt();
        applyPending(store, host);
      } catch (CloudCredentialException e) {
        lastFailure = e;
        throw e;
      }
    }
  }

  private static Credentials fetchAndAssume(RoleRequest request, Collection<String> buckets)
      throws CloudCredentialException {
    Fetched fetched = fetch(request);
    // Asks for the same role by its name: an administrator may change the default, and this application must stay.
    RoleRequest same = request.withRole(fetched.credentials.getRoleArn());
    same.firstSessionName = fetched.sessionName;
    return assume(buckets, fetched, new RequestFetch(same));
  }

  /**
   * Returns the credentials that a bucket reads with now.
   *
   * @param bucket the bucket; {@link LiveRole#APPLICATION} for the role of the application
   * @return a snapshot; null when no role is in use
   * @throws CloudCredentialException on an executor that received them damaged, or when they cannot be applied to a
   *     SparkContext that was made after the role
   */
  public static Credentials current(String bucket) throws CloudCredentialException {
    applyToNewContext();
    LiveRole role = find(bucket);
    return role == null ? null : role.credentials();
  }

  /** Finds the role that a bucket reads with now; null when no role is in use. Throws on an executor that received it damaged. */
  static LiveRole find(String bucket) throws CloudCredentialException {
    try {
      LiveSet here = LiveStore.findCurrent();
      LiveSet set = here == null ? HostLoader.host().readPushed() : here;
      return set == null ? null : set.find(bucket);
    } catch (IOException e) {
      throw new CloudCredentialException(e.getMessage(), e, 0);
    }
  }

  /**
   * Refuses to go on in a JVM that only reads with roles.
   *
   * @throws CloudCredentialException on an executor
   */
  public static void requireDriver() throws CloudCredentialException {
    if (HostLoader.host().isExecutor()) {
      throw new CloudCredentialException(
          "roles are assumed, listed and released on the driver, and this is an executor; call it on the driver, outside"
              + " of map, foreach and UDFs");
    }
  }

  /**
   * Refuses to go on in a server whose users would share the role.
   *
   * @throws CloudCredentialException in a Thrift or Connect server
   */
  public static void refuseSharedServer() throws CloudCredentialException {
    HostLoader.host().refuseSharedServer();
  }

  private static Fetched fetch(RoleRequest request) throws CloudCredentialException {
    FutureTask<Fetched> own = new FutureTask<>(() -> new RequestFetch(request).fetchFirst());
    FutureTask<Fetched> flight = FLIGHTS.putIfAbsent(request, own);
    if (flight == null) {
      flight = own;
      try {
        own.run();
      } finally {
        FLIGHTS.remove(request);
      }
    }
    try {
      return flight.get();
    } catch (ExecutionException e) {
      Throwable cause = e.getCause();
      if (cause instanceof CloudCredentialException) {
        throw (CloudCredentialException) cause;
      }
      if (cause instanceof RuntimeException) {
        throw (RuntimeException) cause;
      }
      throw (Error) cause;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CloudCredentialException("interrupted while another thread fetched the credentials", e, 0);
    }
  }

  /**
   * Makes buckets, or the application, read with credentials, and keeps these fresh.
   *
   * @param buckets the buckets; none for the application
   * @param fetched the credentials
   * @param fetch brings newer ones
   * @return the credentials
   * @throws CloudCredentialException when a place cannot be written; then every place is as before
   */
  static Credentials assume(
      Collection<String> buckets, Fetched fetched, Fetch fetch)
      throws CloudCredentialException {
    Set<String> assigned =
        buckets.isEmpty() ? Collections.singleton(LiveRole.APPLICATION) : new TreeSet<>(buckets);
    List<LiveRole> roles = new ArrayList<>();
    for (String bucket : assigned) {
      roles.add(LiveRole.from(bucket, fetched));
    }
    synchronized (LOCK) {
      LiveStore store = LiveStore.own();
      LiveSet before = store.current();
      Map<String, Fetch> fetchesBefore = new HashMap<>(store.fetches());
      store.replace(before.assume(roles));
      for (String bucket : assigned) {
        store.fetches().put(bucket, fetch);
      }
      // Comes before anything slow: short-lived credentials could end while executors are asked.
      store
          .refresher()
          .schedule(
              fetch, fetched.refreshAfterMillis, fetched.validForMillis, fetched.credentials.getExpiration().toEpochMilli());
      store.refresher().adopt();
      try {
        apply(store, assigned, before, effects());
      } catch (CloudCredentialException | RuntimeException | Error e) {
        store.fetches().keySet().retainAll(fetchesBefore.keySet());
        store.fetches().putAll(fetchesBefore);
        store.refresher().adopt();
        throw e;
      }
      store.refresher().forgetUnused();
      log(before, roles, assigned, fetched.sessionName);
    }
    return roles.get(0).credentials();
  }

  /** Applies the roles in use to a place that they have not reached, if there is one; leaves it as before when that fails. */
  static void applyPending(LiveStore store, Host host) throws CloudCredentialException {
    Effect pending = host.findPending();
    if (pending != null) {
      apply(store, store.current().buckets(), store.current(), Collections.singletonList(pending));
    }
  }

  /**
   * Takes newer credentials, or the reason why there are none, to every place that the roles in use have reached. One that fails
   * keeps the others from nothing.
   */
  static void refresh(LiveStore store) throws CloudCredentialException {
    refresh(store, effects());
  }

  static void refresh(LiveStore store, List<Effect> effects) throws CloudCredentialException {
    CloudCredentialException failure = null;
    for (Effect effect : effects) {
      try {
        effect.refresh(store);
      } catch (CloudCredentialException | RuntimeException | Error e) {
        CloudCredentialException next =
            e instanceof CloudCredentialException
                ? (CloudCredentialException) e
                : new CloudCredentialException(e.toString(), e, 0);
        if (failure == null) {
          failure = next;
        } else {
          failure.addSuppressed(next);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  /** Applies the effects in order. When one throws, undoes it and those before it in reverse. */
  static void apply(LiveStore store, Set<String> buckets, LiveSet before, List<Effect> effects)
      throws CloudCredentialException {
    Deque<Effect> begun = new ArrayDeque<>();
    try {
      for (Effect effect : effects) {
        begun.push(effect);
        effect.apply(store, buckets);
      }
    } catch (CloudCredentialException | RuntimeException | Error e) {
      if (store.current() != before) {
        store.replace(store.current().rollBackTo(before));
      }
      for (Effect effect : begun) {
        try {
          effect.undo(store);
        } catch (RuntimeException | Error undo) {
          e.addSuppressed(undo);
        }
      }
      throw e;
    }
  }

  /**
   * Ends the use of all roles. Does nothing when no role is in use.
   *
   * @throws CloudCredentialException on an executor, or when the native library is not there
   */
  public static void release() throws CloudCredentialException {
    requireDriver();
    refuseSharedServer();
    synchronized (LOCK) {
      LiveSet here = LiveStore.findCurrent();
      if (here == null || here.roles().isEmpty()) {
        return;
      }
      LiveStore store = LiveStore.own();
      store.fetches().clear();
      store.refresher().forgetUnused();
      store.replace(store.current().release());
      for (Effect effect : effects()) {
        effect.release(store);
      }
      store.replace(Applied.NOTHING);
    }
  }

  /** Lists every place beside the store. */
  private static List<Effect> effects() throws CloudCredentialException {
    Host host = HostLoader.host();
    List<Effect> effects = new ArrayList<>();
    if (!host.isSharedServer()) {
      // Any SQL user reads the environment by reflect('java.lang.System', 'getenv', …).
      effects.add(new EnvironmentEffect());
      effects.add(new PropertiesEffect());
    }
    effects.addAll(host.effects());
    return effects;
  }

  private static void log(
      LiveSet before, List<LiveRole> roles, Set<String> buckets, String sessionName) {
    LiveRole role = roles.get(0);
    LiveRole was = before.findOwn(role.bucket);
    LOG.info(
        (was == null || was.roleArn.equals(role.roleArn)
                ? "assumed "
                : "switched from " + was.roleArn + " to ")
            + role.roleArn
            + (role.bucket.isEmpty() ? "" : " for " + String.join(", ", buckets))
            + (sessionName == null ? "" : ", session " + sessionName)
            + ", access key "
            + role.accessKeyId
            + ", ends "
            + role.credentials().getExpiration()
            + ", mode="
            + HostLoader.host().mode());
  }
}
