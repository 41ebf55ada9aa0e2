package io.hops.util.spark;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import scala.Option;
import scala.Tuple2;
import scala.collection.Iterator;

/**
 * The sessions of Spark SQL that a thread sees: its own, and the default one. Spark SQL may be absent.
 *
 * <p>Its classes moved between Spark 3 and 4, so its methods are called by their names.
 */
final class Sessions {
  private static final int PATIENCE_SECONDS = 5;

  private Sessions() {}

  /** The sessions have not answered. The message says why. */
  static final class NotAskedException extends Exception {
    private static final long serialVersionUID = 1;

    NotAskedException(Throwable cause) {
      super("the sessions of Spark SQL have not answered (" + cause + ")", cause);
    }
  }

  /**
   * Asks sessions in time.
   *
   * <p>Problem: a session that is just being made locks itself, and may open a bucket, which waits for whoever applies a role, as
   * our callers do. Solution: ask in another thread, which inherits the session of this one, and wait for a few seconds. From
   * then on that thread can {@link #write} nothing more.
   *
   * @return the answer
   * @throws NotAskedException when none has come
   */
  static <T> T ask(Callable<T> question) throws NotAskedException {
    FutureTask<T> answer = new FutureTask<>(question);
    Asking asking = new Asking(answer);
    SparkContext context = ActiveContext.get();
    if (context != null) {
      // Sees what came with the job, whoever asks.
      asking.setContextClassLoader(context.hadoopConfiguration().getClassLoader());
    }
    asking.start();
    try {
      return answer.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new NotAskedException(e);
    } catch (ExecutionException e) {
      throw new NotAskedException(e.getCause());
    } catch (TimeoutException e) {
      throw new NotAskedException(e);
    } finally {
      asking.end();
    }
  }

  /** Makes a change, in a question, as long as somebody waits for its answer. */
  static void write(Runnable change) {
    ((Asking) Thread.currentThread()).write(change);
  }

  private static final class Asking extends Thread {
    private boolean isOver;

    Asking(Runnable question) {
      super(question, "hops-credentials session");
      setDaemon(true);
    }

    synchronized void write(Runnable change) {
      if (isOver) {
        throw new IllegalStateException("nobody waits for this any longer");
      }
      change.run();
    }

    synchronized void end() {
      isOver = true;
    }
  }

  /** Lists the sessions, that of this thread first. */
  static List<Session> list() throws ReflectiveOperationException {
    List<Session> found = new ArrayList<>();
    Class<?> type;
    try {
      type = Class.forName("org.apache.spark.sql.SparkSession");
    } catch (ClassNotFoundException e) {
      return found;
    }
    for (String getter : new String[] {"getActiveSession", "getDefaultSession"}) {
      Option<?> defined = (Option<?>) type.getMethod(getter).invoke(null);
      Session session = defined.isDefined() ? new Session(defined.get()) : null;
      if (session != null && !found.contains(session) && !session.isOver()) {
        found.add(session);
      }
    }
    return found;
  }

  /** One session. */
  static final class Session {
    private final Object session;

    Session(Object session) {
      this.session = session;
    }

    /** Returns true if its application has ended. */
    private boolean isOver() throws ReflectiveOperationException {
      return ((SparkContext) call(session.getClass(), "sparkContext", session, new Class<?>[0])).isStopped();
    }

    /** Returns the session itself. */
    Object identity() {
      return session;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Session && ((Session) other).session == session;
    }

    @Override
    public int hashCode() {
      return System.identityHashCode(session);
    }

    /**
     * Changes confs of a catalog; the value null removes one. No catalog is made meanwhile.
     *
     * @return the catalog, when it is in use since before the change; else null
     */
    Object change(String catalog, Map<String, String> confs) throws ReflectiveOperationException {
      Object manager = catalogManager();
      synchronized (manager) {
        try {
          return usedCatalogs().get(catalog);
        } finally {
          write(() -> confs.forEach(this::set));
        }
      }
    }

    private void set(String key, String value) {
      try {
        if (value == null) {
          confs("unset", new Class<?>[] {String.class}, key);
        } else {
          confs("set", new Class<?>[] {String.class, String.class}, key, value);
        }
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    }

    /** Returns all confs that are set. */
    Map<String, String> all() throws ReflectiveOperationException {
      Map<String, String> all = new LinkedHashMap<>();
      Object confs = confs("getAll", new Class<?>[0]);
      Iterator<?> each = (Iterator<?>) scala.collection.immutable.Map.class.getMethod("iterator").invoke(confs);
      while (each.hasNext()) {
        Tuple2<?, ?> conf = (Tuple2<?, ?>) each.next();
        all.put((String) conf._1(), (String) conf._2());
      }
      return all;
    }

    /** Returns what later sessions of the same application start with. */
    SparkConf shared() throws ReflectiveOperationException {
      Object state = call(session.getClass(), "sharedState", session, new Class<?>[0]);
      return (SparkConf) call(state.getClass(), "conf", state, new Class<?>[0]);
    }

    /** Returns the catalogs that have been used, by name. */
    Map<String, Object> usedCatalogs() throws ReflectiveOperationException {
      Object manager = catalogManager();
      Map<String, Object> used = new LinkedHashMap<>();
      synchronized (manager) {
        // Private, and of this name from Spark 3.3 to 4.3. The public list names a catalog that has not been used.
        scala.collection.mutable.HashMap<?, ?> catalogs =
            (scala.collection.mutable.HashMap<?, ?>) PythonFactory.field(manager.getClass(), "catalogs").get(manager);
        catalogs.foreach(entry -> used.put((String) entry._1(), entry._2()));
      }
      return used;
    }

    private Object catalogManager() throws ReflectiveOperationException {
      Object state = call(session.getClass(), "sessionState", session, new Class<?>[0]);
      return call(state.getClass(), "catalogManager", state, new Class<?>[0]);
    }

    private Object confs(String name, Class<?>[] types, Object... arguments) throws ReflectiveOperationException {
      Object confs = call(session.getClass(), "conf", session, new Class<?>[0]);
      return call(Class.forName("org.apache.spark.sql.RuntimeConfig"), name, confs, types, arguments);
    }

    private static Object call(Class<?> type, String name, Object target, Class<?>[] types, Object... arguments)
        throws ReflectiveOperationException {
      Method method = type.getMethod(name, types);
      try {
        return method.invoke(target, arguments);
      } catch (InvocationTargetException e) {
        throw new ReflectiveOperationException(e.getCause());
      }
    }
  }
}
