package io.hops.util.s3a;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import java.io.IOException;
import java.lang.reflect.Field;
import java.security.PrivilegedExceptionAction;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * The file systems that Hadoop keeps open in this JVM.
 *
 * <p>Problem: Hadoop opens a bucket once and returns the same object ever after, whatever a later configuration says; and
 * closing it would break its readers. Solution: put one that reads with the role into its place, and leave the other open.
 * Streams go on, and the next look-up finds the role, whatever configuration it comes with.
 */
public final class OpenFileSystems {
  static final String STOCK = "org.apache.hadoop.fs.s3a.S3AFileSystem";

  private OpenFileSystems() {}

  /**
   * Makes every bucket be read with the role that it has: replaces what was opened under an earlier identity, and forgets what
   * was opened with a role that is over. From then on configurations from before the role open buckets with the role too, see
   * {@link Entrance}.
   *
   * @param buckets those with a role; the empty name stands for every bucket for which the user chose no provider
   * @return true if a bucket was open under another identity
   */
  public static boolean match(Collection<String> buckets) {
    if (buckets.isEmpty()) {
      Entrance.close();
    } else {
      Entrance.open();
    }
    try {
      Object cache = findField(FileSystem.class, "CACHE").get(null);
      Map<Object, FileSystem> wrong = watch(cache, !buckets.isEmpty());
      wrong.values().removeIf(fileSystem -> !isS3a(fileSystem.getClass()) || isRight(fileSystem, buckets));
      for (Map.Entry<Object, FileSystem> entry : wrong.entrySet()) {
        FileSystem ours = buckets.isEmpty() ? null : reopen(entry.getKey(), entry.getValue());
        replace(cache, entry.getKey(), entry.getValue(), ours);
      }
      return !wrong.isEmpty();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Hadoop keeps its open file systems elsewhere", e);
    }
  }

  /**
   * Does the same for the roles that this JVM knows. Before it knows of any, only leads configurations through our class.
   *
   * @throws IOException on an executor that received them damaged
   */
  public static void match() throws IOException {
    LiveSet roles = RoleKeys.findRoles();
    if (roles == null) {
      Entrance.open();
    } else {
      match(roles.buckets());
    }
  }

  /** Begins or ends to watch what Hadoop opens, and lists what is open. */
  private static Map<Object, FileSystem> watch(Object cache, boolean isWatched) throws ReflectiveOperationException {
    synchronized (cache) {
      Map<Object, FileSystem> open = map(cache);
      if (open.getClass() != (isWatched ? WatchedFileSystems.class : HashMap.class)) {
        findField(cache.getClass(), "map").set(cache, isWatched ? new WatchedFileSystems(open) : new HashMap<>(open));
      }
      return new HashMap<>(open);
    }
  }

  private static void replace(Object cache, Object key, FileSystem wrong, FileSystem ours) throws ReflectiveOperationException {
    synchronized (cache) {
      if (ours == null) {
        map(cache).remove(key, wrong);
      } else {
        map(cache).replace(key, wrong, ours);
      }
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<Object, FileSystem> map(Object cache) throws ReflectiveOperationException {
    return (Map<Object, FileSystem>) findField(cache.getClass(), "map").get(cache);
  }

  /** Returns true if a bucket is read with its role, without any when it has none, or as the user said. */
  static boolean isRight(FileSystem fileSystem, Collection<String> buckets) {
    String bucket = fileSystem.getUri().getHost();
    Configuration configuration = fileSystem.getConf();
    boolean isOwn = buckets.contains(bucket);
    boolean isOfApplication = buckets.contains(LiveRole.APPLICATION);
    if (Bridge.isOurs(configuration.get(Keys.PROVIDER))) {
      return isOwn || isOfApplication;
    }
    boolean hasRole = isOwn || isOfApplication && !RoleKeys.isChosen(configuration, bucket);
    return !hasRole || RoleKeys.areIn(configuration, bucket, isOwn);
  }

  /** Opens a bucket with its role for the same user; null when that is not possible, so that the next look-up tells why. */
  private static FileSystem reopen(Object key, FileSystem foreign) throws ReflectiveOperationException {
    Field unique = findField(key.getClass(), "unique");
    if (!foreign.getClass().getName().equals(STOCK) || unique.getLong(key) != 0) {
      return null;
    }
    UserGroupInformation user = (UserGroupInformation) findField(key.getClass(), "ugi").get(key);
    try {
      LiveSet roles = RoleKeys.findRoles();
      if (roles == null) {
        return null;
      }
      HopsS3AFileSystem ours = new HopsS3AFileSystem();
      user.doAs(
          (PrivilegedExceptionAction<Void>)
              () -> {
                ours.open(foreign.getUri(), foreign.getConf(), roles);
                return null;
              });
      // Closing it takes it out of the cache by this.
      findField(FileSystem.class, "key").set(ours, key);
      return ours;
    } catch (IOException | RuntimeException e) {
      return null;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return null;
    }
  }

  /** Returns true for S3A and what is derived from it, whatever its scheme. Works without S3A on the class path too. */
  static boolean isS3a(Class<?> type) {
    return type != null && (type.getName().equals(STOCK) || isS3a(type.getSuperclass()));
  }

  private static Field findField(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }
}
