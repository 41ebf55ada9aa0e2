package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.Effect;
import io.hops.util.internal.EnvironmentEffect;
import io.hops.util.internal.Findings;
import io.hops.util.internal.Host;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.PushedCredentials;
import io.hops.util.s3a.RoleKeys;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;
import org.apache.spark.deploy.SparkHadoopUtil;

/** A JVM with Spark on its class path: a driver, an executor, or one that has not made its SparkContext yet. */
public final class SparkHost implements Host {
  private static final String NO_ADDRESS =
      "with AWS_* in the environment Spark would fail: this machine's host name has no address; add it to /etc/hosts";

  /** Called by {@code HostLoader}, which knows only the name of this class. */
  public SparkHost() {}

  @Override
  public boolean isExecutor() {
    return ActiveContext.isExecutor();
  }

  @Override
  public void refuseSharedServer() throws CloudCredentialException {
    ActiveContext.refuseSharedServer();
  }

  @Override
  public boolean isSharedServer() {
    return ActiveContext.findSharedServer() != null;
  }

  /**
   * Refuses when this machine's host name has no address. With {@code AWS_*} set, Spark looks the name up whenever it makes a
   * Hadoop configuration, and throws when there is no address.
   */
  @Override
  public void refuseEnvironment() throws CloudCredentialException {
    try {
      InetAddress.getLocalHost();
    } catch (UnknownHostException e) {
      throw new CloudCredentialException(NO_ADDRESS, e, 0);
    }
  }

  @Override
  public List<Effect> effects() {
    SparkContext context = ActiveContext.get();
    return context == null
        ? Collections.singletonList(new FutureContexts())
        // Keeps this order: the context has copied what the properties held when it was made.
        : Arrays.asList(new SparkEffect(context), new FutureContexts());
  }

  @Override
  public Effect findPending() {
    SparkContext context = ActiveContext.get();
    return context != null && SparkEffect.isPending(context) ? new SparkEffect(context) : null;
  }

  @Override
  public LiveSet readPushed() throws IOException {
    return isExecutor() ? PushedCredentials.readSet() : null;
  }

  @Override
  public Supplier<Object[]> findPushed(String bucket) {
    return isExecutor() ? new PushedCredentials(bucket, 0) : null;
  }

  @Override
  public Map<String, String> settings() {
    return ActiveContext.settings();
  }

  @Override
  public String mode() {
    SparkContext context = ActiveContext.get();
    if (context == null) {
      return isExecutor() ? Mode.LIVE : "pending (until a SparkContext opens its first s3a:// path)";
    }
    String applied = SparkEffect.findMode(context);
    return applied == null ? "pending (until this SparkContext opens its first s3a:// path)" : applied;
  }

  @Override
  public boolean readsScheme(String scheme) {
    SparkContext context = ActiveContext.get();
    // The second is what this JVM was started with, on an executor too.
    return Schemes.of(context == null ? SparkHadoopUtil.get().conf() : context.hadoopConfiguration()).areReadByS3a(scheme);
  }

  @Override
  public String findForeignProvider(String bucket) {
    SparkContext context = ActiveContext.get();
    if (context == null) {
      return findPushedKeys(bucket);
    }
    String binding = Overrides.findBinding(context.hadoopConfiguration(), bucket);
    return binding == null ? Overrides.findForeignProvider(context.hadoopConfiguration(), bucket) : binding;
  }

  private String findPushedKeys(String bucket) {
    try {
      LiveSet pushed = readPushed();
      String keys = pushed == null ? null : pushed.findOwnKeys(bucket);
      if (keys == null || keys.equals(LiveSet.NO_KEYS)) {
        return null;
      }
      int end = keys.indexOf(LiveSet.BEHIND_KEY);
      return end == 0 ? keys.trim() : Overrides.describeKeys(bucket, keys.substring(0, end));
    } catch (IOException e) {
      // Whoever asks next for the role says so.
      return null;
    }
  }

  @Override
  public String explainRefusal(String bucket) {
    SparkContext context = ActiveContext.get();
    LiveSet roles = LiveStore.findCurrent();
    return context == null || roles == null ? null : RoleKeys.explainRefusal(context.hadoopConfiguration(), bucket, roles);
  }

  @Override
  public String findOwnKeys(String bucket, LiveSet roles) {
    SparkContext context = ActiveContext.get();
    if (context == null || roles.findOwn(bucket) != null || roles.findOwn(LiveRole.APPLICATION) == null) {
      return null;
    }
    return RoleKeys.findOwnKeys(context.hadoopConfiguration(), bucket);
  }

  @Override
  public boolean areOfOneBucket(String accessKeyId) {
    SparkContext context = ActiveContext.get();
    return context != null && RoleKeys.areOfOneBucket(context.hadoopConfiguration(), accessKeyId);
  }

  @Override
  public void push() throws CloudCredentialException {
    SparkContext context = ActiveContext.get();
    if (context != null && SparkEffect.hasExecutors(context)) {
      Delivery.push(context);
    }
  }

  @Override
  public List<String> explainCatalogs(String scheme) {
    return isExecutor() || !IcebergCatalog.SCHEMES.contains(scheme) ? Collections.emptyList() : IcebergCatalogs.explain();
  }

  @Override
  public void examine(Findings findings) {
    try {
      refuseEnvironment();
      findings.good("host name", "it has an address");
    } catch (CloudCredentialException e) {
      findings.problem("host name", e.getMessage());
    }
    SparkDoctor.examine(ActiveContext.get(), mode(), findings);
  }
}
