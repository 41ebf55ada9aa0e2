package io.hops.util.spark;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Applied;
import io.hops.util.internal.Effect;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.PythonDriver;
import io.hops.util.s3a.Keys;
import io.hops.util.s3a.OpenFileSystems;
import io.hops.util.s3a.RoleKeys;
import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;

/**
 * Applies roles to the active SparkContext: its Hadoop configuration names our provider, and its executors get the live set.
 */
final class SparkEffect implements Effect {
  private static final String PREFIX = "hadoop:";

  /** The secret keys, and the variables from which Spark copies each. */
  static final Map<String, String> SECRETS = new LinkedHashMap<>();

  static {
    SECRETS.put(Keys.ACCESS_KEY, "AWS_ACCESS_KEY_ID");
    SECRETS.put(Keys.SECRET_KEY, "AWS_SECRET_ACCESS_KEY");
    SECRETS.put(Keys.SESSION_TOKEN, "AWS_SESSION_TOKEN");
  }

  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** What a thread is doing under the lock; null when there is none. */
  private static volatile Applying applying;

  private final SparkContext context;
  private final Configuration configuration;
  private final SavedKeys keys;
  private final IcebergCatalogs catalogs;
  private Applied appliedBefore;
  private boolean isPushed;
  private boolean isAsked;

  SparkEffect(SparkContext context) {
    this.context = context;
    this.configuration = context.hadoopConfiguration();
    this.catalogs = new IcebergCatalogs(context);
    this.keys =
        new SavedKeys(
            PREFIX,
            configuration::getRaw,
            (key, value) -> {
              if (value == null) {
                configuration.unset(key);
              } else {
                configuration.set(key, value);
              }
            });
  }

  /** Returns true if there are roles in use that have not reached this context. */
  static boolean isPending(SparkContext context) {
    String mark = mark(context);
    Applying now = applying;
    boolean isReadable = now != null && now.mark.equals(mark) && (now.mode != null || now.thread == Thread.currentThread());
    if (isReadable || LiveStore.findApplied().hasReached(mark)) {
      return false;
    }
    LiveSet set = LiveStore.findCurrent();
    return set != null && !set.buckets().isEmpty();
  }

  /** Names a context. Its application id alone would not do: on Kubernetes all contexts of one driver have the same. */
  private static String mark(SparkContext context) {
    return context.applicationId() + "@" + context.startTime();
  }

  /** Finds the mode in which the roles in use have reached this context; null when they have not. */
  static String findMode(SparkContext context) {
    String mark = mark(context);
    Applying now = applying;
    Applied applied = LiveStore.findApplied();
    if (applied.hasReached(mark)) {
      return applied.mode();
    }
    return now != null && now.mark.equals(mark) ? now.mode : null;
  }

  @Override
  public void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException {
    appliedBefore = store.applied();
    boolean isReached = appliedBefore.hasReached(mark(context));
    Set<String> assigned = isReached ? buckets : store.current().buckets();
    Mode mode = Mode.choose(context, configuration, assigned);
    refuseSwitch(store, mode, assigned);

    Set<String> foreign = findForeign(mode, assigned);
    boolean isPython = PythonDriver.isHere() && hasExecutors(context);
    ExecutorMatch match = (mode.isLive() || isPython) && HopsSparkPlugin.isMissing(context) ? ExecutorMatch.of(context) : null;
    Applying now = new Applying(mark(context));
    applying = now;
    try {
      if (match != null && mode.isLive() && !foreign.isEmpty() && ExecutorMatch.canHaveOpened(context)) {
        isAsked = true;
        match.hold();
      }
      Applied before = isReached ? appliedBefore : Overrides.forgetSettings(appliedBefore.withoutKeys(PREFIX));
      Applied applied = writeKeys(store, mode, assigned, before);
      store.keepEarlierProviders(EarlierProviders.list(configuration, before.list(PREFIX), applied.list(PREFIX)));
      store.keepOwnKeys(RoleKeys.listOwnKeys(configuration));
      deliver(store);
      boolean wasForeign = mode.isLive() && OpenFileSystems.match(store.current().buckets());
      now.mode = mode.name();
      // From here on nobody waits for us who opens a bucket: a session that is being made may do so, and we ask sessions.
      Overrides.list(configuration, assigned, applied).forEach(LOG::warning);
      if (!mode.isLive()) {
        mode.warn(store.current().findOwn(assigned.iterator().next()));
      }
      if (isAsked || match != null && (isPython || wasForeign && !foreign.isEmpty())) {
        isAsked = true;
        askExecutors(match);
      }
      catalogs.tell(store.current());
      // Comes last, because whoever finds this mark relies on all of the above.
      store.replace(applied.withContext(mark(context), mode.name()));
    } finally {
      applying = null;
    }
  }

  /** Refuses another role in the static mode, where S3A and the executors go on with the first one whatever the keys say. */
  private void refuseSwitch(LiveStore store, Mode mode, Set<String> assigned)
      throws CloudCredentialException {
    if (mode.isLive() || appliedBefore.mode() == null) {
      return;
    }
    for (String bucket : assigned) {
      String role = configuration.get(Keys.forBucket(bucket, Keys.ROLE));
      String wanted = store.current().findOwn(bucket).roleArn();
      if (role != null && !role.equals(wanted)) {
        throw new CloudCredentialException(
            "this application reads as "
                + role
                + " and cannot change to "
                + wanted
                + " in mode=static; start a new application");
      }
    }
  }

  /** Lists the buckets that S3A does not read through our provider yet. */
  private Set<String> findForeign(Mode mode, Set<String> assigned) {
    Set<String> foreign = new TreeSet<>(assigned);
    foreign.removeIf(bucket -> mode.isOurs(configuration, bucket));
    return foreign;
  }

  private Applied writeKeys(LiveStore store, Mode mode, Set<String> assigned, Applied before) {
    Map<String, String> values = mode.keys(Schemes.of(configuration), store.current(), assigned);
    Applied applied = before;
    if (assigned.contains(LiveRole.APPLICATION)) {
      applied = Overrides.rememberSettings(before, configuration);
      Map<String, String> all = new LinkedHashMap<>();
      all.put(Keys.KNOWN_ACCESS_KEYS, knownAccessKeys(before, values));
      all.putAll(values);
      values = all;
    }
    if (mode.isLive() && hasComet()) {
      for (String bucket : assigned) {
        String key = Keys.forBucket(bucket, Keys.COMET_ADAPTER);
        String forAll = configuration.get(Keys.COMET_ADAPTER, Keys.COMET_S3A_ADAPTER);
        // What is there is the user's choice, or ours already.
        if (configuration.get(key) == null && forAll.equals(Keys.COMET_S3A_ADAPTER)) {
          values.put(key, Keys.COMET_S3A_ADAPTER);
        }
      }
    }
    return keys.write(applied, values, key -> valueWithoutUs(before, key));
  }

  /**
   * Lists the access key ids that the static keys may hold while the application has its role: the last and the next that we write,
   * or what stands there where we write none.
   */
  private String knownAccessKeys(Applied applied, Map<String, String> values) {
    String next = values.get(Keys.ACCESS_KEY);
    Applied.WrittenKey last = applied.find(PREFIX + Keys.ACCESS_KEY);
    if (next == null) {
      return Keys.NOT_OURS + configuration.getTrimmed(Keys.ACCESS_KEY, "");
    }
    return last == null ? next : last.last + " " + next;
  }

  /** Returns true if Comet is here, and can ask S3A: a class that does not link must not be named. */
  private boolean hasComet() {
    try {
      Class.forName(Keys.COMET_S3A_ADAPTER, true, configuration.getClassLoader());
      return true;
    } catch (ClassNotFoundException | LinkageError e) {
      return false;
    }
  }

  /** Sends our classes and the live set to the executors, also where S3A takes nothing from us: other readers do. */
  private void deliver(LiveStore store) throws CloudCredentialException {
    // On a server that users share, any of them could ask the endpoint: the functions of SQL reach the environment of executors.
    boolean isLed = (context.isLocal() || hasExecutors(context)) && ActiveContext.findSharedServer() == null;
    store.keepEndpointVariables(isLed);
    if (context.isLocal()) {
      leadWorkersOfDriver();
    }
    if (hasExecutors(context)) {
      ProductJar.ensure(context);
      isPushed = true;
      Delivery.push(context);
    }
  }

  private static void leadWorkersOfDriver() {
    try {
      Workers.follow(0);
    } catch (IOException e) {
      LOG.log(Level.WARNING, e.getMessage(), e);
    }
  }

  /** Returns true if there are other JVMs, and a way to send secrets to them. */
  static boolean hasExecutors(SparkContext context) {
    return !context.isLocal() && Delivery.hasChannel(context);
  }

  /**
   * Makes the executors open the buckets again that are open under another identity. Waits for those that have room for a task.
   */
  private static void askExecutors(ExecutorMatch match) throws CloudCredentialException {
    match.repeat();
    try {
      Set<String> missing = match.await();
      if (!missing.isEmpty()) {
        LOG.info(
            "executors "
                + String.join(", ", missing)
                + " have no room for a task; until they have, jobs open their buckets anew");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CloudCredentialException(
          "interrupted while the executors were told to open their buckets again", e, 0);
    }
  }

  @Override
  public void refresh(LiveStore store) throws CloudCredentialException {
    Applied applied = store.applied();
    if (!applied.hasReached(mark(context))) {
      return;
    }
    for (String bucket : store.current().buckets()) {
      Credentials credentials = store.current().findOwn(bucket).credentials();
      Map<String, String> values = new LinkedHashMap<>();
      Mode.putStaticKeys(values, bucket, credentials);
      if (applied.find(PREFIX + Keys.ACCESS_KEY) != null && bucket.equals(LiveRole.APPLICATION)) {
        // Before the keys: whoever copies the configuration meanwhile has either of both.
        applied = keys.overwrite(applied, Collections.singletonMap(Keys.KNOWN_ACCESS_KEYS, knownAccessKeys(applied, values)));
      }
      applied = keys.overwrite(applied, values);
    }
    store.replace(applied);
    if (hasExecutors(context)) {
      Delivery.push(context);
    }
  }

  @Override
  public void undo(LiveStore store) {
    keys.undo();
    if (appliedBefore != null) {
      store.replace(appliedBefore);
      if (!appliedBefore.hasReached(mark(context))) {
        Mode.hideClasses(configuration);
      }
      pushAgain(store);
      if (store.current().buckets().isEmpty()) {
        catalogs.takeBack();
      }
      matchIfPossible(store.current().buckets());
      if (isAsked) {
        ExecutorMatch.of(context).repeat();
      }
    }
  }

  @Override
  public void release(LiveStore store) {
    pushAgain(store);
    // Without it no copy that is made meanwhile can be taken for the user's choice beside a role.
    keys.release(store.applied(), Keys.GENERATION);
    Mode.hideClasses(configuration);
    catalogs.takeBack();
    matchIfPossible(Collections.emptySet());
    if ((Mode.LIVE.equals(findMode(context)) || PythonDriver.isHere()) && HopsSparkPlugin.isMissing(context)) {
      askToForget();
    }
  }

  private static void matchIfPossible(Set<String> buckets) {
    try {
      OpenFileSystems.match(buckets);
    } catch (LinkageError e) {
      LOG.log(Level.FINE, "there is no S3A here, so no bucket is open", e);
    }
  }

  private void askToForget() {
    ExecutorMatch match = ExecutorMatch.of(context);
    if (ExecutorMatch.isNeedless(context)) {
      return;
    }
    match.repeat();
    try {
      match.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Pushes the set after an undo or a release, if executors may hold an earlier one. */
  private void pushAgain(LiveStore store) {
    boolean mayHold = isPushed || store.applied().hasReached(mark(context));
    if (!mayHold || !hasExecutors(context)) {
      return;
    }
    try {
      Delivery.push(context);
    } catch (CloudCredentialException e) {
      LOG.log(Level.WARNING, "executors keep the credentials they have until these end", e);
    }
  }

  /**
   * Returns the value that a key would have without us. A context that was made after a role has copied our values from the
   * environment and from the system properties; without us it would have copied what stood there before.
   */
  private String valueWithoutUs(Applied applied, String key) {
    String variable = SECRETS.get(key);
    String[] sources = configuration.getPropertySources(key);
    boolean isCopied =
        variable != null && sources != null && sources.length > 0 && sources[sources.length - 1].contains(" from AWS_");
    if (isCopied && applied.hasWritten(variable)) {
      return applied.environmentBefore(variable);
    }
    return FutureContexts.valueBefore(configuration, applied, key, configuration.getRaw(key));
  }

  /** A thread that applies roles to a context. */
  private static final class Applying {
    /** See {@link SparkEffect#mark}. */
    final String mark;

    final Thread thread = Thread.currentThread();

    /** Null until readers on the driver have all that they need. Telling the executors can take many seconds after that. */
    volatile String mode;

    Applying(String mark) {
      this.mark = mark;
    }
  }
}
