package io.hops.util.s3a;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.net.URI;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.AbstractFileSystem;
import org.apache.hadoop.fs.s3a.S3A;
import org.apache.hadoop.fs.s3a.S3AFileSystem;
import org.apache.hadoop.util.ReflectionUtils;

/**
 * Leads every configuration of this JVM through our classes where it names Hadoop's S3A.
 *
 * <p>Problem: whoever holds a configuration from before the role (an RDD, a catalog, Spark itself, which fetches files) opens
 * buckets under the earlier identity, and Hadoop then gives what was opened to everybody. Solution: Hadoop remembers the
 * constructor of each class that it makes objects of; we put ours there, whatever class loader the configuration has and whether
 * Hadoop keeps what it opens. {@link HopsS3AFileSystem} sees the configuration, and adds the role to one that does not know it.
 */
final class Entrance {
  private Entrance() {}

  /** Makes Hadoop open our file systems where it would open its own for S3. */
  static void open() {
    constructors(ReflectionUtils.class).put(S3AFileSystem.class, constructor(HopsS3AFileSystem.class));
    constructors(AbstractFileSystem.class).put(S3A.class, constructor(HopsS3A.class, URI.class, Configuration.class));
  }

  /** Returns true if Hadoop opens ours. A thread that opened its first bucket meanwhile may have put Hadoop's own back. */
  static boolean isOpen() {
    return makes(ReflectionUtils.class, S3AFileSystem.class, HopsS3AFileSystem.class)
        && makes(AbstractFileSystem.class, S3A.class, HopsS3A.class);
  }

  private static boolean makes(Class<?> maker, Class<?> stock, Class<?> ours) {
    Constructor<?> found = constructors(maker).get(stock);
    return found != null && found.getDeclaringClass() == ours;
  }

  /** Makes Hadoop open its own again. Works without S3A on the class path too. */
  static void close() {
    for (Class<?> maker : new Class<?>[] {ReflectionUtils.class, AbstractFileSystem.class}) {
      constructors(maker).entrySet().removeIf(entry -> entry.getValue().getDeclaringClass() != entry.getKey());
    }
  }

  private static Constructor<?> constructor(Class<?> ours, Class<?>... arguments) {
    try {
      return ours.getConstructor(arguments);
    } catch (NoSuchMethodException e) {
      throw new IllegalStateException("each class of ours has the constructor that Hadoop calls", e);
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<Class<?>, Constructor<?>> constructors(Class<?> maker) {
    try {
      Field field = maker.getDeclaredField("CONSTRUCTOR_CACHE");
      field.setAccessible(true);
      return (Map<Class<?>, Constructor<?>>) field.get(null);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Hadoop remembers its constructors elsewhere", e);
    }
  }
}
