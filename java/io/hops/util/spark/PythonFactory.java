package io.hops.util.spark;

import java.io.Closeable;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.Socket;
import java.nio.channels.Channel;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.mutable.Queue;
import scala.collection.mutable.WeakHashMap;

/**
 * One of Spark's factories of Python workers: that of the functions which bring the same variables.
 *
 * <p>Problem: a factory forks workers from a Python process, its daemon, and gives a worker one task after the other. A daemon that
 * started under other roles has the environment from then, and the libraries of its workers keep credentials. Solution: when the
 * roles have changed, another daemon starts for later tasks. The earlier workers end, each when its task is over.
 *
 * <p>All names of Spark here are private there. They are the same from Spark 3.3 to 4.3. Used under the lock of SparkEnv alone.
 */
final class PythonFactory {
  static final String UNKNOWN =
      "Python workers cannot be led to the role in this version of Spark; spark.hops.credentials.worker-endpoint=false leaves them as"
          + " they are";

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** Its methods are called by their names, because Scala 2.12 and 2.13 declare them in other types. */
  private static final Class<?> VARIABLES = scala.collection.immutable.Map.class;

  private final Object factory;

  /** The variables that the functions bring. Null until a role is in use: without one, nothing of Spark's is looked at. */
  private Object brought;

  /** Daemons that get no more tasks, some of whose workers still have one. */
  private final List<Retired> retired = new ArrayList<>();

  /** See {@link #isLedTo}. */
  private Object led;

  PythonFactory(Object factory) {
    this.factory = factory;
  }

  /** Returns what the functions bring for a variable; null for nothing. */
  String brought(String name) {
    Option<?> value = (Option<?>) call(VARIABLES, "get", brought(), new Class<?>[] {Object.class}, name);
    return value.isDefined() ? (String) value.get() : null;
  }

  private Object brought() {
    if (brought == null) {
      brought = get("envVars");
    }
    return brought;
  }

  /** Returns true if workers that start from now on are led to this. Null is where they were led before the first role. */
  boolean isLedTo(Object goal) {
    return goal == null ? led == null : goal.equals(led);
  }

  /**
   * Leads workers from now on.
   *
   * @param goal see {@link #isLedTo}
   * @param changes what changes in the variables that the functions bring; null for what is taken out
   */
  void lead(Object goal, Map<String, String> changes) {
    retireDaemon();
    Object variables = brought();
    for (Map.Entry<String, String> change : changes.entrySet()) {
      variables =
          change.getValue() == null
              ? call(VARIABLES, "$minus", variables, new Class<?>[] {Object.class}, change.getKey())
              : call(
                  VARIABLES,
                  "updated",
                  variables,
                  new Class<?>[] {Object.class, Object.class},
                  change.getKey(),
                  change.getValue());
    }
    set("envVars", variables);
    led = goal;
  }

  /** Returns true if workers are forked from a daemon, and do not each inherit the environment of this JVM. */
  boolean hasDaemon() {
    return (Boolean) get("useDaemon");
  }

  /** Returns true if the daemon from which later workers are forked has started. */
  boolean isStarted() {
    Process daemon = (Process) get("daemon");
    return daemon != null && daemon.isAlive();
  }

  /** Starts the daemon now, as Spark does. */
  void start() {
    set("daemon", null);
    call(factory.getClass(), "startDaemon", factory, new Class<?>[0]);
  }

  private void retireDaemon() {
    synchronized (factory) {
      Process daemon = (Process) get("daemon");
      if (daemon != null) {
        set("daemon", null);
        Retired earlier = new Retired(daemon);
        for (Iterator<?> each = ((WeakHashMap<?, ?>) get("daemonWorkers")).keysIterator(); each.hasNext(); ) {
          earlier.workers.add(each.next());
        }
        retired.forEach(other -> earlier.workers.removeAll(other.workers));
        retired.add(earlier);
      }
    }
  }

  /** Ends the workers that have no task and are to get none, and the daemons that have no other. */
  void endRetired() {
    if (retired.isEmpty()) {
      return;
    }
    synchronized (factory) {
      Queue<?> idle = (Queue<?>) get("idleWorkers");
      for (int left = idle.size(); left > 0; left--) {
        Object worker = idle.dequeue();
        if (retired.stream().anyMatch(daemon -> daemon.workers.contains(worker))) {
          end(worker);
        } else {
          call(factory.getClass(), "releaseWorker", factory, new Class<?>[] {workerType(worker)}, worker);
        }
      }
    }
    retired.removeIf(Retired::hasEnded);
  }

  // A worker is a socket, and since Spark 4 an object around a channel.

  private static Class<?> workerType(Object worker) {
    return worker instanceof Socket ? Socket.class : worker.getClass();
  }

  private static boolean hasEnded(Object worker) {
    return worker instanceof Socket
        ? ((Socket) worker).isClosed()
        : !((Channel) call(worker.getClass(), "channel", worker, new Class<?>[0])).isOpen();
  }

  private static void end(Object worker) {
    if (worker instanceof Closeable) {
      try {
        ((Closeable) worker).close();
      } catch (IOException e) {
        LOG.log(Level.FINE, "a Python worker that waits for a task could not be told to end", e);
      }
    } else {
      call(worker.getClass(), "stop", worker, new Class<?>[0]);
    }
  }

  private Object get(String name) {
    try {
      return field(factory.getClass(), name).get(factory);
    } catch (ReflectiveOperationException e) {
      throw unknown(e);
    }
  }

  private void set(String name, Object value) {
    try {
      field(factory.getClass(), name).set(factory, value);
    } catch (ReflectiveOperationException e) {
      throw unknown(e);
    }
  }

  private static Object call(Class<?> type, String name, Object target, Class<?>[] types, Object... arguments) {
    try {
      Method method = type.isInterface() ? type.getMethod(name, types) : declared(type, name, types);
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw PythonFactory.<RuntimeException>asThrown(e.getCause());
    } catch (ReflectiveOperationException e) {
      throw unknown(e);
    }
  }

  private static Method declared(Class<?> type, String name, Class<?>[] types) throws NoSuchMethodException {
    Method method = type.getDeclaredMethod(name, types);
    method.setAccessible(true);
    return method;
  }

  /** Finds a private field. */
  static Field field(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }

  private static IllegalStateException unknown(ReflectiveOperationException problem) {
    return new IllegalStateException(UNKNOWN, problem);
  }

  /** Returns what Spark threw, which declares nothing. */
  @SuppressWarnings("unchecked")
  private static <T extends Throwable> T asThrown(Throwable thrown) throws T {
    throw (T) thrown;
  }

  /** A daemon that gets no more tasks, and its workers. */
  private static final class Retired {
    final Process daemon;
    final Set<Object> workers = new HashSet<>();

    Retired(Process daemon) {
      this.daemon = daemon;
    }

    /** Ends the daemon when all its workers have ended, and returns true then. */
    boolean hasEnded() {
      workers.removeIf(PythonFactory::hasEnded);
      if (workers.isEmpty()) {
        daemon.destroy();
      }
      return workers.isEmpty();
    }
  }
}
