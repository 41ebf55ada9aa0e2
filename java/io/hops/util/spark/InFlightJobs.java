package io.hops.util.spark;

import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.OpenFileSystems;
import java.lang.ref.WeakReference;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
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
    if (set != null) {
      OpenFileSystems.match(set.buckets());
    }
    if (jobs.remove(end.jobId()) && HopsSparkPlugin.isMissing(context)) {
      ExecutorMatch.of(context).repeat(false);
    }
  }
}
