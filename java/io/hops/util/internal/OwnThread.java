package io.hops.util.internal;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.security.AccessController;
import java.security.PrivilegedAction;

/**
 * Threads of ours in a JVM that belongs to others.
 *
 * <p>Problem: a thread inherits from whoever starts it: inheritable thread-locals, in which Spark keeps the session and the
 * properties of its jobs, the context class loader, the access rights, which hold class loaders, and the thread group, which
 * may be interrupted as a whole. All of these would live, or end, with our thread. Solution: start it with none of them.
 */
public final class OwnThread {
  private OwnThread() {}

  /**
   * Starts a daemon thread.
   *
   * @param name its name
   * @param work what it does
   * @return the thread
   */
  public static Thread start(String name, Runnable work) {
    Thread thread = AccessController.doPrivileged((PrivilegedAction<Thread>) () -> make(name, work));
    thread.setDaemon(true);
    thread.setContextClassLoader(OwnThread.class.getClassLoader());
    thread.start();
    return thread;
  }

  private static Thread make(String name, Runnable work) {
    ThreadGroup group = Thread.currentThread().getThreadGroup();
    while (group.getParent() != null) {
      group = group.getParent();
    }
    try {
      // The last argument: no inheritable thread-locals.
      Constructor<Thread> constructor =
          Thread.class.getConstructor(ThreadGroup.class, Runnable.class, String.class, long.class, boolean.class);
      return constructor.newInstance(group, work, name, 0L, false);
    } catch (NoSuchMethodException java8) {
      return makeOnJava8(group, work, name);
    } catch (ReflectiveOperationException e) {
      return new Thread(group, work, name);
    }
  }

  /** Takes the inheritable thread-locals away again, as a constructor of later versions does. */
  private static Thread makeOnJava8(ThreadGroup group, Runnable work, String name) {
    Thread thread = new Thread(group, work, name);
    try {
      Field inherited = Thread.class.getDeclaredField("inheritableThreadLocals");
      inherited.setAccessible(true);
      inherited.set(thread, null);
    } catch (ReflectiveOperationException | SecurityException e) {
      return thread; // keeps them where a JVM names the field otherwise
    }
    return thread;
  }
}
