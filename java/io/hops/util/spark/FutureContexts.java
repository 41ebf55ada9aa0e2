package io.hops.util.spark;

import io.hops.util.internal.Applied;
import io.hops.util.internal.Effect;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.Bridge;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;

/**
 * Prepares SparkContexts that are made after a role.
 *
 * <p>Problem: nothing tells us when a context is made. Solution: Spark copies {@code spark.hadoop.*} system properties into each
 * SparkConf, so a new context finds our plugin, which applies the roles, and our file-system class and provider, which are not
 * secret. Where a program sets other plugins, that class applies the rest when it opens its first bucket
 * ({@link io.hops.util.s3a.HopsS3AFileSystem}).
 */
final class FutureContexts implements Effect {
  private static final String HADOOP = "spark.hadoop.";
  private static final String PREFIX = "property:";

  /** What stood in configurations before {@link #copyTo}. Guarded by itself. */
  private static final Map<Configuration, Map<String, String>> COPIES = new WeakHashMap<>();

  private final SavedKeys keys =
      new SavedKeys(
          PREFIX,
          key -> System.getProperty(property(key)),
          (key, value) -> {
            if (value == null) {
              System.clearProperty(property(key));
            } else {
              System.setProperty(property(key), value);
            }
          });
  private Applied appliedBefore;

  @Override
  public void apply(LiveStore store, Set<String> buckets) {
    Mode mode;
    try {
      mode = Mode.live(Bridge.ensure());
    } catch (IOException | LinkageError e) {
      // Stays silent without S3A or a way into its class loader: the effect on the context itself will say so.
      return;
    }
    Map<String, String> values = mode.keys(Schemes.of(configuration()), store.current(), buckets);
    if (PluginSetting.isVisible()) {
      values.put(PluginSetting.KEY, PluginSetting.with(System.getProperty(PluginSetting.KEY)));
    }
    appliedBefore = store.applied();
    store.replace(keys.write(appliedBefore, values, this::valueWithoutUs));
  }

  /** Returns what a property would hold without us. Others may have added their plugins to ours. */
  private String valueWithoutUs(String key) {
    String value = System.getProperty(property(key));
    boolean hasOurs = value != null && key.equals(PluginSetting.KEY) && find(appliedBefore, key) != null;
    return hasOurs ? PluginSetting.without(value) : value;
  }

  /** Names the property behind a key of Hadoop, or one of Spark itself. */
  private static String property(String key) {
    return key.startsWith("spark.") ? key : HADOOP + key;
  }

  /** Makes the configuration that a context would start with now. */
  private static Configuration configuration() {
    Configuration configuration = new Configuration();
    for (String name : System.getProperties().stringPropertyNames()) {
      if (name.startsWith(HADOOP)) {
        configuration.set(name.substring(HADOOP.length()), System.getProperty(name));
      }
    }
    return configuration;
  }

  @Override
  public void refresh(LiveStore store) {}

  @Override
  public void undo(LiveStore store) {
    keys.undo();
    if (appliedBefore != null) {
      store.replace(appliedBefore);
    }
  }

  @Override
  public void release(LiveStore store) {
    Applied.WrittenKey plugins = find(store.applied(), PluginSetting.KEY);
    keys.release(store.applied());
    String now = System.getProperty(PluginSetting.KEY);
    // Others may have added theirs behind ours.
    if (plugins != null && now != null && !now.equals(plugins.before)) {
      System.setProperty(PluginSetting.KEY, PluginSetting.without(now));
    }
  }

  /** Returns true if executors start with what a context copied from our properties. */
  static boolean areIn(SparkConf conf) {
    return LiveStore.findApplied().list(PREFIX).entrySet().stream()
        .filter(entry -> property(entry.getKey()).startsWith(HADOOP))
        .anyMatch(entry -> entry.getValue().last.equals(conf.get(property(entry.getKey()), null)));
  }

  /**
   * Gives a configuration what a context would have copied if it had been made after the role. What is there is not lost:
   * see {@link #valueBefore}.
   */
  static void copyTo(Configuration configuration) {
    Map<String, String> before = new HashMap<>();
    LiveStore.findApplied()
        .list(PREFIX)
        .forEach(
            (key, written) -> {
              if (property(key).startsWith(HADOOP)) {
                before.put(key, configuration.getRaw(key));
                configuration.set(key, written.last);
              }
            });
    synchronized (COPIES) {
      COPIES.put(configuration, before);
    }
  }

  /** Returns the value that a key of a configuration would have without us; {@code now} is the value that it has. */
  static String valueBefore(Configuration configuration, Applied applied, String key, String now) {
    Applied.WrittenKey written = find(applied, key);
    if (written == null || !written.last.equals(now)) {
      return now;
    }
    synchronized (COPIES) {
      Map<String, String> before = COPIES.get(configuration);
      return before == null || !before.containsKey(key) ? written.before : before.get(key);
    }
  }

  /** Takes what a context copied from our properties out of what its executors start with. */
  static void withdraw(SparkConf conf) {
    LiveStore.findApplied()
        .list(PREFIX)
        .forEach(
            (key, written) -> {
              String name = property(key);
              if (!name.startsWith(HADOOP) || !written.last.equals(conf.get(name, null))) {
                return;
              }
              if (written.before == null) {
                conf.remove(name);
              } else {
                conf.set(name, written.before);
              }
            });
  }

  /** Finds the property behind a key; null when we have not written it. */
  static Applied.WrittenKey find(Applied applied, String key) {
    return applied.find(PREFIX + key);
  }
}
