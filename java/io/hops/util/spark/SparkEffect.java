package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Binding;
import io.hops.util.internal.Effect;
import io.hops.util.internal.EnvironmentEffect;
import io.hops.util.internal.Findings;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.BucketSource;
import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.spark.SparkContext;

/**
 * What roles do to the active SparkContext: its Hadoop configuration names our provider, its executors get the live set.
 *
 * <p>Loaded only where Spark is on the class path.
 */
public final class SparkEffect implements Effect {
  /** Where {@link LiveStore#saved} keeps which application and mode the saved keys belong to. */
  private static final String APPLICATION = "spark";

  /** In the order of {@link EnvironmentEffect#before}. */
  private static final List<String> SECRETS =
      Arrays.asList(Keys.ACCESS_KEY, Keys.SECRET_KEY, Keys.SESSION_TOKEN);

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private final SparkContext context;
  private final Configuration configuration;
  private SavedKeys keys;

  private SparkEffect(SparkContext context) {
    this.context = context;
    this.configuration = context.hadoopConfiguration();
  }

  /**
   * The effects on SparkContexts.
   *
   * @return that on the active one if there is one, and that on later ones
   */
  public static List<Effect> effects() {
    SparkContext context = ActiveContext.get();
    return context == null
        ? Collections.singletonList(new LaterContexts())
        // In this order: what the properties held when the context was made is what it copied from them.
        : Arrays.asList(new SparkEffect(context), new LaterContexts());
  }

  /**
   * Whether there is an active context that the roles in use have not reached.
   *
   * @return false without a context or without a role
   */
  public static boolean isPending() {
    Map<String, String[]> saved = LiveStore.savedHere();
    SparkContext context = saved.isEmpty() ? null : ActiveContext.get();
    return context != null && !isApplied(saved, context) && !LiveStore.setHere().buckets().isEmpty();
  }

  /**
   * How S3A gets credentials in this JVM.
   *
   * @return live, static, or pending for a context that the roles in use have not reached
   */
  public static String mode() {
    SparkContext context = ActiveContext.get();
    if (context == null) {
      return ActiveContext.isExecutor() ? Mode.LIVE : "pending (until a SparkContext opens its first s3a:// path)";
    }
    return isApplied(LiveStore.savedHere(), context)
        ? LiveStore.savedHere().get(APPLICATION)[1]
        : "pending (until this SparkContext opens its first s3a:// path)";
  }

  /**
   * The provider that the user chose for a bucket in the active context.
   *
   * @param bucket the bucket
   * @return the name of its class, or a list; null when there is none, or it is ours
   */
  public static String foreignProvider(String bucket) {
    SparkContext context = ActiveContext.get();
    return context == null ? null : Overrides.foreignProvider(context.hadoopConfiguration(), bucket);
  }

  /**
   * Looks at Spark and S3A.
   *
   * @param findings where to put what is found
   */
  public static void examine(Findings findings) {
    Inspection.of(ActiveContext.get(), findings);
  }

  /**
   * Where a bucket's credentials arrive on this executor.
   *
   * @param bucket the bucket, or {@link Binding#APPLICATION}
   * @return see {@link BucketSource#get}
   */
  public static Supplier<Object[]> pushedTo(String bucket) {
    try {
      return new BucketSource(bucket, UserGroupInformation.getCurrentUser(), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * The live set on an executor.
   *
   * @return what the driver pushed; null when nothing has arrived
   * @throws IOException when it is damaged
   */
  public static LiveSet pushed() throws IOException {
    return BucketSource.pushedTo(UserGroupInformation.getCurrentUser());
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
