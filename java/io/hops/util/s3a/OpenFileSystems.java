package io.hops.util.s3a;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.OwnKeys;
import java.io.IOException;
import java.lang.reflect.Field;
import java.security.PrivilegedExceptionAction;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * The file systems that Hadoop keeps open in this JVM.
 *
 * <p>Problem: Hadoop opens a bucket once and returns the same object ever after, whatever a later configuration says; and
 * closing it would break its readers. Solution: put one that reads with the role into its place, and leave the other open.
 * Streams go on, and the next look-up finds the role, whatever configuration it comes with.
 *
 * <p>Hadoop's own file systems that we take out stay open for the life of the JVM, one for each bucket: nothing tells when their
 * last reader is gone, since S3A has no finalizer, and whoever would close one later must hold it, which keeps it from being
 * forgotten.
 */
public final class OpenFileSystems {
  private static final Logger LOG = Logger.getLogger("io.hops.util");
  /** Hadoop's own file system for {@code s3a://}. */
  public static final String STOCK = "org.apache.hadoop.fs.s3a.S3AFileSystem";

  /** The roles that were matched last; null before. */
  private static volatile Matched matched;

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
      Map<Object, FileSystem> wrong = takeOut(cache, buckets);
      if (!buckets.isEmpty()) {
        for (Map.Entry<Object, FileSystem> entry : wrong.entrySet()) {
          reopen(cache, entry.getKey(), entry.getValue());
        }
      }
      return !wrong.isEmpty();
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Hadoop keeps its open file systems elsewhere", e);
    }
  }

  /**
   * Does the same for the roles that this JVM knows. Before it knows of any, only leads configurations through our class. Only
   * compares two objects when nothing has changed since the last time.
   *
   * @throws IOException on an executor that received them damaged
   */
  public static void match() throws IOException {
    Object mark = RoleKeys.findMark();
    Matched last = matched;
    if (last != null && last.mark == mark && (last.isOver || Entrance.isOpen())) {
      return;
    }
    LiveSet roles = RoleKeys.findRoles();
    if (roles == null) {
      Entrance.open();
    } else {
      match(roles.buckets());
    }
    matched = new Matched(mark, roles != null && roles.buckets().isEmpty());
  }

  /**
   * Does the same for the roles of a generation, or for later ones that this JVM knows already: of two calls the later one may
   * come first.
   *
   * @param generation see {@link LiveSet#generation}
   * @param buckets those with a role in this generation
   * @throws IOException on an executor that received the roles damaged
   */
  public static void match(long generation, Collection<String> buckets) throws IOException {
    LiveSet roles = RoleKeys.findRoles();
    match(roles != null && roles.generation() >= generation ? roles.buckets() : buckets);
  }

  /**
   * Begins or ends to watch what Hadoop opens, and takes out what reads as somebody else: each comes out once, whoever asks
   * meanwhile.
   */
  private static Map<Object, FileSystem> takeOut(Object cache, Collection<String> buckets) throws ReflectiveOperationException {
    Class<?> wanted = buckets.isEmpty() ? HashMap.class : WatchedFileSystems.class;
    Map<Object, FileSystem> found;
    synchronized (cache) {
      Map<Object, FileSystem> open = map(cache);
      if (open.getClass() != wanted) {
        open = buckets.isEmpty() ? new HashMap<>(open) : new WatchedFileSystems(open);
        findField(cache.getClass(), "map").set(cache, open);
      }
      found = new HashMap<>(open);
    }
    // Outside of the lock: one that passes reads on may open others in order to list them.
    found.values().removeIf(fileSystem -> !isWrong(fileSystem, buckets));
    Map<Object, FileSystem> wrong = new HashMap<>();
    synchronized (cache) {
      for (Map.Entry<Object, FileSystem> entry : found.entrySet()) {
        if (map(cache).remove(entry.getKey(), entry.getValue())) {
          wrong.put(entry.getKey(), entry.getValue());
        }
      }
    }
    return wrong;
  }

  /** Returns true if a bucket is read as somebody else, also by way of a file system that passes reads on, such as viewfs. */
  private static boolean isWrong(FileSystem fileSystem, Collection<String> buckets) {
    if (isS3a(fileSystem.getClass())) {
      return !isRight(fileSystem, buckets);
    }
    if (isViewFs(fileSystem.getClass())) {
      // It opens what it lists, and the next look-up opens it anew anyhow.
      return leadsToS3a(fileSystem.getConf());
    }
    FileSystem[] behind;
    try {
      behind = fileSystem.getChildFileSystems();
    } catch (RuntimeException e) {
      LOG.log(Level.FINE, "a file system does not tell to which others it passes reads on; the next look-up opens it anew", e);
      return true;
    }
    return behind != null && Arrays.stream(behind).anyMatch(other -> other != null && isWrong(other, buckets));
  }

  private static boolean isViewFs(Class<?> type) {
    return type != null && (type.getName().startsWith("org.apache.hadoop.fs.viewfs.") || isViewFs(type.getSuperclass()));
  }

  /** Returns true if a mount table has a link to a bucket. */
  private static boolean leadsToS3a(Configuration configuration) {
    for (Map.Entry<String, String> entry : configuration.getPropsWithPrefix("fs.viewfs.mounttable.").entrySet()) {
      boolean isLink = entry.getKey().contains(".link");
      if (isLink && Arrays.stream(entry.getValue().split("[,\\s]+")).anyMatch(target -> isOnS3a(target, configuration))) {
        return true;
      }
    }
    return false;
  }

  private static boolean isOnS3a(String target, Configuration configuration) {
    int end = target.indexOf("://");
    try {
      Class<?> type = end > 0 ? FileSystem.getFileSystemClass(target.substring(0, end), configuration) : null;
      // A mount table of the scheme s3a itself has another class below it.
      return isS3a(type) || isViewFs(type);
    } catch (IOException | RuntimeException e) {
      // Nobody reads there either: its class is not on the class path.
      return false;
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
    if (buckets.isEmpty()) {
      return configuration.get(Keys.GENERATION) == null;
    }
    if (hasOtherKeys(fileSystem)) {
      return false;
    }
    boolean isOwn = buckets.contains(bucket);
    boolean isOfApplication = buckets.contains(LiveRole.APPLICATION);
    if (Bridge.isOurs(configuration.get(Keys.PROVIDER))) {
      return isOwn || isOfApplication;
    }
    boolean hasRole = isOwn || isOfApplication && !RoleKeys.isChosen(configuration, bucket);
    return !hasRole || RoleKeys.areIn(configuration, bucket, isOwn);
  }

  /** Returns true if a bucket has got keys of its own since it was opened, or others, or has them no longer. */
  static boolean hasOtherKeys(FileSystem fileSystem) {
    LiveSet roles;
    try {
      roles = RoleKeys.findRoles();
    } catch (IOException e) {
      throw new IllegalStateException(e.getMessage(), e);
    }
    String now = roles == null ? null : OwnKeys.find(fileSystem.getUri().getHost(), roles);
    if (now == null) {
      return false;
    }
    // S3A has put what holds for the bucket in the place of what holds for all, and has kept both.
    Configuration opened = fileSystem.getConf();
    boolean isRead = now.startsWith(LiveSet.BEHIND_KEY) || StaticKeys.areReadBy(opened);
    return now.equals(LiveSet.NO_KEYS)
        ? !Bridge.isOurs(opened.get(Keys.PROVIDER))
        : !isRead || !now.equals(RoleKeys.findOwnKeys(opened, fileSystem.getUri().getHost()));
  }

  /**
   * Opens a bucket with its role for the same user, and puts it where the other one was. Does nothing when that is not possible,
   * so that the next look-up tells why, or when somebody else was faster.
   */
  private static void reopen(Object cache, Object key, FileSystem foreign) throws ReflectiveOperationException {
    Field unique = findField(key.getClass(), "unique");
    if (!foreign.getClass().getName().equals(STOCK) || unique.getLong(key) != 0) {
      return;
    }
    UserGroupInformation user = (UserGroupInformation) findField(key.getClass(), "ugi").get(key);
    HopsS3AFileSystem ours = new HopsS3AFileSystem();
    try {
      LiveSet roles = RoleKeys.findRoles();
      if (roles == null || hasOtherKeys(foreign) || RoleKeys.isProgramsOwn(foreign.getConf(), foreign.getUri().getHost(), roles)) {
        return;
      }
      user.doAs(
          (PrivilegedExceptionAction<Void>)
              () -> {
                ours.open(foreign.getUri(), foreign.getConf(), roles);
                return null;
              });
      synchronized (cache) {
        if (map(cache).putIfAbsent(key, ours) == null) {
          // Closing it takes it out of the cache by this.
          findField(FileSystem.class, "key").set(ours, key);
          return;
        }
      }
    } catch (IOException | RuntimeException e) {
      LOG.log(Level.FINE, "a bucket could not be opened again; the next look-up tries", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    close(ours);
  }

  /** Closes what nobody has seen. */
  static void close(FileSystem unused) {
    try {
      unused.close();
    } catch (IOException | RuntimeException e) {
      LOG.log(Level.FINE, "a file system that is not used could not be closed", e);
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

  /** Roles that were matched. */
  private static final class Matched {
    /** See {@link RoleKeys#findMark}. */
    final Object mark;

    /** True if there were none any more, so that nothing has to lead through our class. */
    final boolean isOver;

    Matched(Object mark, boolean isOver) {
      this.mark = mark;
      this.isOver = isOver;
    }
  }
}
