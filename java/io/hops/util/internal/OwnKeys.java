package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.Objects;

/**
 * Keys, or a provider, that somebody has set for one bucket beside the role of the application.
 *
 * <p>Problem: a storage connector may set them while the bucket is open, in every JVM. Solution: the set that executors get says with
 * what each bucket is read; whoever looks a bucket up compares, and opens it anew when it is open with something else.
 */
public final class OwnKeys {
  private OwnKeys() {}

  /**
   * Finds with what the application reads a bucket by now instead of its role.
   *
   * @param bucket the bucket
   * @param roles the roles that this JVM knows
   * @return see {@link LiveSet#findOwnKeys}
   */
  public static String find(String bucket, LiveSet roles) {
    String told = roles.findOwnKeys(bucket);
    String here = HostLoader.host().findOwnKeys(bucket, roles);
    return here == null ? told : here.equals(LiveSet.NO_KEYS) && told == null ? null : here;
  }

  /**
   * Tells the executors which keys a bucket has by now, before a job reads with them. Does nothing when they know.
   *
   * @param bucket the bucket
   * @throws CloudCredentialException when they cannot be told; the next call tries again
   */
  public static void tell(String bucket) throws CloudCredentialException {
    LiveSet seen = LiveStore.findCurrent();
    if (seen == null || Objects.equals(find(bucket, seen), seen.findOwnKeys(bucket))) {
      return;
    }
    synchronized (LiveRoles.LOCK) {
      LiveStore store = LiveStore.own();
      store.refresher().adopt();
      LiveSet before = store.current();
      String keys = find(bucket, before);
      if (Objects.equals(keys, before.findOwnKeys(bucket))) {
        return;
      }
      store.replace(before.withOwnKeys(bucket, keys));
      try {
        HostLoader.host().push();
      } catch (CloudCredentialException | RuntimeException e) {
        store.replace(before);
        throw e;
      }
    }
  }

  /**
   * Tells whether the SparkContext has keys with this access key id for one bucket.
   *
   * @param accessKeyId the access key id
   * @return false on an executor too
   */
  public static boolean areOfOneBucket(String accessKeyId) {
    return HostLoader.host().areOfOneBucket(accessKeyId);
  }

  /**
   * Says why a bucket would not be opened now, see {@link Host#explainRefusal}.
   *
   * @param bucket the bucket
   * @return a sentence; null when it would
   */
  public static String explainRefusal(String bucket) {
    return HostLoader.host().explainRefusal(bucket);
  }
}
