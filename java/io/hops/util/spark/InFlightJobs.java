package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.OpenFileSystems;
import java.lang.ref.WeakReference;
import java.util.Collection;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;

/**
 * Cleans up after jobs that were planned before a role was assumed.
 *
 * <p>Problem: a job carries the Hadoop configuration of the moment in which it was planned. When it is in flight while a role is
 * assumed, it opens its buckets under the earlier identity, also after we took open buckets out of Hadoop's cache; and every
 * later job would read from what it opened. Solution: take them out again at the end of each job.
 */
final class InFlightJobs extends SparkListener {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private static WeakReference<InFlightJobs> last = new WeakReference<>(null);

  private final SparkContext context;
  private final Set<Integer> jobs = ConcurrentHashMap.newKeySet();

  private InFlightJobs(SparkContext context) {
    this.context = context;
  }

  /** Lists the jobs that are in flight. */
  static int[] ids(SparkContext context) {
    return context.statusTracker().getActiveJobIds();
  }

  /** Cleans up after these jobs, and on the driver after every other job too. */
  static synchronized void watch(SparkContext context, int[] jobs) {
    InFlightJobs here = last.get();
    if (here == null || here.context != context) {
      here = new InFlightJobs(context);
      context.addSparkListener(here);
      last = new WeakReference<>(here);
    }
    for (int job : jobs) {
      here.jobs.add(job);
    }
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd end) {
    LiveSet set = LiveStore.findCurrent();
    Set<String> buckets = set == null ? Collections.emptySet() : set.buckets();
    OpenFileSystems.evictEarlier(buckets);
    if (jobs.remove(end.jobId()) && !context.isLocal()) {
      // The eviction is a job itself, and the thread that announces the end of jobs must not wait for it.
      Thread thread = new Thread(() -> evictOnExecutors(buckets), "hops-credentials jobs in flight");
      thread.setDaemon(true);
      thread.start();
    }
  }

  private void evictOnExecutors(Collection<String> buckets) {
    try {
      Eviction.evictOn(context, Eviction.executors(context), buckets);
    } catch (CloudCredentialException e) {
      LOG.log(
          Level.WARNING,
          "a job that was in flight when the role was assumed may have left buckets open under another identity",
          e);
    }
  }
}
