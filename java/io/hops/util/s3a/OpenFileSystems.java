package io.hops.util.s3a;

import java.lang.reflect.Field;
import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;

/**
 * The file systems that Hadoop keeps open in this JVM.
 *
 * <p>Problem: Hadoop opens a bucket once and hands out the same object ever after, whatever the configuration says by then;
 * and closing it would break whoever reads from it. Solution: it is taken out of Hadoop's cache and left open. Streams go
 * on; the next look-up opens the bucket anew.
 */
public final class OpenFileSystems {
  private OpenFileSystems() {}

  /**
   * Takes out those whose credentials do not come from us, and should.
   *
   * @param buckets the buckets concerned; the empty name stands for every bucket for which the user chose no provider
   * @return the buckets that were open
   */
  public static Set<String> evictForeign(Collection<String> buckets) {
    return evict(fileSystem -> isForeign(fileSystem, buckets));
  }

  /**
   * Takes out those of {@link #evictForeign} that were opened with a configuration from before a role was assumed. Others are
   * the user's explicit word, such as a read option that names a provider.
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

  /**
   * Takes out those whose credentials come from us.
   *
   * @return the buckets that were open
   */
  public static Set<String> evictOurs() {
    return evict(fileSystem -> Bridge.isOurs(fileSystem.getConf().get(Keys.PROVIDER)));
  }

  private static Set<String> evict(Predicate<FileSystem> which) {
    Set<String> evicted = new TreeSet<>();
    try {
      Object cache = accessible(FileSystem.class, "CACHE").get(null);
      Map<?, ?> map = (Map<?, ?>) accessible(cache.getClass(), "map").get(cache);
      synchronized (cache) {
        map.values()
            .removeIf(
                open -> {
                  FileSystem fileSystem = (FileSystem) open;
                  boolean goes =
                      "s3a".equals(fileSystem.getUri().getScheme()) && which.test(fileSystem);
                  if (goes) {
                    evicted.add(fileSystem.getUri().getHost());
                  }
                  return goes;
                });
      }
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Hadoop keeps its open file systems elsewhere", e);
    }
    return evicted;
  }

  private static Field accessible(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }
}
