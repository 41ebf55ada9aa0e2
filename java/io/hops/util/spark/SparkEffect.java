package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Binding;
import io.hops.util.internal.Effect;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.BucketSource;
import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.SparkEnv;
import scala.Option;
import scala.Tuple2;

/**
 * What roles do to the active SparkContext: its Hadoop configuration names our provider, its executors get the live set.
 *
 * <p>Problem: {@code SparkContext.getOrCreate()} makes a context where there is none. Solution: {@code getActive()} of
 * the companion object, which only looks. The facade finds this class by name, and only where Spark is on the class path.
 */
public final class SparkEffect implements Effect {
  /** Where {@link LiveStore#saved} keeps which application and mode the saved keys belong to. */
  private static final String APPLICATION = "spark";

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private final SparkContext context;
  private final Configuration configuration;
  private SavedKeys keys;

  private SparkEffect(SparkContext context) {
    this.context = context;
    this.configuration = context.hadoopConfiguration();
  }

  /**
   * The effect on the active SparkContext.
   *
   * @return the effect; null where there is no context, as on an executor
   */
  public static Effect forActiveContext() {
    SparkContext context = active();
    return context == null ? null : new SparkEffect(context);
  }

  /**
   * The {@code spark.hops.*} entries of the active SparkConf.
   *
   * @return values by full name; empty without an active context
   */
  public static Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    SparkContext context = active();
    if (context != null) {
      for (Tuple2<String, String> entry : context.getConf().getAll()) {
        if (entry._1().startsWith("spark.hops.")) {
          settings.put(entry._1(), entry._2());
        }
      }
    }
    return settings;
  }

  /**
   * Whether this JVM is an executor and not the driver.
   *
   * @return true on an executor
   */
  public static boolean isExecutor() {
    SparkEnv environment = SparkEnv.get();
    return environment != null && !"driver".equals(environment.executorId());
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
    keys = new SavedKeys(configuration, store.saved());
    Mode mode = Mode.of(context, configuration);
    String[] known = store.saved().get(APPLICATION);
    boolean isKnown = known != null && known[0].equals(context.applicationId());
    if (!isKnown) {
      keys.forget();
    }
    Set<String> bound = isKnown ? buckets : store.set().buckets();
    Set<String> foreign = new TreeSet<>();
    Map<String, String> values = new LinkedHashMap<>();
    mode.common(values, configuration, store.set().generation());
    for (String bucket : bound) {
      Binding binding = store.set().bound(bucket);
      mode.bind(values, bucket, binding);
      if (!mode.isOurs(configuration, bucket)) {
        foreign.add(bucket);
      }
      refuseSwitch(store, mode, bucket, binding);
    }
    Set<String> executors =
        context.isLocal() ? Collections.emptySet() : Eviction.executors(context);
    keys.write(values);
    store.saved().put(APPLICATION, new String[] {context.applicationId(), mode.name()});
    if (!mode.isLive()) {
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
    }
  }

  @Override
  public void refresh(LiveStore store) throws CloudCredentialException {
    String[] known = store.saved().get(APPLICATION);
    if (known == null || !known[0].equals(context.applicationId())) {
      apply(store, store.set().buckets());
      return;
    }
    Map<String, String> values = new LinkedHashMap<>();
    for (String bucket : store.set().buckets()) {
      Mode.secrets(values, bucket, store.set().bound(bucket).credentials());
    }
    new SavedKeys(configuration, store.saved()).overwrite(values);
    if (!context.isLocal() && Mode.LIVE.equals(known[1])) {
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
    new SavedKeys(configuration, store.saved()).release();
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

  private static SparkContext active() {
    Option<SparkContext> active = SparkContext$.MODULE$.getActive();
    return active.isDefined() && !active.get().isStopped() ? active.get() : null;
  }
}
