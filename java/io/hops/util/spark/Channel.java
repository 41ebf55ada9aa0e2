package io.hops.util.spark;

import java.lang.reflect.Field;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.TaskSchedulerImpl;
import org.apache.spark.scheduler.cluster.ExecutorData;
import scala.collection.mutable.HashMap;

/**
 * What the scheduler back end of a context knows of its executors: how to reach each, and what those get that register later.
 *
 * <p>Problem: {@code updateDelegationTokens}, Spark's own way for secrets, sends everything to everybody, also into the driver's
 * own user, whose secrets YARN writes to the disks of executors that it starts later. Solution: use its two private parts, the
 * bytes for later executors and the executors' addresses, each by itself.
 */
final class Channel {
  private static final String BACKEND = "org.apache.spark.scheduler.cluster.CoarseGrainedSchedulerBackend";

  private final SparkContext context;
  private final Object backend;
  private final AtomicReference<byte[]> tokens;
  private final HashMap<String, ExecutorData> executors;

  private Channel(
      SparkContext context, Object backend, AtomicReference<byte[]> tokens, HashMap<String, ExecutorData> executors) {
    this.context = context;
    this.backend = backend;
    this.tokens = tokens;
    this.executors = executors;
  }

  /** Finds the channel of a context; null when its scheduler cannot send secrets to executors. */
  @SuppressWarnings("unchecked")
  static Channel find(SparkContext context) {
    Object backend = context.schedulerBackend();
    Class<?> type = backend.getClass();
    while (type != null && !type.getName().equals(BACKEND)) {
      type = type.getSuperclass();
    }
    if (type == null) {
      return null;
    }
    try {
      AtomicReference<byte[]> tokens = (AtomicReference<byte[]>) read(type, backend, "delegationTokens");
      return new Channel(
          context, backend, tokens, (HashMap<String, ExecutorData>) read(type, backend, "executorDataMap"));
    } catch (NoSuchFieldException | IllegalAccessException e) {
      return null;
    }
  }

  /** Reads a private field, to whose name Scala may have put that of its class in front. */
  private static Object read(Class<?> type, Object backend, String name) throws NoSuchFieldException, IllegalAccessException {
    for (Field field : type.getDeclaredFields()) {
      if (field.getName().equals(name) || field.getName().endsWith("$" + name)) {
        field.setAccessible(true);
        return field.get(backend);
      }
    }
    throw new NoSuchFieldException(name);
  }

  /** The serialized tokens and secrets that an executor gets when it starts. Spark's own renewal of tokens replaces them. */
  AtomicReference<byte[]> tokens() {
    return tokens;
  }

  /** Lists the executors that are registered, by id. Holds the scheduler's monitor no longer than that takes. */
  Map<String, ExecutorData> executors() {
    Map<String, ExecutorData> found = new TreeMap<>();
    synchronized (backend) {
      executors.foreach(entry -> found.put(entry._1(), entry._2()));
    }
    return found;
  }

  /** Finds an executor; null when it is not registered. */
  ExecutorData findExecutor(String id) {
    synchronized (backend) {
      return executors.contains(id) ? executors.apply(id) : null;
    }
  }

  /** Returns true unless this executor is gone, or is about to go and gets no task any more. */
  boolean isActive(String id) {
    return ((org.apache.spark.scheduler.cluster.CoarseGrainedSchedulerBackend) backend).isExecutorActive(id);
  }

  /**
   * Returns true if Spark gives no task to this executor for now: it has registered and still starts, so that nobody has given it
   * a core and it works on nothing; or it is excluded, because tasks have failed there.
   */
  boolean isPassedOver(String id) {
    ExecutorData executor = findExecutor(id);
    boolean isStarting =
        executor != null && freeCores(executor) == 0 && !((TaskSchedulerImpl) context.taskScheduler()).isExecutorBusy(id);
    return isStarting || isExcluded(id);
  }

  private boolean isExcluded(String id) {
    try {
      return context.statusStore().executorSummary(id).isExcluded();
    } catch (NoSuchElementException e) {
      // Spark has not taken note of one that has just registered.
      return false;
    }
  }

  /** Reads the cores of an executor that are free: an int, since Spark 4.2 a number with fractions. */
  private static double freeCores(ExecutorData executor) {
    try {
      return ((Number) ExecutorData.class.getMethod("freeCores").invoke(executor)).doubleValue();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Spark does not tell which cores are free", e);
    }
  }
}
