package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.time.Instant;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Fetches newer credentials for every role in use, in time, on one daemon thread.
 *
 * <p>The core decides when, from both clocks, and says so with each {@link Fetched} and {@link FetchFailure}. A failed fetch
 * leaves the credentials in place for as long as they are valid. Nothing but the end of all roles ends the thread: not an
 * interrupt, which is never meant for it, nor any exception; and it fetches when a fetch is due, whatever becomes of the
 * delivery.
 */
final class Refresher implements Runnable {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** How long a SparkContext that was made after a role reads without it, should nobody call us. */
  private static final long LOOK_FOR_CONTEXT_MILLIS = 1000;

  private static final long LOOK_AGAIN_AFTER_FAILURE_MILLIS = 30_000;

  private final LiveStore store;
  private final Supplier<Clocks> clocks;
  private final Map<Fetch, DueFetch> schedule = new IdentityHashMap<>();
  private Thread thread;
  private Clocks contextFailed;

  Refresher(LiveStore store) {
    this(store, Clocks.SYSTEM);
  }

  Refresher(LiveStore store, Supplier<Clocks> clocks) {
    this.store = store;
    this.clocks = clocks;
  }

  /** Schedules the refresh of credentials that have just been fetched. */
  synchronized void schedule(Fetch fetch, long refreshAfterMillis, long validForMillis, long expirationMillis) {
    schedule.put(fetch, new DueFetch(clocks.get(), refreshAfterMillis, validForMillis, expirationMillis));
    if (thread == null) {
      thread = OwnThread.start("hops-credentials refresh", this);
    }
    wake();
  }

  /** Makes the thread look at the clocks. A reader that meets credentials that have ended calls this. */
  synchronized void wake() {
    notifyAll();
  }

  /** Returns true if a role still has the credentials that a fetch brought, and both clocks say that they are good. */
  synchronized boolean isGood(Fetch fetch, LiveRole role) {
    DueFetch due = fetch == null ? null : schedule.get(fetch);
    return due != null && role.expirationMillis >= due.expirationMillis() && due.leftMillis(clocks.get()) > 0;
  }

  /** Returns when the last refresh was, 0 for never, and when the next is due; both in milliseconds since 1970. */
  synchronized long[] times(Fetch fetch) {
    DueFetch due = fetch == null ? null : schedule.get(fetch);
    Clocks now = clocks.get();
    return due == null ? null : new long[] {due.lastMillis(), now.millis() + due.dueMillis(now)};
  }

  /** Schedules every role in use that is not scheduled yet: at once, since nobody knows when it is due. */
  synchronized void adopt() {
    for (Map.Entry<String, Fetch> entry : store.fetches().entrySet()) {
      if (!schedule.containsKey(entry.getValue())) {
        LiveRole role = store.current().findOwn(entry.getKey());
        schedule(entry.getValue(), 0, role.expirationMillis - clocks.get().millis(), role.expirationMillis);
      }
    }
  }

  /** Drops the fetches that no role in use needs. Call it only when the {@code assumeRole} can no longer be undone. */
  synchronized void forgetUnused() {
    schedule.keySet().retainAll(store.fetches().values());
  }

  @Override
  public void run() {
    try {
      while (isWanted()) {
        Fetch next = findReady();
        if (next != null) {
          refreshWhateverHappens(next);
        } else {
          reachNewContext();
        }
      }
    } finally {
      end(Thread.currentThread());
    }
  }

  private synchronized void end(Thread ended) {
    if (thread == ended) {
      thread = null;
    }
  }

  /** Returns true while a role is in use. False gives up the thread: the next {@link #schedule} starts another one. */
  private synchronized boolean isWanted() {
    boolean isWanted = store.isOwner() && schedule.keySet().stream().anyMatch(store.fetches()::containsValue);
    if (!isWanted) {
      thread = null;
    }
    return isWanted;
  }

  /** Finds a fetch for which there is something to do. Without one, sleeps for a while, or until {@link #wake}. */
  private synchronized Fetch findReady() {
    Clocks now = clocks.get();
    long wait = LOOK_FOR_CONTEXT_MILLIS;
    for (Map.Entry<Fetch, DueFetch> entry : schedule.entrySet()) {
      if (store.fetches().containsValue(entry.getKey())) {
        if (entry.getValue().isReady(now)) {
          return entry.getKey();
        }
        wait = Math.min(wait, entry.getValue().waitMillis(now));
      }
    }
    try {
      wait(Math.max(1, wait));
    } catch (InterruptedException e) {
      // Roles are in use, and whoever interrupts all threads of a group or of a program does not mean their credentials.
      return null;
    }
    return null;
  }

  private void refreshWhateverHappens(Fetch fetch) {
    try {
      refresh(fetch);
    } catch (Throwable e) {
      postpone(fetch);
      log(Level.WARNING, "the refresh of a role went wrong; the next try follows", e);
    }
  }

  private synchronized void postpone(Fetch fetch) {
    DueFetch due = schedule.get(fetch);
    if (due != null) {
      Clocks now = clocks.get();
      due.fail(now, Clocks.retryAfterMillis(due.failures(), due.leftMillis(now), due.validForMillis()));
    }
  }

  private void refresh(Fetch fetch) throws CloudCredentialException {
    DueFetch due;
    boolean isDue;
    long[] state;
    synchronized (this) {
      due = schedule.get(fetch);
      if (due == null) {
        return;
      }
      Clocks now = clocks.get();
      isDue = due.dueMillis(now) == 0;
      state = new long[] {due.failures(), due.leftMillis(now), due.validForMillis()};
    }
    Fetched fetched = null;
    FetchFailure failure = null;
    if (isDue) {
      try {
        fetched = fetch.fetch(state[0], state[1], state[2]);
      } catch (FetchFailure e) {
        failure = e;
      } catch (RuntimeException | Error e) {
        long retryAfterMillis = Clocks.retryAfterMillis(state[0], state[1], state[2]);
        failure = new FetchFailure(false, false, e.toString(), retryAfterMillis);
      }
    }
    synchronized (LiveRoles.LOCK) {
      Set<String> buckets = store.buckets(fetch);
      if (!store.isOwner() || buckets.isEmpty()) {
        return;
      }
      if (failure != null) {
        keepReason(due, buckets, failure);
      } else {
        if (fetched != null) {
          replace(due, buckets, fetched);
        }
        deliver(due, buckets);
      }
    }
  }

  private void replace(DueFetch due, Set<String> buckets, Fetched fetched) {
    LiveSet set = store.current();
    for (String bucket : buckets) {
      set = set.refresh(LiveRole.from(bucket, fetched));
    }
    store.replace(set);
    boolean wasTrouble;
    synchronized (this) {
      Clocks now = clocks.get();
      long expirationMillis = fetched.credentials.getExpiration().toEpochMilli();
      due.succeed(now, fetched.refreshAfterMillis, fetched.validForMillis, expirationMillis);
      due.refreshed(now);
      wasTrouble = due.fetching.end();
    }
    if (wasTrouble) {
      LiveRole role = role(buckets);
      log(
          Level.INFO,
          "recovered: refresh of " + role.roleArn + " works again, access key " + role.accessKeyId + ", ends "
              + Instant.ofEpochMilli(role.expirationMillis),
          null);
    }
  }

  /** Takes the newest credentials, or the reason why there are none, to every place beside the store. */
  private void deliver(DueFetch due, Set<String> buckets) {
    try {
      LiveRoles.refresh(store);
    } catch (CloudCredentialException | RuntimeException | Error e) {
      long since;
      synchronized (this) {
        due.undelivered(clocks.get());
        since = due.delivering.tell(clocks.get());
      }
      if (since > 0) {
        log(
            Level.WARNING,
            "newer credentials of " + role(buckets).roleArn + " do not reach every place since " + Instant.ofEpochMilli(since)
                + ": " + e,
            null);
      }
      return;
    }
    boolean wasTrouble;
    synchronized (this) {
      due.delivered();
      wasTrouble = due.delivering.end();
    }
    if (wasTrouble) {
      log(Level.INFO, "recovered: newer credentials of " + role(buckets).roleArn + " reach every place again", null);
    }
  }

  private void keepReason(DueFetch due, Set<String> buckets, FetchFailure failure) {
    Clocks now = clocks.get();
    boolean hasEnded;
    long since;
    synchronized (this) {
      hasEnded = due.leftMillis(now) == 0;
      due.fail(now, failure.retryAfterMillis);
      since = due.fetching.tell(now);
    }
    LiveSet set = store.current();
    for (String bucket : buckets) {
      LiveRole role = set.findOwn(bucket).withError(failure.getMessage(), !failure.isRetryable);
      // Readers look at the time of day first, which somebody may have set back.
      boolean isOver = failure.isWithdrawal || hasEnded && now.millis() < role.expirationMillis;
      set = set.refresh(isOver ? role.ended(now.millis()) : role);
    }
    store.replace(set);
    if (since > 0) {
      LiveRole role = role(buckets);
      log(
          Level.WARNING,
          "refresh of " + role.roleArn + " fails since " + Instant.ofEpochMilli(since) + ", credentials end "
              + Instant.ofEpochMilli(role.expirationMillis) + ": " + failure.getMessage(),
          null);
    }
    if (hasEnded || failure.isWithdrawal || due.isUndelivered()) {
      // Readers on executors then name the cause too.
      deliver(due, buckets);
    }
  }

  private LiveRole role(Set<String> buckets) {
    return store.current().findOwn(buckets.iterator().next());
  }

  /** Applies the roles in use to a SparkContext that was made after them. */
  private void reachNewContext() {
    if (contextFailed != null && contextFailed.due(LOOK_AGAIN_AFTER_FAILURE_MILLIS, clocks.get()) > 0) {
      return;
    }
    try {
      contextFailed = null;
      LiveRoles.applyToNewContext();
    } catch (Throwable e) {
      contextFailed = clocks.get();
      log(
          Level.WARNING,
          "the roles in use could not be applied to the new SparkContext; the next read of s3a:// there tries again",
          e);
    }
  }

  /** Logs, also where a handler of somebody else throws. */
  private static void log(Level level, String text, Throwable cause) {
    try {
      LOG.log(level, text, cause);
    } catch (Throwable e) {
      // There is nobody left to tell, and the credentials matter more.
      return;
    }
  }
}
