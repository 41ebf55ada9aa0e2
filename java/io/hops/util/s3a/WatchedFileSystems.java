package io.hops.util.s3a;

import io.hops.util.internal.LiveSet;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;

/**
 * What Hadoop keeps open, while a role is in use: refuses a file system that reads a bucket as somebody else.
 *
 * <p>Such a one was being opened when the {@link Entrance} was, and the next attempt reads with the role; or it is of a class of
 * the user's own, which needs a configuration from after the role. Does not keep one that the program opened for another
 * identity.
 */
final class WatchedFileSystems extends HashMap<Object, FileSystem> {
  private static final long serialVersionUID = 1L;

  WatchedFileSystems(Map<Object, FileSystem> open) {
    super(open);
  }

  /** Called by Hadoop at each look-up. Hides a bucket that is open with other keys than it has by now. */
  @Override
  public FileSystem get(Object key) {
    FileSystem open = super.get(key);
    return open != null && OpenFileSystems.isS3a(open.getClass()) && OpenFileSystems.hasOtherKeys(open) ? null : open;
  }

  /** Called by Hadoop when it has opened a bucket. */
  @Override
  public FileSystem put(Object key, FileSystem opened) {
    if (OpenFileSystems.isS3a(opened.getClass())) {
      LiveSet roles;
      try {
        roles = RoleKeys.findRoles();
      } catch (IOException e) {
        throw new IllegalStateException(e.getMessage(), e);
      }
      String bucket = opened.getUri().getHost();
      if (OpenFileSystems.hasOtherKeys(opened)) {
        RoleKeys.warnOfEarlier(bucket);
        return null;
      }
      // Here and below whoever asked gets it, and nobody else: Hadoop would give it to everybody who reads the bucket.
      if (roles != null && RoleKeys.isOfOneReader(opened.getConf(), bucket, roles)) {
        RoleKeys.warnOfOneReader(opened.getConf(), bucket);
        return null;
      }
      if (roles != null && !roles.buckets().isEmpty() && !OpenFileSystems.isRight(opened, roles.buckets())) {
        if (RoleKeys.isProgramsOwn(opened.getConf(), bucket, roles)) {
          RoleKeys.warnOfOwn(bucket);
          return null;
        }
        Entrance.open();
        OpenFileSystems.close(opened);
        String by = opened.getClass().getName();
        boolean isStock = by.equals(OpenFileSystems.STOCK);
        throw new IllegalStateException(
            "bucket "
                + bucket
                + " was about to be opened with a configuration from before its role; "
                + (isStock ? "run the job again" : "copy it again after assumeRole, since nothing leads " + by + " to the role"));
      }
    }
    return super.put(key, opened);
  }
}
