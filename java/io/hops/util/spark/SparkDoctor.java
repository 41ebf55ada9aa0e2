package io.hops.util.spark;

import io.hops.util.internal.Findings;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.Bridge;
import io.hops.util.s3a.Keys;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;

/** Checks what in Spark and S3A can keep roles from being refreshed or seen: class loaders, SDK, the way to the executors. */
final class SparkDoctor {
  private SparkDoctor() {}

  /** Checks S3A in this JVM, and the context if there is one. */
  static void examine(SparkContext context, String mode, Findings findings) {
    try {
      String provider = Bridge.ensure();
      findings.good("SDK line", "S3A takes " + provider);
      findings.good("class loader", "our provider is beside S3A, in " + Bridge.loaderName());
    } catch (LinkageError e) {
      findings.problem("SDK line", Mode.explainMissingSdk(e));
    } catch (IOException e) {
      findings.problem("class loader", e.getMessage());
    }
    if (context == null) {
      findings.good("context", "no SparkContext is active; call doctor again when there is one");
      return;
    }
    Configuration configuration = context.hadoopConfiguration();
    if (context.isLocal()) {
      findings.good("token channel", "not needed: master " + context.master() + " has no other JVM");
    } else if (Delivery.hasChannel(context)) {
      findings.good("token channel", "credentials reach the executors of master " + context.master());
      String clear = Encryption.explainClear(context.getConf());
      if (clear == null) {
        findings.good("encryption", "nobody on the network can read what the executors get");
      } else {
        findings.problem("encryption", clear);
      }
    } else {
      findings.problem("token channel", Mode.explainMissingChannel(context));
    }
    String fileSystem = configuration.get(Keys.FILE_SYSTEM, Mode.STOCK_FILE_SYSTEM);
    if (!context.isLocal() && Mode.isCustom(fileSystem) && !Bridge.isVisible()) {
      findings.problem("file system", Mode.explainOutOfReach(fileSystem));
    }
    for (String shown : Redaction.listShown(context.getConf())) {
      findings.problem("redaction", shown);
    }
    for (String override : Overrides.list(configuration)) {
      findings.problem("override", override);
    }
    LiveSet set = LiveStore.findCurrent();
    if (set != null && !set.buckets().isEmpty()) {
      if (mode.equals(Mode.STATIC)) {
        findings.problem("mode", "mode=static: credentials are not refreshed in S3A; act on the other problems");
      } else {
        findings.good("mode", "mode=" + mode);
      }
    }
  }
}
