package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.PushedCredentials;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.io.DataOutputBuffer;
import org.apache.hadoop.security.Credentials;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.cluster.CoarseGrainedClusterMessages.UpdateDelegationTokens;
import org.apache.spark.scheduler.cluster.ExecutorData;

/**
 * Pushes the live set to every executor, present and future, beside Spark's delegation tokens.
 *
 * <p>Problem: an executor that registers during a push can miss the set; Spark's own renewal of tokens replaces what executors
 * get when they start; and of two pushes at a time the older can win. Solution: put the set among these tokens by
 * compare-and-set, send it alone, once to each executor, and again to one that registers or begins a task without it. Where YARN
 * writes these tokens to disks, the set is not among them.
 */
final class Delivery extends SparkListener {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** Weak, because it leads to its context, which keeps it as a listener for as long as it lives. */
  private static WeakReference<Delivery> last = new WeakReference<>(null);

  private final SparkContext context;
  private final Channel channel;

  /** By executor, the version of the set that was sent to it last. */
  private final Map<String, Long> sent = new ConcurrentHashMap<>();

  private Delivery(SparkContext context, Channel channel) {
    this.context = context;
    this.channel = channel;
  }

  /** Returns true if the scheduler of this context can send secrets to its executors. */
  static boolean hasChannel(SparkContext context) {
    return Channel.find(context) != null;
  }

  /**
   * Pushes the newest set, and makes sure that executors that register later get it too. An executor handles the push before
   * any task that is submitted after this call returns: it reads both from one connection, in order.
   *
   * @throws CloudCredentialException when the set cannot be sent
   */
  static void push(SparkContext context) throws CloudCredentialException {
    try {
      Delivery delivery = of(context);
      delivery.send(delivery.channel.executors());
    } catch (IOException | RuntimeException e) {
      throw new CloudCredentialException("the credentials could not be sent to the executors: " + e, e, 0);
    }
  }

  private static synchronized Delivery of(SparkContext context) {
    Delivery delivery = last.get();
    if (delivery == null || delivery.context != context) {
      delivery = new Delivery(context, Channel.find(context));
      // A queue of its own: others' listeners neither delay this one nor lose its events.
      context.listenerBus().addToQueue(delivery, "hops-credentials");
      last = new WeakReference<>(delivery);
      String clear = Encryption.explainClear(context.getConf());
      if (clear != null) {
        LOG.warning(clear);
      }
    }
    return delivery;
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded added) {
    sendIfMissing(added.executorId());
  }

  /** Makes sure of what {@link #onExecutorAdded} began, should that event have been lost. */
  @Override
  public void onTaskStart(SparkListenerTaskStart start) {
    sendIfMissing(start.taskInfo().executorId());
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
    sent.remove(removed.executorId());
  }

  private void sendIfMissing(String id) {
    LiveSet set = LiveStore.findCurrent();
    Long version = sent.get(id);
    if (set == null || version != null && version >= set.version()) {
      return;
    }
    ExecutorData executor = channel.findExecutor(id);
    if (executor == null) {
      return;
    }
    try {
      send(Collections.singletonMap(id, executor));
    } catch (IOException | RuntimeException e) {
      LOG.log(
          Level.WARNING,
          "the credentials could not be sent to executor " + id + "; its reads fail until its next task or the next refresh",
          e);
    }
  }

  /** Sends the newest set to these executors, and keeps it for those that start later. */
  private void send(Map<String, ExecutorData> executors) throws IOException {
    // From reading the newest set to sending it. The object is one for all copies of this jar, and Spark does not lock it.
    synchronized (channel.tokens()) {
      byte[] newest = LiveStore.findBytes();
      if (newest == null) {
        return;
      }
      // Executors whose configuration asks for a role from the start cannot wait for it.
      if (!YarnClient.hasDriver(context.conf()) || FutureContexts.areIn(context.conf())) {
        keepForLaterExecutors(newest);
      }
      long version = LiveSet.fromBytes(newest).version();
      UpdateDelegationTokens message = new UpdateDelegationTokens(write(with(new Credentials(), newest)));
      for (Map.Entry<String, ExecutorData> executor : executors.entrySet()) {
        executor.getValue().executorEndpoint().send(message);
        sent.put(executor.getKey(), version);
      }
    }
  }

  /** Puts the set among the tokens of Spark's own renewal, which go on travelling, whatever it does meanwhile. */
  private void keepForLaterExecutors(byte[] newest) throws IOException {
    byte[] current;
    byte[] merged;
    do {
      current = channel.tokens().get();
      Credentials all = new Credentials();
      if (current != null && current.length > 0) {
        all.readTokenStorageStream(new DataInputStream(new ByteArrayInputStream(current)));
        if (Arrays.equals(newest, all.getSecretKey(PushedCredentials.SECRET))) {
          return;
        }
      }
      merged = write(with(all, newest));
    } while (!channel.tokens().compareAndSet(current, merged));
  }

  private static Credentials with(Credentials credentials, byte[] set) {
    credentials.addSecretKey(PushedCredentials.SECRET, set);
    return credentials;
  }

  private static byte[] write(Credentials credentials) throws IOException {
    DataOutputBuffer out = new DataOutputBuffer();
    credentials.writeTokenStorageToStream(out);
    return Arrays.copyOf(out.getData(), out.getLength());
  }
}
