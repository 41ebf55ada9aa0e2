package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.PushedCredentials;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.io.DataOutputBuffer;
import org.apache.hadoop.security.Credentials;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;

/**
 * Pushes the live set to every executor, present and future, over Spark's delegation-token channel.
 *
 * <p>Problem: an executor that registers during a push can miss the set, and of two pushes at a time the older can win.
 * Solution: push again for each executor that registers, and hold the back end's own monitor from reading the newest set to
 * sending it.
 */
final class Delivery extends SparkListener {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  private static final Map<SparkContext, Delivery> LISTENING =
      Collections.synchronizedMap(new WeakHashMap<>());

  private final Object backend;

  private Delivery(Object backend) {
    this.backend = backend;
  }

  /** Returns true if the scheduler of this context can send secrets to its executors. */
  static boolean hasChannel(SparkContext context) {
    Object backend = context.schedulerBackend();
    return findMethod(backend, "updateDelegationTokens") != null
        && findMethod(backend, "currentDelegationTokens") != null;
  }

  /**
   * Pushes the newest set, and makes sure that executors that register later get it too. An executor handles the push before
   * any task that is submitted after this call returns.
   */
  static void push(SparkContext context) throws CloudCredentialException {
    Delivery delivery =
        LISTENING.computeIfAbsent(
            context,
            key -> {
              Delivery listener = new Delivery(key.schedulerBackend());
              key.addSparkListener(listener);
              return listener;
            });
    try {
      delivery.push();
    } catch (IOException | ReflectiveOperationException e) {
      Throwable cause = e instanceof InvocationTargetException ? e.getCause() : e;
      throw new CloudCredentialException(
          "the credentials could not be sent to the executors: " + cause, cause, 0);
    }
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded added) {
    try {
      push();
    } catch (IOException | ReflectiveOperationException e) {
      LOG.log(
          Level.WARNING,
          "the credentials could not be sent to executor "
              + added.executorId()
              + "; its reads fail until the next refresh",
          e);
    }
  }

  private void push() throws IOException, ReflectiveOperationException {
    synchronized (backend) {
      byte[] newest = LiveStore.findBytes();
      if (newest == null) {
        return;
      }
      // The tokens of Spark's own renewal must go on travelling.
      Credentials all = new Credentials();
      byte[] current = (byte[]) findMethod(backend, "currentDelegationTokens").invoke(backend);
      if (current != null && current.length > 0) {
        all.readTokenStorageStream(new DataInputStream(new ByteArrayInputStream(current)));
      }
      all.addSecretKey(PushedCredentials.SECRET, newest);
      DataOutputBuffer out = new DataOutputBuffer();
      all.writeTokenStorageToStream(out);
      findMethod(backend, "updateDelegationTokens")
          .invoke(backend, (Object) Arrays.copyOf(out.getData(), out.getLength()));
    }
  }

  /** Finds a method of the back end. It is private to Spark in Scala, public in the class files, and may be on a superclass. */
  private static Method findMethod(Object backend, String name) {
    for (Class<?> type = backend.getClass(); type != null; type = type.getSuperclass()) {
      for (Method method : type.getDeclaredMethods()) {
        if (method.getName().equals(name)) {
          method.setAccessible(true);
          return method;
        }
      }
    }
    return null;
  }
}
