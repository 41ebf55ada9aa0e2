package io.hops.util.internal;

import io.hops.util.internal.Applied.WrittenKey;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * Takes out the system properties of this JVM that the AWS SDK for Java 2 prefers to the environment, where the application's
 * role stands. They come back at the release.
 *
 * <p>Source: {@code DefaultCredentialsProvider} and {@code SdkSystemSetting} of the SDK; version 1 reads {@code aws.secretKey}.
 */
final class PropertiesEffect implements Effect {
  private static final String PREFIX = "jvm:";

  /** In the order of taking out: without the first one, readers look at none of the others. */
  private static final String[] PREFERRED = {"aws.accessKeyId", "aws.secretAccessKey", "aws.secretKey", "aws.sessionToken"};

  private Applied appliedBefore;

  @Override
  public void apply(LiveStore store, Set<String> buckets) {
    if (!buckets.contains(LiveRole.APPLICATION)) {
      return;
    }
    appliedBefore = store.applied();
    Map<String, WrittenKey> taken = new HashMap<>();
    for (String name : PREFERRED) {
      String value = System.clearProperty(name);
      if (value != null) {
        taken.put(PREFIX + name, new WrittenKey(value, null));
      }
    }
    // Keys that somebody has set since belong together: what was taken out before them does not come back beside them.
    Applied kept = taken.containsKey(PREFIX + PREFERRED[0]) ? appliedBefore.withoutKeys(PREFIX) : appliedBefore;
    store.replace(kept.withKeys(taken));
  }

  @Override
  public void refresh(LiveStore store) {}

  @Override
  public void undo(LiveStore store) {
    if (appliedBefore != null) {
      Map<String, WrittenKey> kept = appliedBefore.list(PREFIX);
      Map<String, WrittenKey> taken = store.applied().list(PREFIX);
      taken.keySet().removeIf(name -> kept.get(name) == taken.get(name));
      putBack(taken);
      store.replace(appliedBefore);
    }
  }

  @Override
  public void release(LiveStore store) {
    putBack(store.applied().list(PREFIX));
  }

  /** Says who reads past the role because these properties are set, as a Glue connector sets them; null when they are not. */
  static String explainSet() {
    String accessKeyId = System.getProperty(PREFERRED[0]);
    return accessKeyId == null
        ? null
        : PREFERRED[0]
            + " is "
            + accessKeyId
            + " beside the role; clients of the AWS SDK for Java 2 that are made in this JVM without a provider sign with it; remove it, or"
            + " give them CredentialsProviderV2";
  }

  /** Puts back what was taken out, the first last, unless somebody has set others since: they belong together. */
  private static void putBack(Map<String, WrittenKey> taken) {
    if (System.getProperty(PREFERRED[0]) != null) {
      return;
    }
    for (int i = PREFERRED.length - 1; i >= 0; i--) {
      WrittenKey key = taken.get(PREFERRED[i]);
      if (key != null) {
        System.getProperties().putIfAbsent(PREFERRED[i], key.before);
      }
    }
  }
}
