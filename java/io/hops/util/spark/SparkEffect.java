package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Binding;
import io.hops.util.internal.Effect;
import io.hops.util.internal.EnvironmentEffect;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;

/**
 * What roles do to the active SparkContext: its Hadoop configuration names our provider, its executors get the live set.
 */
final class SparkEffect implements Effect {
  /** Where {@link LiveStore#saved} keeps which application and mode the saved keys belong to. */
  private static final String APPLICATION = "spark";

  /** In the order of {@link EnvironmentEffect#before}. */
  private static final List<String> SECRETS =
      Arrays.asList(Keys.ACCESS_KEY, Keys.SECRET_KEY, Keys.SESSION_TOKEN);

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private final SparkContext context;
  private final Configuration configuration;
  private SavedKeys keys;

  SparkEffect(SparkContext context) {
    this.context = context;
    this.configuration = context.hadoopConfiguration();
  }

  /** Whether the roles in use have not reached this context. False without a role. */
  static boolean isPending(SparkContext context) {
    Map<String, String[]> saved = LiveStore.savedHere();
    return !saved.isEmpty() && !isApplied(saved, context) && !LiveStore.setHere().buckets().isEmpty();
  }

  /** The mode in which the roles in use reached this context; null when they have not. */
  static String appliedMode(SparkContext context) {
    Map<String, String[]> saved = LiveStore.savedHere();
    return isApplied(saved, context) ? saved.get(APPLICATION)[1] : null;
  }

  @Override
  public void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException {
    keys = saved(store);
    Mode mode = Mode.of(context, configuration);
    boolean isKnown = isApplied(store.saved(), context);
    int[] earlier = EarlierJobs.of(context);
    if (!isKnown) {
      keys.forget();
    }
    Set<String> bound = isKnown ? buckets : store.set().buckets();
    Set<String> foreign = new TreeSet<>();
    Map<String, String> values = new LinkedHashMap<>();
    mode.common(values, configuration.get(Keys.FILE_SYSTEM, Mode.STOCK_FILE_SYSTEM), store.set().generation());
    for (String bucket : bound) {
      Binding binding = store.set().bound(bucket);
      mode.bind(values, bucket, binding);
      if (!mode.isOurs(configuration, bucket)) {
        foreign.add(bucket);
      }
      refuseSwitch(store, mode, bucket, binding);
    }
    Set<String> executors =
        context.isLocal() || !mode.isLive() ? Collections.emptySet() : Eviction.executors(context);
    keys.write(values);
    store.saved().put(APPLICATION, new String[] {context.applicationId(), mode.name()});
    if (bound.contains(Binding.APPLICATION)) {
      Overrides.of(configuration).forEach(LOG::warning);
    }
    if (!mode.isLive()) {
      mode.warn(store.set().bound(bound.iterator().next()));
      return;
    }
    if (!context.isLocal()) {
      ProductJar.ensure(context);
      Delivery.push(context);
    }
    if (!foreign.isEmpty()) {
      OpenFileSystems.evictForeign(foreign);
      if (!executors.isEmpty()) {
        Eviction.on(context, executors, foreign);
      }
      EarlierJobs.follow(context, earlier);
    }
  }

  @Override
  public void refresh(LiveStore store) throws CloudCredentialException {
    if (!isApplied(store.saved(), context)) {
      apply(store, store.set().buckets());
      return;
    }
    Map<String, String> values = new LinkedHashMap<>();
    for (String bucket : store.set().buckets()) {
      Mode.secrets(values, bucket, store.set().bound(bucket).credentials());
    }
    saved(store).overwrite(values);
    if (!context.isLocal() && Mode.LIVE.equals(store.saved().get(APPLICATION)[1])) {
      Delivery.push(context);
    }
  }

  @Override
  public void undo(LiveStore store) {
    if (keys == null) {
      return;
    }
    keys.undo();
    deliver(store);
  }

  @Override
  public void release(LiveStore store) {
    deliver(store);
    saved(store).release();
    OpenFileSystems.evictOurs();
  }

  /** Pushes what holds after a step back, if executors can have more than that. */
  private void deliver(LiveStore store) {
    String[] known = store.saved().get(APPLICATION);
    if (context.isLocal() || known == null || !Mode.LIVE.equals(known[1])) {
      return;
    }
    try {
      Delivery.push(context);
    } catch (CloudCredentialException e) {
      LOG.log(Level.WARNING, "executors keep the credentials they have until these end", e);
    }
  }

  /** With static keys, S3A and the executors go on with the first role, whatever the keys say by then. */
  private void refuseSwitch(LiveStore store, Mode mode, String bucket, Binding binding)
      throws CloudCredentialException {
    String[] known = store.saved().get(APPLICATION);
    String role = configuration.get(Keys.of(bucket, Keys.ROLE));
    if (!mode.isLive() && known != null && role != null && !role.equals(binding.role())) {
      throw new CloudCredentialException(
          "this application reads as "
              + role
              + " and cannot change to "
              + binding.role()
              + " in mode=static; start a new application");
    }
  }

  private static boolean isApplied(Map<String, String[]> saved, SparkContext context) {
    String[] known = saved.get(APPLICATION);
    return known != null && known[0].equals(context.applicationId());
  }

  private SavedKeys saved(LiveStore store) {
    return new SavedKeys(
        "hadoop:",
        store.saved(),
        configuration::getRaw,
        key -> without(store, key),
        (key, value) -> {
          if (value == null) {
            configuration.unset(key);
          } else {
            configuration.set(key, value);
          }
        });
  }

  /**
   * What would stand in this configuration without us. A context that was made after a role has copied our values from the
   * environment and from the system properties; without us it had copied what stood there before.
   */
  private String without(LiveStore store, String key) {
    String[] environment = EnvironmentEffect.before(store);
    String[] sources = configuration.getPropertySources(key);
    boolean isCopied =
        SECRETS.contains(key) && sources != null && sources.length > 0 && sources[sources.length - 1].contains(" from AWS_");
    if (isCopied && environment != null) {
      return environment[SECRETS.indexOf(key)];
    }
    String[] property = LaterContexts.saved(store, key);
    String value = configuration.getRaw(key);
    return property != null && property[1].equals(value) ? property[0] : value;
  }
}
