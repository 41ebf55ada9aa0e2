package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.OwnThread;
import java.lang.ref.WeakReference;
import java.util.Collection;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobStart;

/**
 * Makes executors match the roles in use ({@link io.hops.util.s3a.OpenFileSystems#match}) that could not be asked when a role was
 * assumed: those that came later, and may have opened buckets before any code of ours ran there, and those of a context that had
 * not run a job yet. Not needed where {@link HopsSparkPlugin} does so at each task.
 */
final class ExecutorMatch extends SparkListener {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final long PATIENCE_MILLIS = 5_000;

  private static WeakReference<ExecutorMatch> last = new WeakReference<>(null);

  private final SparkContext context;
  private final Set<String> matched = ConcurrentHashMap.newKeySet();
  private int round;
  private Thread runner;

  private ExecutorMatch(SparkContext context) {
    this.context = context;
  }

  /** Returns the one of a context, which follows its executors from now on. */
  static synchronized ExecutorMatch of(SparkContext context) {
    ExecutorMatch here = last.get();
    if (here == null || here.context != context) {
      here = new ExecutorMatch(context);
      context.addSparkListener(here);
      last = new WeakReference<>(here);
    }
    return here;
  }

  /** Counts these executors as asked. */
  void add(Collection<String> executors) {
    matched.addAll(executors);
  }

  /** Asks every executor again, and waits a little for those that have time. */
  void repeat(boolean isAwaited) {
    Thread running = restart();
    if (isAwaited && running != null) {
      try {
        running.join(PATIENCE_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded added) {
    // Before the first job there is nothing to match, and many executors may be on their way.
    if (context.dagScheduler().numTotalJobs() > 0 && hasRoles()) {
      start();
    }
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
    matched.remove(removed.executorId());
  }

  @Override
  public void onJobStart(SparkListenerJobStart job) {
    if (hasRoles()) {
      start();
    }
  }

  private static boolean hasRoles() {
    return !buckets().isEmpty();
  }

  private static Set<String> buckets() {
    LiveSet set = LiveStore.findCurrent();
    return set == null ? Collections.emptySet() : set.buckets();
  }

  /** Starts a thread unless there is one: the thread that calls listeners must not wait for the job. */
  private synchronized Thread start() {
    if (runner == null && !missing().isEmpty()) {
      runner = OwnThread.start("hops-credentials executors", this::run);
    }
    return runner;
  }

  private synchronized Thread restart() {
    round++;
    matched.clear();
    return start();
  }

  private Set<String> missing() {
    Set<String> missing = new TreeSet<>(context.isStopped() ? Collections.emptySet() : Eviction.executors(context));
    missing.removeAll(matched);
    return missing;
  }

  private void run() {
    Set<String> asked = nextOrEnd();
    while (!asked.isEmpty()) {
      try {
        int begun = round();
        Eviction.evictOn(context, asked, buckets());
        addAsked(asked, begun);
      } catch (CloudCredentialException | RuntimeException e) {
        if (!context.isStopped()) {
          LOG.log(Level.WARNING, "executors may hold buckets open under another identity until their next job", e);
        }
        end();
        return;
      }
      asked = nextOrEnd();
    }
  }

  private synchronized int round() {
    return round;
  }

  /** Counts these as asked, unless the roles have changed since and they must be asked again. */
  private synchronized void addAsked(Set<String> asked, int begun) {
    if (begun == round) {
      matched.addAll(asked);
    }
  }

  private synchronized Set<String> nextOrEnd() {
    Set<String> next = missing();
    if (next.isEmpty()) {
      end();
    }
    return next;
  }

  private synchronized void end() {
    runner = null;
  }
}
