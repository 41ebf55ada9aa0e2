package io.hops.util.s3a;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.Roles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Where one file system gets its credentials, at each request: bound to its bucket, its user and the generation of the
 * configuration it was opened with.
 *
 * <p>On the driver they come from the {@link LiveStore}. On an executor they come from the user's Hadoop secrets, where the
 * driver's push puts them; nothing is fetched there. A set that is absent or of a lower generation is no answer: then the
 * push is on its way, and is awaited.
 */
public final class BucketSource implements Supplier<Object[]> {
  /** The name of the Hadoop secret that carries the set to executors. */
  public static final Text SECRET = new Text("io.hops.util.live.1");

  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);
  private static final long LOOK_AGAIN_MILLIS = 20;

  private final String bucket;
  private final UserGroupInformation user;
  private final long generation;
  private volatile Pushed pushed = new Pushed(null, null);

  /**
   * A source for whoever is no file system.
   *
   * @param bucket the bucket, or the empty name for the application
   * @param user whose secrets to look at
   * @param generation the lowest that is taken
   */
  public BucketSource(String bucket, UserGroupInformation user, long generation) {
    this.bucket = bucket;
    this.user = user;
    this.generation = generation;
  }

  /**
   * What a provider calls when S3A opens a file system.
   *
   * @return takes the URI and the Hadoop configuration of the file system
   */
  public static BiFunction<URI, Object, Supplier<Object[]>> factory() {
    return (uri, configuration) -> {
      try {
        return new BucketSource(
            uri.getHost(),
            UserGroupInformation.getCurrentUser(),
            ((Configuration) configuration).getLong(Keys.GENERATION, 0));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    };
  }

  /**
   * The set that the driver pushed to this executor.
   *
   * @param user whose secrets to look at
   * @return the set, or null when none has arrived
   * @throws IOException when it is damaged
   */
  public static LiveSet pushedTo(UserGroupInformation user) throws IOException {
    byte[] bytes = user.getCredentials().getSecretKey(SECRET);
    return bytes == null ? null : LiveSet.fromBytes(bytes);
  }

  @Override
  public Object[] get() {
    Object[] answer = LiveStore.answer(bucket);
    if (answer != null) {
      // A file system that an earlier SparkContext opened serves a later one, whose executors have nothing yet.
      try {
        Roles.catchUp();
      } catch (CloudCredentialException e) {
        return new Object[] {true, e.getMessage()};
      }
      return answer;
    }
    long start = System.nanoTime();
    while (true) {
      LiveSet set;
      try {
        set = look();
      } catch (IOException e) {
        return new Object[] {true, e.getMessage()};
      }
      if (set != null && set.generation() >= generation) {
        return set.answer(bucket, System.currentTimeMillis());
      }
      if (System.nanoTime() - start > PATIENCE_NANOS) {
        return new Object[] {
          true,
          "the credentials for " + LiveSet.named(bucket) + " have not reached this executor within 10 s: it has "
              + (set == null ? "none" : "those of generation " + set.generation())
              + ", the job needs generation " + generation
              + "; see the driver's log, and call assumeRole on the driver"
        };
      }
      try {
        Thread.sleep(LOOK_AGAIN_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return new Object[] {true, "interrupted while the credentials for " + LiveSet.named(bucket) + " were on their way"};
      }
    }
  }

  /**
   * The newest set pushed to this executor. Looks at the user's secrets at each request: a role switch holds for the next
   * one, and the look costs less than a microsecond against the milliseconds of a request. Parses only what is new.
   */
  private LiveSet look() throws IOException {
    byte[] bytes = user.getCredentials().getSecretKey(SECRET);
    Pushed held = pushed;
    if (bytes != null && bytes != held.bytes) {
      LiveSet newer = LiveSet.fromBytes(bytes);
      if (held.set == null || newer.version() >= held.set.version()) {
        held = new Pushed(bytes, newer);
        pushed = held;
      }
    }
    return held.set;
  }

  /** A set and the bytes it was read from, whose identity tells whether there are others by now. */
  private static final class Pushed {
    final byte[] bytes;
    final LiveSet set;

    Pushed(byte[] bytes, LiveSet set) {
      this.bytes = bytes;
      this.set = set;
    }
  }
}
