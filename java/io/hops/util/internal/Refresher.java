package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.time.Instant;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Fetches newer credentials for every role in use, in time, on one daemon thread.
 *
 * <p>The core decides when, and says so with each {@link Fetched} and {@link FetchFailure}. A failed fetch leaves the
 * credentials in place for as long as they are valid.
 */
final class Refresher implements Runnable {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final long REMIND_NANOS = TimeUnit.MINUTES.toNanos(5);
  private static final long DELIVER_AGAIN_MILLIS = 1000;

  private final LiveStore store;
  private final Map<Fetch, DueFetch> schedule = new IdentityHashMap<>();
  private Thread thread;

  Refresher(LiveStore store) {
    this.store = store;
  }

  /** The next run of a fetch: when it is due, and what has happened since the last success. */
  private static final class DueFetch {
    long atNanos;
    long refreshAtNanos;
    long endNanos;
    long validForMillis;
    int failures;
    boolean isFetched;
    long lastMillis;
    long firstFailureMillis;
    long logAtNanos;

    long leftMillis(long now) {
      return TimeUnit.NANOSECONDS.toMillis(endNanos - now);
    }
  }

  /** Schedules the refresh of credentials that have just been fetched. */
  synchronized void schedule(Fetch fetch, long refreshAfterMillis, long validForMillis) {
    long now = System.nanoTime();
    DueFetch due = new DueFetch();
    due.atNanos = now + TimeUnit.MILLISECONDS.toNanos(refreshAfterMillis);
    due.endNanos = now + TimeUnit.MILLISECONDS.toNanos(validForMillis);
    due.validForMillis = validForMillis;
    schedule.put(fetch, due);
    if (thread == null) {
      thread = new Thread(this, "hops-credentials refresh");
      thread.setDaemon(true);
      // The thread would keep the context class loader of its first caller alive for ever.
      thread.setContextClassLoader(Refresher.class.getClassLoader());
      thread.start();
    }
    notifyAll();
  }

  /** Returns when the last refresh was, 0 for never, and when the next is due; both in milliseconds since 1970. */
  synchronized long[] times(Fetch fetch) {
    DueFetch due = fetch == null ? null : schedule.get(fetch);
    return due == null
        ? null
        : new long[] {
          due.lastMillis,
          System.currentTimeMillis() + TimeUnit.NANOSECONDS.toMillis(due.atNanos - System.nanoTime())
        };
  }

  /** Schedules every role in use that is not scheduled yet: at once, since nobody knows when it is due. */
  synchronized void adopt() {
    for (Map.Entry<String, Fetch> entry : store.fetches().entrySet()) {
      if (!schedule.containsKey(entry.getValue())) {
        LiveRole role = store.current().findOwn(entry.getKey());
        schedule(entry.getValue(), 0, role.expirationMillis - System.currentTimeMillis());
      }
    }
  }

  /** Drops the fetches that no role in use needs. Call it only when the {@code assumeRole} can no longer be undone. */
  synchronized void forgetUnused() {
    schedule.keySet().retainAll(store.fetches().values());
  }

  @Override
  public void run() {
    Fetch next = await();
    while (next != null) {
      refresh(next);
      next = await();
    }
  }

  /** Sleeps until a fetch is due and returns it. Returns null, and ends the thread, when there is nothing left to do. */
  private synchronized Fetch await() {
    while (store.isOwner()) {
      Fetch next = null;
      for (Fetch fetch : schedule.keySet()) {
        if (store.fetches().containsValue(fetch)
            && (next == null || schedule.get(fetch).atNanos - schedule.get(next).atNanos < 0)) {
          next = fetch;
        }
      }
      if (next == null) {
        break;
      }
      long waitNanos = schedule.get(next).atNanos - System.nanoTime();
      if (waitNanos <= 0) {
        return next;
      }
      try {
        TimeUnit.NANOSECONDS.timedWait(this, waitNanos);
      } catch (InterruptedException e) {
        break;
      }
    }
    thread = null;
    return null;
  }

  private synchronized DueFetch due(Fetch fetch) {
    return schedule.get(fetch);
  }

  private void refresh(Fetch fetch) {
    DueFetch due = due(fetch);
    Fetched fetched = null;
    FetchFailure failure = null;
    if (!due.isFetched) {
      try {
        fetched = fetch.fetch(due.failures, due.leftMillis(System.nanoTime()), due.validForMillis);
      } catch (FetchFailure e) {
        failure = e;
      } catch (RuntimeException | Error e) {
        failure = new FetchFailure(false, e.toString(), DELIVER_AGAIN_MILLIS);
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
    long now = System.nanoTime();
    due.lastMillis = System.currentTimeMillis();
    due.refreshAtNanos = now + TimeUnit.MILLISECONDS.toNanos(fetched.refreshAfterMillis);
    due.validForMillis = fetched.validForMillis;
    due.endNanos = now + TimeUnit.MILLISECONDS.toNanos(due.validForMillis);
  }

  /** Takes the newest credentials to every place beside the store. */
  private void deliver(DueFetch due, Set<String> buckets) {
    try {
      LiveRoles.refresh(store);
    } catch (CloudCredentialException | RuntimeException | Error e) {
      due.isFetched = true;
      logFailure(due, buckets, e.toString());
      due.atNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(DELIVER_AGAIN_MILLIS);
      return;
    }
    due.isFetched = false;
    due.atNanos = due.refreshAtNanos;
    if (due.failures > 0) {
      LiveRole role = store.current().findOwn(buckets.iterator().next());
      LOG.info(
          "recovered: refresh of "
              + role.roleArn
              + " works again, access key "
              + role.accessKeyId
              + ", ends "
              + Instant.ofEpochMilli(role.expirationMillis));
      due.failures = 0;
    }
    try {
      LiveRoles.applyPending(store, HostLoader.host());
    } catch (CloudCredentialException | RuntimeException | Error e) {
      // The next reader in that context tries again; the credentials themselves are fine.
      LOG.log(
          Level.WARNING,
          "the roles in use could not be applied to the new SparkContext; the next read of s3a:// there tries again",
          e);
    }
  }

  private void keepReason(DueFetch due, Set<String> buckets, FetchFailure failure) {
    LiveSet set = store.current();
    for (String bucket : buckets) {
      set = set.refresh(set.findOwn(bucket).withError(failure.getMessage(), !failure.isRetryable));
    }
    store.replace(set);
    long now = System.nanoTime();
    if (due.leftMillis(now) <= 0) {
      // Readers on executors then name the cause too.
      try {
        LiveRoles.refresh(store);
      } catch (CloudCredentialException | RuntimeException e) {
        LOG.log(Level.FINE, "the reason did not reach the executors", e);
      }
    }
    logFailure(due, buckets, failure.getMessage());
    due.atNanos = now + TimeUnit.MILLISECONDS.toNanos(failure.retryAfterMillis);
  }

  /** Logs the first failure, and a reminder every five minutes as long as it lasts. */
  private void logFailure(DueFetch due, Set<String> buckets, String reason) {
    long now = System.nanoTime();
    if (due.failures == 0) {
      due.firstFailureMillis = System.currentTimeMillis();
    }
    if (due.failures == 0 || now - due.logAtNanos >= 0) {
      LiveRole role = store.current().findOwn(buckets.iterator().next());
      LOG.warning(
          "refresh of "
              + role.roleArn
              + " fails since "
              + Instant.ofEpochMilli(due.firstFailureMillis)
              + ", credentials end "
              + Instant.ofEpochMilli(role.expirationMillis)
              + ": "
              + reason);
      due.logAtNanos = now + REMIND_NANOS;
    }
    due.failures++;
  }
}
