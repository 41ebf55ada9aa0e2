package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.OwnThread;
import io.hops.util.s3a.OpenFileSystems;
import java.lang.reflect.Field;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.Function;
import org.apache.spark.scheduler.cluster.ExecutorData;

/**
 * Makes the executors forget buckets that they opened before a role was assumed for them, and confirms that each has.
 *
 * <p>Problem: this takes a task on each executor, and one that starts, is busy or belongs to other work has no room for it, for
 * seconds or for hours. Solution: wait for those that have, a little while; then go on in the background, and let jobs that are
 * planned meanwhile pass by what the executors keep open ({@link UncachedBuckets}).
 */
final class Eviction implements Function<Integer, String> {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final long serialVersionUID = 1L;
  private static final String NAME = "hops-credentials";
  private static final AtomicInteger COUNT = new AtomicInteger();

  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(5);
  private static final long LOOK_AGAIN_MILLIS = 50;
  private static final long FIRST_PAUSE_MILLIS = 100;
  private static final long LONGEST_PAUSE_MILLIS = 30_000;

  private final String[] buckets;

  private Eviction(Collection<String> buckets) {
    this.buckets = buckets.toArray(new String[0]);
  }

  /** Runs on an executor and returns its id. */
  @Override
  public String call(Integer task) {
    try {
      OpenFileSystems.match(Arrays.asList(buckets));
    } catch (LinkageError e) {
      // There is no S3A here, so no bucket is open.
      return SparkEnv.get().executorId();
    }
    return SparkEnv.get().executorId();
  }

  /** Lists the ids of the executors that can have a bucket open and can be given tasks. */
  static Set<String> executors(SparkContext context) {
    Channel channel = Channel.find(context);
    Set<String> ids = channel == null ? new TreeSet<>() : new TreeSet<>(channel.executors().keySet());
    ids.removeIf(id -> !channel.isActive(id));
    return ids;
  }

  /**
   * Returns true if nothing in this context can have opened a bucket on an executor, nor will do so with a configuration of now:
   * no RDD, and so no job, no file that Spark fetches there, no plugin of others.
   */
  static boolean isNeedless(SparkContext context) {
    return !hasRdd(context) && !Fetches.hasAny(context);
  }

  private static boolean hasRdd(SparkContext context) {
    try {
      Field next = SparkContext.class.getDeclaredField("nextRddId");
      next.setAccessible(true);
      return ((AtomicInteger) next.get(context)).get() > 0;
    } catch (ReflectiveOperationException e) {
      return true;
    }
  }

  /**
   * Returns when each of these executors has forgotten the buckets or is gone, however long that takes.
   *
   * @throws CloudCredentialException when that is not possible
   */
  static void evictOn(SparkContext context, Set<String> executors, Collection<String> buckets)
      throws CloudCredentialException {
    Run run = new Run(context, executors, buckets);
    run.mayFail = false;
    run.start();
    run.await(Long.MAX_VALUE);
  }

  /**
   * Returns when each of these executors that has room for a task has forgotten the buckets, or after 5 s. The others follow in
   * the background; until then, jobs read past whatever is open there.
   *
   * @throws CloudCredentialException when a task fails, since this executor would read with an earlier identity
   */
  static void evictSoonOn(SparkContext context, Set<String> executors, Collection<String> buckets)
      throws CloudCredentialException {
    Run run = new Run(context, executors, buckets);
    run.start();
    if (!run.await(PATIENCE_NANOS)) {
      run.mayFail = false;
      UncachedBuckets uncached = UncachedBuckets.begin(context);
      LOG.info(
          "executors "
              + String.join(", ", run.missing)
              + " have no room for a task; until they have, jobs open their buckets anew");
      run.done.whenComplete((nothing, failure) -> uncached.end());
    }
  }

  /** One pass over some executors. */
  private static final class Run implements Runnable {
    private final SparkContext context;
    private final Channel channel;
    private final Collection<String> buckets;
    private final Set<String> missing;
    private final String group = NAME + " " + COUNT.incrementAndGet();
    private final CompletableFuture<Void> done = new CompletableFuture<>();
    private volatile boolean mayFail = true;
    private volatile Thread thread;

    Run(SparkContext context, Set<String> executors, Collection<String> buckets) {
      this.context = context;
      this.channel = Channel.find(context);
      this.buckets = buckets;
      this.missing = Collections.synchronizedSet(new TreeSet<>(executors));
    }

    void start() {
      thread = OwnThread.start("hops-credentials eviction", this);
    }

    /** Returns true when all have answered; false after that time, and when none of the others has room for a task. */
    boolean await(long patienceNanos) throws CloudCredentialException {
      long begun = System.nanoTime();
      while (true) {
        try {
          done.get(LOOK_AGAIN_MILLIS, TimeUnit.MILLISECONDS);
          return true;
        } catch (TimeoutException e) {
          if (System.nanoTime() - begun > patienceNanos || patienceNanos != Long.MAX_VALUE && areAllStarting()) {
            return false;
          }
        } catch (ExecutionException e) {
          throw new CloudCredentialException(
              "the executors could not be told to open their buckets again: " + e.getCause(), e.getCause(), 0);
        } catch (InterruptedException e) {
          stop();
          Thread.currentThread().interrupt();
          throw new CloudCredentialException(
              "interrupted while the executors were told to open their buckets again", e, 0);
        }
      }
    }

    private boolean areAllStarting() {
      Set<String> ids;
      synchronized (missing) {
        ids = new TreeSet<>(missing);
      }
      return !ids.isEmpty() && ids.stream().allMatch(channel::isStarting);
    }

    private void stop() {
      thread.interrupt();
      context.cancelJobGroup(group);
    }

    @Override
    public void run() {
      try {
        context.setLocalProperty("spark.scheduler.pool", NAME);
        context.setJobGroup(group, "open buckets again under their role", true);
        long pause = FIRST_PAUSE_MILLIS;
        while (isWanted()) {
          askOnce();
          if (isWanted()) {
            Thread.sleep(pause);
            pause = Math.min(2 * pause, LONGEST_PAUSE_MILLIS);
          }
        }
        done.complete(null);
      } catch (InterruptedException | RuntimeException | Error e) {
        done.completeExceptionally(e);
      }
    }

    /** Returns true while an executor is missing that can answer, and a role is in use. */
    private boolean isWanted() {
      if (context.isStopped()) {
        return false;
      }
      missing.retainAll(executors(context));
      LiveSet set = LiveStore.findCurrent();
      boolean hasRoles = set != null && !set.buckets().isEmpty();
      return !missing.isEmpty() && hasRoles != buckets.isEmpty();
    }

    /** Gives a task to each executor that is missing, in a job for each resource profile. */
    private void askOnce() {
      Map<Integer, Map<String, ExecutorData>> profiles = new TreeMap<>();
      channel
          .executors()
          .forEach(
              (id, executor) -> {
                if (missing.contains(id) && !channel.isStarting(id)) {
                  profiles.computeIfAbsent(executor.resourceProfileId(), key -> new TreeMap<>()).put(id, executor);
                }
              });
      profiles.forEach(
          (profile, executors) -> {
            try {
              JavaRDD<Integer> tasks = TasksOn.executors(context, executors, profile);
              missing.removeAll(tasks.map(new Eviction(buckets)).collect());
            } catch (RuntimeException e) {
              if (mayFail || context.isStopped()) {
                throw e;
              }
              LOG.log(Level.FINE, "executors could not be told to open their buckets again; the next try follows", e);
            }
          });
    }
  }
}
