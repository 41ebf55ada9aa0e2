package io.hops.util.spark;

import io.hops.util.internal.Applied;
import io.hops.util.internal.Applied.WrittenKey;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import io.hops.util.s3a.RoleKeys;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;

/** The user's own settings beside the application's role: those that win over it, and those that lose. */
final class Overrides {
  private static final Pattern IN_SESSION =
      Pattern.compile(
          "(spark\\.sql\\.catalog\\.[^.]+\\.hadoop\\.)?(" + Pattern.quote(Keys.PROVIDER) + "|" + Pattern.quote(Keys.FILE_SYSTEM) + ")");

  private static final String ENCRYPTION = "fs.s3a.server-side-encryption-algorithm";

  /** What a storage connector sets for all buckets beside keys. None is secret. */
  private static final List<String> SETTINGS =
      Arrays.asList(
          "fs.s3a.endpoint",
          "fs.s3a.endpoint.region",
          "fs.s3a.path.style.access",
          "fs.s3a.connection.ssl.enabled",
          ENCRYPTION);

  /** The place of their values beside the first role. */
  private static final String SEEN = "seen:settings";

  private Overrides() {}

  /** Records settings for all buckets beside the first role, for {@link #list} to tell what has changed since. */
  static Applied rememberSettings(Applied applied, Configuration configuration) {
    return applied.find(SEEN) == null
        ? applied.withKeys(Collections.singletonMap(SEEN, new WrittenKey(readSettings(configuration), null)))
        : applied;
  }

  private static String readSettings(Configuration configuration) {
    return SETTINGS.stream().map(key -> read(configuration, key)).collect(Collectors.joining("\n"));
  }

  /** Forgets the settings of an earlier context. */
  static Applied forgetSettings(Applied applied) {
    return applied.withoutKeys(SEEN);
  }

  /** Reads a setting, also by the newer name that the older one stands for once S3A is loaded. */
  private static String read(Configuration configuration, String key) {
    String newer = key.equals(ENCRYPTION) ? configuration.getRaw("fs.s3a.encryption.algorithm") : null;
    String value = newer == null ? configuration.getRaw(key) : newer;
    return value == null ? "" : value.trim();
  }

  private static List<String> listChangedSettings(Configuration configuration, Applied applied) {
    List<String> found = new ArrayList<>();
    WrittenKey seen = applied.find(SEEN);
    String now = readSettings(configuration);
    String[] values = now.split("\n", -1);
    String[] before = (seen == null ? now : seen.before).split("\n", -1);
    for (int i = 0; i < values.length; i++) {
      if (!values[i].isEmpty() && !values[i].equals(before[i])) {
        found.add(
            "somebody, such as a storage connector, has set " + SETTINGS.get(i) + " to " + values[i] + " for all buckets since the role; set it"
                + " for their bucket alone, by the connector's option fs.s3a.global-conf=False");
      }
    }
    return found;
  }

  /**
   * Lists one sentence for each.
   *
   * @param roles the buckets with a role; only the application's role can lose, but any is unknown to delegation tokens
   * @param applied the record of what we have written
   */
  static List<String> list(Configuration configuration, Set<String> roles, Applied applied) {
    List<String> found = new ArrayList<>();
    String binding = explainBinding(configuration, roles);
    if (binding != null) {
      found.add(binding);
    }
    if (roles.contains(LiveRole.APPLICATION)) {
      found.addAll(listBesideApplication(configuration, applied));
    }
    return found;
  }

  private static List<String> listBesideApplication(Configuration configuration, Applied applied) {
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
        boolean areKeys = RoleKeys.hasKeys(configuration, bucket);
        found.add(
            "bucket " + bucket + " is read with " + provider + ", not with the application's role; remove "
                + Keys.forBucket(bucket, areKeys ? Keys.ACCESS_KEY : Keys.PROVIDER) + ", or take a role with forBucket");
      } else if (configuration.get(Keys.forBucket(bucket, Keys.PROVIDER)) == null) {
        found.add(
            "bucket " + bucket + " is read with the application's role in spite of "
                + Keys.forBucket(bucket, Keys.ACCESS_KEY) + "; remove that key, or name a provider for the bucket");
      }
    }
    LiveSet roles = LiveStore.findCurrent();
    String refusal = roles == null ? null : RoleKeys.explainRefusal(configuration, null, roles);
    if (refusal != null) {
      found.add(refusal);
    }
    found.addAll(listChangedSettings(configuration, applied));
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

  /** Finds what the user chose for this bucket alone, a provider or keys; null when there is nothing, or it is ours. */
  static String findForeignProvider(Configuration configuration, String bucket) {
    // The static mode sets the provider, which is S3A's own, beside the role.
    if (configuration.get(Keys.forBucket(bucket, Keys.ROLE)) != null || !RoleKeys.isChosen(configuration, bucket)) {
      return null;
    }
    String provider = configuration.get(Keys.forBucket(bucket, Keys.PROVIDER));
    boolean isNamed = provider != null && !Bridge.isOurs(provider);
    return isNamed ? provider : describeKeys(bucket, configuration.get(Keys.forBucket(bucket, Keys.ACCESS_KEY)));
  }

  /** Names the keys of one bucket. */
  static String describeKeys(String bucket, String accessKeyId) {
    return "its own keys (" + Keys.forBucket(bucket, Keys.ACCESS_KEY) + " is " + accessKeyId + ")";
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
