package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveRoles;
import io.hops.util.internal.LiveStore;
import io.hops.util.internal.RoleRequest;
import io.hops.util.s3a.OpenFileSystems;
import io.hops.util.s3a.PushedCredentials;
import java.io.IOException;
import java.util.Collections;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Assumes a role from the configuration, without a line of code:
 * {@code spark.plugins=io.hops.util.spark.HopsSparkPlugin} and {@code spark.hops.role}, an ARN or {@code default}.
 *
 * <p>A context that cannot get its role does not start. Without {@code spark.hops.role} the plugin applies roles that were
 * assumed before the context was made; contexts that are made after a role have it by themselves. On executors it makes every
 * task find open what the roles in use say. In a Thrift or Connect server the plugin is the only way to a role.
 */
public final class HopsSparkPlugin implements SparkPlugin {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  /** Called by Spark. */
  public HopsSparkPlugin() {}

  @Override
  public DriverPlugin driverPlugin() {
    return new DriverPlugin() {
      private boolean isAssumed;

      @Override
      public Map<String, String> init(SparkContext context, PluginContext plugin) {
        ActiveContext.setStarting(context);
        try {
          if (isEventLogOnS3(context)) {
            // Spark opens it before it calls us again.
            isAssumed = assumeConfigured(plugin);
            FutureContexts.copyTo(context.hadoopConfiguration());
          }
          PluginSetting.reachExecutors(context);
        } catch (RuntimeException e) {
          // Spark calls no plugin again that has not started.
          shutdown();
          throw e;
        }
        return Collections.emptyMap();
      }

      /** Assumes the role. This is the first call after the scheduler has started; earlier, nothing can be sent to executors. */
      @Override
      public void registerMetrics(String application, PluginContext plugin) {
        if (isAssumed || !assumeConfigured(plugin)) {
          applyToNewContext(isAssumed);
        }
      }

      /** Answers an executor that starts without the roles, see {@link YarnClient}. */
      @Override
      public Object receive(Object message) {
        return LiveStore.findBytes();
      }

      @Override
      public void shutdown() {
        ActiveContext.setStarting(null);
      }
    };
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new ExecutorPlugin() {
      /** Leads configurations from before a role through our class, before the first task. */
      @Override
      public void init(PluginContext plugin, Map<String, String> extra) {
        if (YarnClient.hasDriver(plugin.conf())) {
          askForRoles(plugin);
        }
        leadWorkers();
        match();
      }

      /** Follows the roles that the driver has pushed since the last task. */
      @Override
      public void onTaskStart() {
        match();
      }
    };
  }

  /** Assumes the role of the configuration. Returns false when it names none. */
  private static boolean assumeConfigured(PluginContext plugin) {
    String role = plugin.conf().get("spark.hops.role", "");
    if (role.isEmpty()) {
      return false;
    }
    try {
      LiveRoles.assumeForOperator(new RoleRequest().withRole(role.equals("default") ? null : role));
      return true;
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("spark.hops.role cannot be assumed: " + e.getMessage(), e);
    }
  }

  private static boolean isEventLogOnS3(SparkContext context) {
    SparkConf conf = context.conf();
    if (!conf.getBoolean("spark.eventLog.enabled", false)) {
      return false;
    }
    try {
      String scheme = new Path(conf.get("spark.eventLog.dir", "/")).toUri().getScheme();
      return scheme != null && Schemes.of(context.hadoopConfiguration()).areReadByS3a(scheme);
    } catch (LinkageError e) {
      // S3A is not here.
      return false;
    }
  }

  /**
   * Applies roles that were assumed before. A context starts without those of a program too: who opens a bucket tries again.
   */
  private static void applyToNewContext(boolean isRequired) {
    try {
      LiveRoles.applyToNewContext();
    } catch (CloudCredentialException e) {
      if (isRequired) {
        throw new IllegalStateException("spark.hops.role cannot be used: " + e.getMessage(), e);
      }
      LOG.log(Level.WARNING, "the roles in use have not reached the new SparkContext yet: " + e.getMessage(), e);
    }
  }

  /**
   * Gets the roles in use where they are not among the tokens with which an executor starts. Spark handles no push before its
   * plugins have started, so nothing newer is there yet.
   */
  private static void askForRoles(PluginContext plugin) {
    try {
      byte[] newest = (byte[]) plugin.ask("roles");
      if (newest != null) {
        PushedCredentials.accept(newest);
      }
    } catch (Exception e) {
      // An executor whose plugin throws does not start. It reads with the role when the push has come, and waits for it until then.
      LOG.log(Level.WARNING, "this executor has not got the roles in use yet", e);
    }
  }

  private static void leadWorkers() {
    try {
      Workers.follow(0);
    } catch (IOException e) {
      // An executor whose plugin throws does not start. A task in Python that has a role says so again, and fails.
      LOG.log(Level.WARNING, e.getMessage(), e);
    }
  }

  /** Makes what is open in this JVM be read with the roles in use. */
  static void match() {
    try {
      OpenFileSystems.match();
    } catch (LinkageError e) {
      // There is no S3A here, so no bucket is open.
      return;
    } catch (IOException | RuntimeException e) {
      // An executor whose plugin throws does not start.
      LOG.log(Level.WARNING, "this executor may hold buckets open under another identity", e);
    }
  }

  /** Returns true if the executors of a context are other JVMs, and no plugin of ours is there. */
  static boolean isMissing(SparkContext context) {
    return !context.isLocal() && !PluginSetting.isIn(context);
  }
}
