package io.hops.util.s3a;

import java.io.IOException;
import java.lang.reflect.Field;
import java.security.AccessControlContext;
import java.security.AccessController;
import java.security.PrivilegedActionException;
import java.security.PrivilegedExceptionAction;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Finds the Hadoop user of an executor, among whose secrets Spark puts what the driver pushes.
 *
 * <p>Problem: code in a task may act as another user, whose secrets are none or a copy that nobody renews, and a thread of a
 * ForkJoinPool (parallel streams, CompletableFuture) is not of Spark's user either. Solution: take the user of the thread that
 * receives the push.
 */
final class SparkUser {
  /** The thread in which an executor handles what the driver sends. */
  private static final String RECEIVER = "dispatcher-Executor";

  /** The field that tells a thread's user; null where threads have none. */
  private static final Field CONTEXT = findContext();

  private static volatile UserGroupInformation known;

  private SparkUser() {}

  /** Finds it; else, as where threads have no user of their own (JDK 24 and later), whoever has something from the driver. */
  static UserGroupInformation find() throws IOException {
    UserGroupInformation found = known;
    if (found == null && CONTEXT != null) {
      found = findReceiver();
      known = found;
    }
    return found == null ? findHolder() : found;
  }

  /** Finds the user of the JVM, on whose behalf a thread acts that receives a push; else that of this thread, or whoever it acts for. */
  private static UserGroupInformation findHolder() throws IOException {
    // Comes first: others may have a copy, which nobody renews.
    UserGroupInformation login = UserGroupInformation.getLoginUser();
    if (holds(login)) {
      return login;
    }
    UserGroupInformation current = UserGroupInformation.getCurrentUser();
    UserGroupInformation real = current.getRealUser();
    return real != null && !holds(current) && holds(real) ? real : current;
  }

  private static boolean holds(UserGroupInformation user) {
    return user.getCredentials().getSecretKey(PushedCredentials.SECRET) != null;
  }

  private static UserGroupInformation findReceiver() {
    ThreadGroup group = Thread.currentThread().getThreadGroup();
    while (group.getParent() != null) {
      group = group.getParent();
    }
    Thread[] threads = new Thread[2 * group.activeCount() + 1];
    int count = group.enumerate(threads);
    for (int i = 0; i < count; i++) {
      if (threads[i].getName().startsWith(RECEIVER)) {
        return findUser(threads[i]);
      }
    }
    return null;
  }

  private static UserGroupInformation findUser(Thread thread) {
    try {
      AccessControlContext context = (AccessControlContext) CONTEXT.get(thread);
      return AccessController.doPrivileged(
          (PrivilegedExceptionAction<UserGroupInformation>) UserGroupInformation::getCurrentUser, context);
    } catch (IllegalAccessException | PrivilegedActionException e) {
      return null;
    }
  }

  private static Field findContext() {
    try {
      // Spark opens this package of the JDK for its JVMs.
      Field field = Thread.class.getDeclaredField("inheritedAccessControlContext");
      field.setAccessible(true);
      return field;
    } catch (NoSuchFieldException | RuntimeException e) {
      return null;
    }
  }
}
