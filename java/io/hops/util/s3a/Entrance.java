package io.hops.util.s3a;

import java.lang.ref.WeakReference;
import java.lang.reflect.Field;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.s3a.S3AFileSystem;

/**
 * Leads every configuration of this JVM through our classes where it names Hadoop's S3A.
 *
 * <p>Problem: whoever holds a configuration from before the role (an RDD, a catalog, Spark itself, which fetches files) opens
 * buckets under the earlier identity, and Hadoop then gives what was opened to everybody. Solution: Hadoop remembers the class
 * behind each name that a configuration held; we put ours there. {@link HopsS3AFileSystem} sees the configuration, and adds the
 * role to one that does not know it.
 */
final class Entrance {
  // Hadoop remembers a name for as long as somebody holds the text. These live as long as this class.
  private static final String FILE_SYSTEM = OpenFileSystems.STOCK;
  private static final String ABSTRACT_FILE_SYSTEM = "org.apache.hadoop.fs.s3a.S3A";

  private Entrance() {}

  /** Puts our classes behind the names, for every class loader that a configuration is known to have. */
  static void open() {
    Map<ClassLoader, Map<String, WeakReference<Class<?>>>> remembered = remembered();
    for (ClassLoader loader : loaders(remembered)) {
      if (sees(loader)) {
        Map<String, WeakReference<Class<?>>> classes;
        synchronized (remembered) {
          classes = remembered.computeIfAbsent(loader, key -> Collections.synchronizedMap(new WeakHashMap<>()));
        }
        put(classes, FILE_SYSTEM, HopsS3AFileSystem.class);
        put(classes, ABSTRACT_FILE_SYSTEM, HopsS3A.class);
      }
    }
  }

  /** Returns true if configurations with this class loader are led through our class already. */
  static boolean leads(ClassLoader loader) {
    Map<ClassLoader, Map<String, WeakReference<Class<?>>>> remembered = remembered();
    Map<String, WeakReference<Class<?>>> classes;
    synchronized (remembered) {
      classes = remembered.get(loader);
    }
    WeakReference<Class<?>> found = classes == null ? null : classes.get(FILE_SYSTEM);
    return found != null && found.get() == HopsS3AFileSystem.class;
  }

  /** Takes our classes out again. From then on the names mean what they say. */
  static void close() {
    Map<ClassLoader, Map<String, WeakReference<Class<?>>>> remembered = remembered();
    synchronized (remembered) {
      for (Map<String, WeakReference<Class<?>>> classes : remembered.values()) {
        for (String name : new String[] {FILE_SYSTEM, ABSTRACT_FILE_SYSTEM}) {
          WeakReference<Class<?>> found = classes.get(name);
          Class<?> type = found == null ? null : found.get();
          // Another copy of this jar may have put its own there.
          if (type != null && type.getName().startsWith("io.hops.util.")) {
            classes.remove(name);
          }
        }
      }
    }
  }

  private static void put(Map<String, WeakReference<Class<?>>> classes, String name, Class<?> ours) {
    synchronized (classes) {
      // Otherwise the map would keep the text that it has, which may go any moment.
      classes.remove(name);
      classes.put(name, new WeakReference<>(ours));
    }
  }

  private static Set<ClassLoader> loaders(Map<ClassLoader, ?> remembered) {
    Set<ClassLoader> loaders = Collections.newSetFromMap(new IdentityHashMap<>());
    synchronized (remembered) {
      loaders.addAll(remembered.keySet());
    }
    // A task of Spark has the class loader of its session, which a configuration takes on when it arrives there.
    ThreadGroup group = Thread.currentThread().getThreadGroup();
    while (group.getParent() != null) {
      group = group.getParent();
    }
    Thread[] threads = new Thread[2 * group.activeCount() + 1];
    int count = group.enumerate(threads);
    for (int i = 0; i < count; i++) {
      loaders.add(threads[i].getContextClassLoader());
    }
    loaders.add(Thread.currentThread().getContextClassLoader());
    loaders.add(Entrance.class.getClassLoader());
    loaders.add(S3AFileSystem.class.getClassLoader());
    loaders.remove(null);
    return loaders;
  }

  /** Returns true if a class loader gives the S3A that our classes extend. Hive may have another one, in a loader apart. */
  private static boolean sees(ClassLoader loader) {
    try {
      return Class.forName(FILE_SYSTEM, false, loader) == S3AFileSystem.class;
    } catch (ClassNotFoundException | LinkageError e) {
      return false;
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<ClassLoader, Map<String, WeakReference<Class<?>>>> remembered() {
    try {
      Field field = Configuration.class.getDeclaredField("CACHE_CLASSES");
      field.setAccessible(true);
      return (Map<ClassLoader, Map<String, WeakReference<Class<?>>>>) field.get(null);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this Hadoop remembers its classes elsewhere", e);
    }
  }
}
