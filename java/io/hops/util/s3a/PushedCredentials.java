package io.hops.util.s3a;

import io.hops.util.internal.LiveSet;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;

/**
 * Gives the current credentials of one bucket on an executor. Reads them from the Hadoop secrets of Spark's user, where the
 * driver's push puts them; never fetches any.
 *
 * <p>Problem: a task can be ahead of the push, and must not read with earlier roles. Solution: a set that is absent, or of a
 * lower generation than the job, does not count; the reader waits for the push.
 */
public final class PushedCredentials implements Supplier<Object[]> {
  /** The name of the Hadoop secret that carries the set to executors. */
  public static final Text SECRET = new Text("io.hops.util.live.1");

  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);
  private static final long LOOK_AGAIN_MILLIS = 20;

  private final String bucket;
  private final long generation;
  private volatile ParsedSet parsed = new ParsedSet(null, null);

  /**
   * Makes the source of one bucket.
   *
   * @param bucket the bucket, or the empty name for the application
   * @param generation the lowest generation that counts; 0 for any
   */
  public PushedCredentials(String bucket, long generation) {
    this.bucket = bucket;
    this.generation = generation;
  }

  /**
   * Reads the set that the driver pushed to this executor.
   *
   * @return the set, or null when none has arrived
   * @throws IOException when the set is damaged
   */
  public static LiveSet readSet() throws IOException {
    byte[] bytes = readBytes();
    return bytes == null ? null : LiveSet.fromBytes(bytes);
  }

  /**
   * Puts a set where a push puts it.
   *
   * @param set the set as it travels
   * @throws IOException when Spark's user cannot be found
   */
  public static void accept(byte[] set) throws IOException {
    Credentials credentials = new Credentials();
    credentials.addSecretKey(SECRET, set);
    SparkUser.find().addCredentials(credentials);
  }

  /**
   * Reads the set as it travels.
   *
   * @return the same array until the driver pushes another one; null when none has arrived
   * @throws IOException when Spark's user cannot be found
   */
  public static byte[] readBytes() throws IOException {
    return SparkUser.find().getCredentials().getSecretKey(SECRET);
  }

  @Override
  public Object[] get() {
    try {
      return await().answer(bucket, System.currentTimeMillis());
    } catch (IOException e) {
      return new Object[] {true, e.getMessage()};
    }
  }

  /**
   * Waits for a set that counts, 10 s at most.
   *
   * @return the newest set
   * @throws IOException when none has come, or it came damaged
   */
  public LiveSet await() throws IOException {
    long start = System.nanoTime();
    while (true) {
      LiveSet set = findNewest();
      if (set != null && set.generation() >= generation) {
        return set;
      }
      if (System.nanoTime() - start > PATIENCE_NANOS) {
        throw new IOException(
            "the credentials for " + LiveSet.describe(bucket) + " have not reached this executor within 10 s: it has "
                + (set == null ? "none" : "those of generation " + set.generation())
                + ", the job needs generation " + generation
                + "; see the driver's log, and call assumeRole on the driver");
      }
      try {
        Thread.sleep(LOOK_AGAIN_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IOException("interrupted while waiting for the credentials for " + LiveSet.describe(bucket), e);
      }
    }
  }

  /**
   * Finds the newest set that was pushed to this executor. Looks at the secrets at each request: then a role switch holds for
   * the next one, and the look costs less than a microsecond. Parses only what is new.
   */
  LiveSet findNewest() throws IOException {
    byte[] bytes = readBytes();
    ParsedSet held = parsed;
    if (bytes != null && bytes != held.bytes) {
      LiveSet newer = LiveSet.fromBytes(bytes);
      if (held.set == null || newer.version() >= held.set.version()) {
        held = new ParsedSet(bytes, newer);
        parsed = held;
      }
    }
    return held.set;
  }

  /** A set and the bytes it was parsed from. Their identity tells whether other bytes have arrived since. */
  private static final class ParsedSet {
    final byte[] bytes;
    final LiveSet set;

    ParsedSet(byte[] bytes, LiveSet set) {
      this.bytes = bytes;
      this.set = set;
    }
  }
}
