package io.hops.util.internal;

import java.util.function.Supplier;

/** The credentials of one bucket, or of the application, at each call: on the driver, on executors and without Spark. */
public final class CurrentCredentials implements Supplier<Object[]> {
  private final String bucket;
  private volatile Supplier<Object[]> pushed;

  /**
   * Looks nowhere yet.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   */
  public CurrentCredentials(String bucket) {
    this(bucket, null);
  }

  /**
   * Looks nowhere yet.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   * @param pushed where its credentials come to an executor; null for what the {@link Host} finds
   */
  public CurrentCredentials(String bucket, Supplier<Object[]> pushed) {
    this.bucket = bucket;
    this.pushed = pushed;
  }

  /**
   * The credentials of this moment.
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
    return source == null ? LiveSet.empty().answer(bucket, 0) : source.get();
  }
}
