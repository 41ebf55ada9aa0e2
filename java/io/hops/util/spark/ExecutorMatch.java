package io.hops.util.spark;

import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.OwnThread;
import io.hops.util.internal.PythonDriver;
import java.lang.ref.WeakReference;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerExecutorUnexcluded;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.cluster.ExecutorData;

/**
 * Makes executors match the roles in use ({@link MatchTask}), and confirms that each does: those that opened buckets
 * before a role was assumed or released, and those that come later and may have opened buckets before any code of ours ran there.
 * Not needed where {@link HopsSparkPlugin} does so at each task.
 *
 * <p>Problem: this takes a task on each executor, and one that starts, is busy or belongs to other work has no room for it, for
 * seconds or for hours. Solution: ask each until it has answered, in the background, without waiting for one before asking
 * another; until all have, jobs that are planned meanwhile pass by what the executors keep open ({@link UncachedBuckets}).
 */
final class ExecutorMatch extends SparkListener {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final String NAME = "hops-credentials";
  private static final AtomicInteger COUNT = new AtomicInteger();

  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(5);
  private static final long LOOK_AGAIN_MILLIS = 50;

  private static WeakReference<ExecutorMatch> last = new WeakReference<>(null);

  private final SparkContext context;
  private final Channel channel;
  private final UncachedBuckets uncached;

  // All of these are guarded by this object.
  private final Set<String> matched = new HashSet<>();
  private final Map<String, AskedExecutor> asked = new HashMap<>();
  private String round = NAME;
  private boolean isHeld;
  private Thread runner;

  private ExecutorMatch(SparkContext context) {
    this.context = context;
    this.channel = Channel.find(context);
    this.uncached = new UncachedBuckets(context.hadoopConfiguration());
  }

  /** Returns the one of a context, which follows its executors from now on. */
  static synchronized ExecutorMatch of(SparkContext context) {
    ExecutorMatch here = last.get();
    if (here == null || here.context != context) {
      here = new ExecutorMatch(context);
      // Our queue: others' listeners neither delay this one nor lose its events.
      context.listenerBus().addToQueue(here, NAME);
      last = new WeakReference<>(here);
    }
    return here;
  }

  /** Lets jobs pass by what is open, until {@link #repeat}: for the time in which a role is written. */
  synchronized void hold() {
    isHeld = true;
    update();
  }

  /** Asks every executor again, because the roles in use have changed. */
  synchronized void repeat() {
    if (!context.isStopped()) {
      context.cancelJobGroup(round);
    }
    round = NAME + " " + COUNT.incrementAndGet();
    isHeld = false;
    matched.clear();
    asked.clear();
    start();
  }

  /**
   * Waits for the executors that have room for a task, 5 s at most.
   *
   * @return the others, which follow in the background
   */
  synchronized Set<String> await() throws InterruptedException {
    long begun = System.nanoTime();
    Set<String> missing = missing();
    while (missing.stream().anyMatch(this::isExpected) && System.nanoTime() - begun < PATIENCE_NANOS) {
      wait(LOOK_AGAIN_MILLIS);
      missing = missing();
    }
    return missing;
  }

  /** Returns true for an executor that may answer soon. */
  private boolean isExpected(String executor) {
    AskedExecutor state = asked.get(executor);
    return !channel.isPassedOver(executor) && (state == null || !state.isGivenUp());
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded added) {
    startForRoles();
  }

  @Override
  public synchronized void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
    matched.remove(removed.executorId());
    asked.remove(removed.executorId());
    update();
  }

  @Override
  public synchronized void onExecutorUnexcluded(SparkListenerExecutorUnexcluded back) {
    asked.remove(back.executorId());
    startForRoles();
  }

  @Override
  public synchronized void onApplicationEnd(SparkListenerApplicationEnd end) {
    notifyAll();
  }

  @Override
  public void onJobStart(SparkListenerJobStart job) {
    startForRoles();
  }

  private synchronized void startForRoles() {
    if (hasRoles() && !isNeedless(context)) {
      start();
    }
  }

  /** Returns true if executors need not be asked: none can have a bucket open, or a Python worker to be led to the role. */
  static boolean isNeedless(SparkContext context) {
    return !PythonDriver.isHere() && !canHaveOpened(context);
  }

  /**
   * Returns false if nothing in this context can have opened a bucket on an executor, nor will do so with a configuration of now:
   * no RDD, and so no job, no file that Spark fetches there, no plugin of others.
   */
  static boolean canHaveOpened(SparkContext context) {
    return hasRdd(context) || Fetches.hasAny(context);
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

  private static boolean hasRoles() {
    LiveSet set = LiveStore.findCurrent();
    return set != null && !set.buckets().isEmpty();
  }

  /**
   * Starts a thread unless there is one: neither a caller nor the thread that calls listeners waits for executors that are busy.
   */
  private synchronized void start() {
    update();
    if (runner == null && isWanted()) {
      runner = OwnThread.start("hops-credentials executors", this::run);
    }
  }

  /** Lists the executors that can be given tasks and have not answered. */
  private Set<String> missing() {
    Set<String> missing = new TreeSet<>();
    if (channel != null && !context.isStopped()) {
      missing.addAll(channel.executors().keySet());
      missing.removeAll(matched);
      missing.removeIf(id -> !channel.isActive(id));
    }
    return missing;
  }

  /** Returns true while an executor is missing that is to be asked. */
  private boolean isWanted() {
    return missing().stream().anyMatch(id -> !asked.containsKey(id) || !asked.get(id).isGivenUp());
  }

  /** Begins or ends the time in which jobs pass by what is open, and wakes those who wait for an answer. */
  private void update() {
    boolean isNeeded = hasRoles() && (isHeld || !missing().isEmpty() && canHaveOpened(context));
    if (isNeeded && !context.isStopped()) {
      uncached.begin();
    } else {
      uncached.end();
    }
    notifyAll();
  }

  private void run() {
    try {
      context.setLocalProperty("spark.scheduler.pool", NAME);
      while (askThoseDue()) {
        awaitChange();
      }
    } catch (Throwable e) {
      if (!context.isStopped()) {
        LOG.log(Level.WARNING, "executors may keep buckets open under another identity until the next role", e);
      }
      end();
    }
  }

  private synchronized void end() {
    runner = null;
    update();
  }

  /** Gives a task to each executor that is due. Returns false when nobody is left to be asked. */
  private boolean askThoseDue() {
    List<Map<String, ExecutorData>> jobs;
    String begun;
    LiveSet roles;
    synchronized (this) {
      if (!isWanted()) {
        end();
        return false;
      }
      update();
      warnOfThoseWithoutRoom();
      begun = round;
      roles = LiveStore.findCurrent();
      jobs = due();
    }
    context.setJobGroup(begun, "open buckets again under their role", true);
    for (Map<String, ExecutorData> executors : jobs) {
      try {
        TasksOn.executors(context, executors)
            .run(new MatchTask(roles), id -> answered(id, begun), failure -> ended(executors.keySet(), begun, failure));
      } catch (RuntimeException e) {
        ended(executors.keySet(), begun, e);
      }
    }
    return true;
  }

  /** Lists those to be asked now, for one job each: all of a resource profile the first time, then each alone. */
  private List<Map<String, ExecutorData>> due() {
    Map<Integer, Map<String, ExecutorData>> profiles = new TreeMap<>();
    List<Map<String, ExecutorData>> jobs = new ArrayList<>();
    Map<String, ExecutorData> executors = channel.executors();
    for (String id : missing()) {
      AskedExecutor state = asked.computeIfAbsent(id, key -> new AskedExecutor());
      ExecutorData executor = executors.get(id);
      if (executor == null || state.waitMillis() > 0) {
        continue;
      }
      if (channel.isPassedOver(id)) {
        state.postpone();
      } else if (state.begin()) {
        profiles.computeIfAbsent(executor.resourceProfileId(), key -> new TreeMap<>()).put(id, executor);
      } else {
        jobs.add(Collections.singletonMap(id, executor));
      }
    }
    jobs.addAll(profiles.values());
    return jobs;
  }

  private synchronized void awaitChange() throws InterruptedException {
    long millis = AskedExecutor.LONGEST_PAUSE_MILLIS;
    for (String id : missing()) {
      millis = Math.min(millis, asked.containsKey(id) ? asked.get(id).waitMillis() : 0);
    }
    if (millis > 0 && isWanted()) {
      wait(millis);
    }
  }

  private synchronized void answered(String executor, String begun) {
    if (begun.equals(round)) {
      matched.add(executor);
      notifyAll();
    }
  }

  /** Counts a job as over. Those who have not answered are asked again. */
  private synchronized void ended(Collection<String> executors, String begun, Throwable failure) {
    if (!begun.equals(round) || context.isStopped()) {
      notifyAll();
      return;
    }
    Set<String> givenUp = new TreeSet<>();
    for (String id : executors) {
      AskedExecutor state = asked.get(id);
      if (state != null && !matched.contains(id)) {
        state.end(failure != null);
        if (state.isGivenUp()) {
          givenUp.add(id);
        }
      }
    }
    if (!givenUp.isEmpty()) {
      LOG.log(Level.WARNING, explainGivenUp(givenUp), failure);
    }
    notifyAll();
  }

  private static String explainGivenUp(Set<String> executors) {
    return explain(
        executors,
        "cannot be told to open their buckets again, and are not asked any more; jobs open their buckets anew, and what was made"
            + " before the role may read under another identity there; end them with SparkContext.killExecutors, or start the"
            + " application again");
  }

  /** Says once in a round which executors keep jobs from sharing open buckets. */
  private void warnOfThoseWithoutRoom() {
    String problem = explainLate(select(AskedExecutor::isLate));
    if (problem != null && uncached.mayWarn()) {
      LOG.warning(problem);
    }
  }

  private static String explainLate(Set<String> executors) {
    return explain(
        executors,
        "have had no room for a task for ten minutes; until they have or end, jobs open their buckets anew; with spark.plugins="
            + HopsSparkPlugin.class.getName()
            + " an application needs no room for that");
  }

  private static String explain(Set<String> executors, String problem) {
    return executors.isEmpty() ? null : "executors " + String.join(", ", executors) + " " + problem;
  }

  private Set<String> select(Predicate<AskedExecutor> predicate) {
    Set<String> selected = missing();
    selected.removeIf(id -> !asked.containsKey(id) || !predicate.test(asked.get(id)));
    return selected;
  }

  /** Says for a context which executors do not follow its roles, and what to do. */
  static synchronized List<String> listProblems(SparkContext context) {
    List<String> problems = new ArrayList<>();
    ExecutorMatch here = last.get();
    if (here != null && here.context == context && hasRoles()) {
      synchronized (here) {
        problems.add(explainGivenUp(here.select(AskedExecutor::isGivenUp)));
        problems.add(explainLate(here.select(AskedExecutor::isLate)));
      }
    }
    problems.removeIf(Objects::isNull);
    return problems;
  }
}
