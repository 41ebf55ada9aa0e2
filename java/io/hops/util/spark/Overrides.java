package io.hops.util.spark;

import io.hops.util.internal.LiveRole;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import scala.Option;

/** The user's own settings beside the application's role: those that win over it, and those that lose. */
final class Overrides {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private Overrides() {}

  /**
   * Lists one sentence for each.
   *
   * @param roles the buckets with a role; only the application's role can lose, but any is unknown to delegation tokens
   */
  static List<String> list(Configuration configuration, Set<String> roles) {
    List<String> found = new ArrayList<>();
    String binding = explainBinding(configuration, roles);
    if (binding != null) {
      found.add(binding);
    }
    if (roles.contains(LiveRole.APPLICATION)) {
      found.addAll(listBesideApplication(configuration));
    }
    return found;
  }

  private static List<String> listBesideApplication(Configuration configuration) {
    List<String> found = new ArrayList<>();
    Set<String> buckets = new TreeSet<>();
    for (Map.Entry<String, String> entry : new Configuration(configuration)) {
      String bound = Keys.findBucket(entry.getKey(), Keys.DELEGATION_TOKEN_BINDING);
      if (bound != null && !entry.getValue().trim().isEmpty()) {
        found.add("bucket " + bound + ": " + explainBinding(configuration, Collections.singleton(bound)));
      }
      for (String key : new String[] {Keys.PROVIDER, Keys.ACCESS_KEY}) {
        String bucket = Keys.findBucket(entry.getKey(), key);
        if (bucket != null) {
          buckets.add(bucket);
        }
      }
    }
    for (String bucket : buckets) {
      String provider = findForeignProvider(configuration, bucket);
      if (provider != null) {
        found.add(
            "bucket " + bucket + " is read with " + provider + ", not with the application's role; remove "
                + Keys.forBucket(bucket, Keys.PROVIDER) + ", or take a role with forBucket");
      } else if (configuration.get(Keys.forBucket(bucket, Keys.PROVIDER)) == null) {
        found.add(
            "bucket " + bucket + " is read with the application's role in spite of "
                + Keys.forBucket(bucket, Keys.ACCESS_KEY) + "; remove that key, or name a provider for the bucket");
      }
    }
    readSession()
        .forEach(
            (key, value) ->
                found.add(
                    "a session sets " + key + " to " + value + ", which wins over the role; call spark.conf.unset(\"" + key
                        + "\")"));
    return found;
  }

  /** Finds the class whose delegation tokens S3A reads a bucket with, whatever role it has; null when there is none. */
  static String findBinding(Configuration configuration, String bucket) {
    String binding = configuration.getTrimmed(findBindingKey(configuration, bucket), "");
    return binding.isEmpty() ? null : binding;
  }

  /** Names the key that counts for a bucket. An empty value of its own takes the bucket out of what holds for all. */
  private static String findBindingKey(Configuration configuration, String bucket) {
    String own = Keys.forBucket(bucket, Keys.DELEGATION_TOKEN_BINDING);
    return configuration.get(own) == null ? Keys.DELEGATION_TOKEN_BINDING : own;
  }

  /** Says why S3A would not ask for the role of one of these buckets; null when it asks for that of each. */
  static String explainBinding(Configuration configuration, Collection<String> buckets) {
    for (String bucket : buckets) {
      String binding = findBinding(configuration, bucket);
      if (binding != null) {
        return "S3A reads with the delegation tokens of "
            + binding
            + " and never asks for the credentials of a role; remove "
            + findBindingKey(configuration, bucket);
      }
    }
    return null;
  }

  /** Finds the provider that the user chose for this bucket alone; null when there is none, or it is ours. */
  static String findForeignProvider(Configuration configuration, String bucket) {
    String provider = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    boolean isOurs =
        provider == null
            || Bridge.isOurs(provider)
            // The static mode sets the provider, which is S3A's own, beside the role.
            || configuration.get(Keys.forBucket(bucket, Keys.ROLE)) != null;
    return isOurs ? null : provider;
  }

  /**
   * Reads the confs that win over the role.
   *
   * <p>Problem: a session that is just being made locks itself, and may open a bucket, which waits for whoever applies a role, as
   * our caller does. Solution: read in another thread, and wait for a few seconds.
   */
  private static Map<String, String> readSession() {
    FutureTask<Map<String, String>> reading =
        new FutureTask<>(
            () -> {
              Map<String, String> found = new TreeMap<>();
              for (String key : new String[] {Keys.PROVIDER, Keys.FILE_SYSTEM}) {
                String value = findInSession(key);
                if (value != null) {
                  found.put(key, value);
                }
              }
              return found;
            });
    // Inherits the session of this thread.
    Thread thread = new Thread(reading, "hops-credentials session");
    thread.setDaemon(true);
    thread.start();
    try {
      return reading.get(5, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | TimeoutException e) {
      LOG.log(Level.FINE, "the confs of the session could not be read", e);
    }
    return Collections.emptyMap();
  }

  /** Finds a conf in the session of this thread, else in the default one. Spark SQL may be absent. */
  private static String findInSession(String key) {
    try {
      Class<?> type = Class.forName("org.apache.spark.sql.SparkSession");
      for (String getter : new String[] {"getActiveSession", "getDefaultSession"}) {
        Option<?> session = (Option<?>) type.getMethod(getter).invoke(null);
        if (session.isDefined()) {
          Object confs = type.getMethod("conf").invoke(session.get());
          Class<?> reader = Class.forName("org.apache.spark.sql.RuntimeConfig");
          Option<?> value = (Option<?>) reader.getMethod("getOption", String.class).invoke(confs, key);
          if (value.isDefined()) {
            return (String) value.get();
          }
        }
      }
    } catch (ClassNotFoundException | NoSuchMethodException | IllegalAccessException | InvocationTargetException e) {
      return null;
    }
    return null;
  }
}
