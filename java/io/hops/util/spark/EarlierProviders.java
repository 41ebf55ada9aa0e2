package io.hops.util.spark;

import io.hops.util.internal.Applied.WrittenKey;
import io.hops.util.s3a.Keys;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;

/** The providers of S3A that were named before the first role of a context, for all buckets or for one. */
final class EarlierProviders {
  private EarlierProviders() {}

  /**
   * Lists them, and those of Hadoop's files, from which anybody makes a configuration. Where the context had a role already, what
   * stands there now has come beside it and is not among them.
   *
   * @param configuration that of the context, with the role
   * @param known the keys that the context had from us before
   * @param written those that it has now
   */
  static Set<String> list(Configuration configuration, Map<String, WrittenKey> known, Map<String, WrittenKey> written) {
    Set<String> providers = new TreeSet<>();
    addFrom(new Configuration(), providers);
    if (known.isEmpty()) {
      Map<String, String> before = new HashMap<>();
      written.forEach((name, key) -> before.put(name, key.before));
      addFrom(before.entrySet(), providers);
      addFrom(configuration, providers);
    }
    return providers;
  }

  private static void addFrom(Iterable<Map.Entry<String, String>> keys, Set<String> providers) {
    for (Map.Entry<String, String> key : keys) {
      boolean isProvider = key.getKey().equals(Keys.PROVIDER) || Keys.findBucket(key.getKey(), Keys.PROVIDER) != null;
      if (isProvider && key.getValue() != null) {
        providers.add(key.getValue().trim());
      }
    }
  }
}
