package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.s3a.OpenFileSystems;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function;

/**
 * Makes the executors forget buckets that they opened before a role was assumed for them, and confirms that each has.
 *
 * <p>This is a job in a scheduler pool of its own. It repeats its tasks until every executor has run one.
 */
final class Eviction implements Function<Integer, String> {
  private static final long serialVersionUID = 1L;
  private static final long PATIENCE_SECONDS = 15;
  private static final String NAME = "hops-credentials";

  private final String[] buckets;

  private Eviction(Collection<String> buckets) {
    this.buckets = buckets.toArray(new String[0]);
  }

  /** Runs on an executor and returns its id. */
  @Override
  public String call(Integer task) {
    OpenFileSystems.match(Arrays.asList(buckets));
    return SparkEnv.get().executorId();
  }

  /** Lists the ids of the executors that are registered. */
  static Set<String> executors(SparkContext context) {
    Object backend = context.schedulerBackend();
    try {
      // The Seq of Scala 2.12 and that of 2.13 are two types with this method in common.
      Object ids = backend.getClass().getMethod("getExecutorIds").invoke(backend);
      String text = (String) ids.getClass().getMethod("mkString", String.class).invoke(ids, ",");
      return text.isEmpty()
          ? Collections.emptySet()
          : new TreeSet<>(Arrays.asList(text.split(",")));
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Spark does not tell which executors it has", e);
    }
  }

  /**
   * Returns when each of these executors has forgotten the buckets or is gone.
   *
   * @throws CloudCredentialException when one has not answered within 15 s
   */
  static void evictOn(SparkContext context, Set<String> executors, Collection<String> buckets)
      throws CloudCredentialException {
    Set<String> missing = Collections.synchronizedSet(new TreeSet<>(executors));
    FutureTask<Void> job =
        new FutureTask<>(
            () -> {
              context.setLocalProperty("spark.scheduler.pool", NAME);
              context.setJobGroup(NAME, "open buckets again under their role", true);
              JavaSparkContext java = JavaSparkContext.fromSparkContext(context);
              int tasks = Math.max(context.defaultParallelism(), executors.size());
              while (!missing.isEmpty() && !Thread.currentThread().isInterrupted()) {
                missing.removeAll(
                    java.parallelize(Collections.nCopies(tasks, 0), tasks)
                        .map(new Eviction(buckets))
                        .collect());
                missing.retainAll(executors(context));
              }
              return null;
            });
    Thread thread = new Thread(job, "hops-credentials eviction");
    thread.setDaemon(true);
    thread.setContextClassLoader(Thread.currentThread().getContextClassLoader());
    thread.start();
    try {
      job.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      job.cancel(true);
      context.cancelJobGroup(NAME);
      throw new CloudCredentialException(
          "executors "
              + String.join(", ", missing)
              + " were busy for "
              + PATIENCE_SECONDS
              + " s and may hold buckets open under another identity; call assumeRole before the jobs that read,"
              + " or when these executors are idle",
          e,
          0);
    } catch (ExecutionException e) {
      throw new CloudCredentialException(
          "the executors could not be told to open their buckets again: " + e.getCause(),
          e.getCause(),
          0);
    } catch (InterruptedException e) {
      job.cancel(true);
      context.cancelJobGroup(NAME);
      Thread.currentThread().interrupt();
      throw new CloudCredentialException(
          "interrupted while the executors were told to open their buckets again", e, 0);
    }
  }
}
