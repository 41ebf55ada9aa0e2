package io.hops.util.s3a;

import java.lang.reflect.Field;
import java.util.Collection;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;

/**
 * The file systems that Hadoop keeps open in this JVM.
 *
 * <p>Problem: Hadoop opens a bucket once and returns the same object ever after, whatever a later configuration says; and
 * closing it would break its readers. Solution: take it out of Hadoop's cache and leave it open. Streams go on, and the next
 * look-up opens the bucket again.
 */
public final class OpenFileSystems {
  private OpenFileSystems() {}

  /**
   * Takes out those whose credentials should come from us and do not.
   *
   * @param buckets the buckets; the empty name stands for every bucket for which the user chose no provider
   */
  public static void evictForeign(Collection<String> buckets) {
    evict(fileSystem -> isForeign(fileSystem, buckets));
  }

  /**
   * Takes out those of {@link #evictForeign} that were opened with a configuration from before the role. The others are the
   * user's explicit choice, such as a read option that names a provider.
   *
   * @param buckets see {@link #evictForeign}
   */
  public static void evictEarlier(Collection<String> buckets) {
    evict(fileSystem -> isForeign(fileSystem, buckets) && fileSystem.getConf().get(Keys.GENERATION) == null);
  }

  private static boolean isForeign(FileSystem fileSystem, Collection<String> buckets) {
    Configuration configuration = fileSystem.getConf();
    String bucket = fileSystem.getUri().getHost();
    return !Bridge.isOurs(configuration.get(Keys.PROVIDER))
        && (buckets.contains(bucket)
            || buckets.contains("") && configuration.get(Keys.forBucket(bucket, Keys.PROVIDER)) == null);
  }

  /** Takes out those whose credentials come from us. */
  public static void evictOurs() {
    evict(fileSystem -> Bridge.isOurs(fileSystem.getConf().get(Keys.PROVIDER)));
  }

  private static void evict(Predicate<FileSystem> which) {
    try {
      Object cache = findField(FileSystem.class, "CACHE").get(null);
      Map<?, ?> map = (Map<?, ?>) findField(cache.getClass(), "map").get(cache);
      synchronized (cache) {
        map.values()
            .removeIf(
                open -> {
                  FileSystem fileSystem = (FileSystem) open;
                  return "s3a".equals(fileSystem.getUri().getScheme()) && which.test(fileSystem);
                });
      }
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Hadoop keeps its open file systems elsewhere", e);
    }
  }

  private static Field findField(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }
}
