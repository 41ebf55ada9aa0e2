package io.hops.util.spark;

import io.hops.util.internal.LiveRole;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;

/** The user's own settings beside the application's role: those that win over it, and those that lose. */
final class Overrides {
  private static final Pattern IN_SESSION =
      Pattern.compile(
          "(spark\\.sql\\.catalog\\.[^.]+\\.hadoop\\.)?(" + Pattern.quote(Keys.PROVIDER) + "|" + Pattern.quote(Keys.FILE_SYSTEM) + ")");

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
    found.addAll(listInSessions());
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

  /** Lists what wins over the role in a session, or for what one of its Iceberg catalogs reads by S3A. */
  private static Collection<String> listInSessions() {
    Set<String> found = new TreeSet<>();
    try {
      for (Map<String, String> confs : Sessions.ask(Overrides::readSessions)) {
        confs.forEach(
            (key, value) -> {
              if (IN_SESSION.matcher(key).matches() && !isStock(value)) {
                found.add(
                    "a session sets " + key + " to " + value + ", which wins over the role; call spark.conf.unset(\"" + key + "\")");
              }
            });
      }
    } catch (Sessions.NotAskedException e) {
      found.add("the confs of the session are not checked: " + e.getMessage());
    }
    return found;
  }

  /** Returns true for what we lead to the role anyway, or is ours. */
  private static boolean isStock(String value) {
    return value.equals(OpenFileSystems.STOCK) || value.equals(Schemes.HOPS_FILE_SYSTEM) || Bridge.isOurs(value);
  }

  private static List<Map<String, String>> readSessions() throws ReflectiveOperationException {
    List<Map<String, String>> confs = new ArrayList<>();
    for (Sessions.Session session : Sessions.list()) {
      confs.add(session.all());
    }
    return confs;
  }
}
