package io.hops.util.spark;

import io.hops.util.cloud.Credentials;
import io.hops.util.internal.Effect;
import io.hops.util.s3a.Keys;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import scala.Option;
import scala.Tuple2;

/**
 * What {@code assumeRole} does to the active SparkContext: its Hadoop configuration gets the credentials.
 *
 * <p>Problem: {@code SparkContext.getOrCreate()} makes a context where there is none. Solution: {@code getActive()} of
 * the companion object, which only looks. The facade finds this class by name, and only where Spark is on the class path.
 */
public final class SparkEffect implements Effect {
  private final SavedKeys saved;

  private SparkEffect(Configuration configuration) {
    this.saved = new SavedKeys(configuration);
  }

  /**
   * The effect on the active SparkContext.
   *
   * @return the effect; null where there is no context, as on an executor
   */
  public static Effect forActiveContext() {
    SparkContext context = active();
    return context == null ? null : new SparkEffect(context.hadoopConfiguration());
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

  @Override
  public void apply(Credentials credentials) {
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put(Keys.PROVIDER, Keys.TEMPORARY_PROVIDER);
    keys.put(Keys.ACCESS_KEY, credentials.getAccessKeyId());
    keys.put(Keys.SECRET_KEY, credentials.getSecretAccessKey());
    keys.put(Keys.SESSION_TOKEN, credentials.getSessionToken());
    saved.write(keys);
  }

  @Override
  public void undo() {
    saved.restore();
  }

  private static SparkContext active() {
    Option<SparkContext> active = SparkContext$.MODULE$.getActive();
    return active.isDefined() && !active.get().isStopped() ? active.get() : null;
  }
}
