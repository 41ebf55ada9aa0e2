package io.hops.util.spark;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.internal.LiveRoles;
import io.hops.util.internal.RoleRequest;
import java.util.Collections;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Assumes a role from the configuration, without a line of code:
 * {@code spark.plugins=io.hops.util.spark.HopsSparkPlugin} and {@code spark.hops.role}, an ARN or {@code default}.
 *
 * <p>A context that cannot get its role does not start. Without {@code spark.hops.role} the plugin only applies roles that were
 * assumed before the context was made. In a Thrift or Connect server the plugin is the only way to a role.
 */
public final class HopsSparkPlugin implements SparkPlugin {
  /** Called by Spark. */
  public HopsSparkPlugin() {}

  @Override
  public DriverPlugin driverPlugin() {
    return new DriverPlugin() {
      @Override
      public Map<String, String> init(SparkContext context, PluginContext plugin) {
        ActiveContext.setStarting(context);
        return Collections.emptyMap();
      }

      /** Assumes the role. This is the first call after the scheduler has started; earlier, nothing can be sent to executors. */
      @Override
      public void registerMetrics(String application, PluginContext plugin) {
        String role = plugin.conf().get("spark.hops.role", "");
        try {
          if (role.isEmpty()) {
            LiveRoles.applyToNewContext();
          } else {
            String arn = role.equals("default") ? null : role;
            LiveRoles.assumeForOperator(new RoleRequest().withRole(arn));
          }
        } catch (CloudCredentialException e) {
          throw new IllegalStateException("spark.hops.role cannot be assumed: " + e.getMessage(), e);
        }
      }

      @Override
      public void shutdown() {
        ActiveContext.setStarting(null);
      }
    };
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return null;
  }
}
