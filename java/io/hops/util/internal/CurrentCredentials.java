package io.hops.util.internal;

import java.util.function.Supplier;

/** Gives the current credentials of one bucket, or of the application: on the driver, on executors and without Spark. */
public final class CurrentCredentials implements Supplier<Object[]> {
  private final String bucket;
  private volatile Supplier<Object[]> pushed;

  /**
   * Makes the source that user code asks.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   */
  public CurrentCredentials(String bucket) {
    this(bucket, null);
  }

  /**
   * Makes the source that a file system asks.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   * @param pushed gives its credentials on an executor; null for what the {@link Host} finds
   */
  public CurrentCredentials(String bucket, Supplier<Object[]> pushed) {
    this.bucket = bucket;
    this.pushed = pushed;
  }

  /**
   * Returns the current credentials.
   *
   * @return see {@link LiveSet#answer}
   */
  @Override
  public Object[] get() {
    Object[] here = LiveStore.answer(bucket);
    if (here != null) {
      return here;
    }
    Supplier<Object[]> source = pushed;
    if (source == null) {
      source = HostLoader.host().findPushed(bucket);
      pushed = source;
    }
    // A driver has a file system of ours without a role when its configuration comes from a checkpoint.
    boolean canArrive = source != null && HostLoader.host().isExecutor();
    return canArrive ? source.get() : LiveSet.empty().answer(bucket, 0);
  }
}
