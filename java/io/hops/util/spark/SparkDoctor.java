package io.hops.util.spark;

import io.hops.util.internal.Findings;
import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.Bridge;
import java.io.IOException;
import java.util.Collections;
import java.util.Set;
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
    examineFileSystem(context, configuration, findings);
    examineFetches(context, findings);
    String unshared = HiveClient.explainUnshared(context.getConf());
    if (unshared != null) {
      findings.problem("Hive client", unshared);
    }
    try {
      Sessions.ask(IcebergCatalogs::listProblems).forEach(problem -> findings.problem("Iceberg", problem));
    } catch (Sessions.NotAskedException e) {
      findings.problem("Iceberg", "catalogs are not checked: " + e.getMessage() + "; call doctor again");
    }
    for (String problem : ExecutorMatch.listProblems(context)) {
      findings.problem("executors", problem);
    }
    for (String shown : Redaction.listShown(context.getConf())) {
      findings.problem("redaction", shown);
    }
    for (String onDisk : Redaction.listOnDisks(context.getConf())) {
      findings.problem("API key", onDisk);
    }
    LiveSet set = LiveStore.findCurrent();
    boolean hasRole = set != null && !set.buckets().isEmpty();
    Set<String> buckets = hasRole ? set.buckets() : Collections.singleton(LiveRole.APPLICATION);
    for (String override : Overrides.list(configuration, buckets, LiveStore.findApplied())) {
      findings.problem("override", override);
    }
    if (hasRole) {
      if (mode.equals(Mode.STATIC)) {
        findings.problem("mode", "mode=static: credentials are not refreshed in S3A; act on the other problems");
      } else {
        findings.good("mode", "mode=" + mode);
      }
    }
  }

  private static void examineFileSystem(SparkContext context, Configuration configuration, Findings findings) {
    try {
      String custom = context.isLocal() ? null : Schemes.of(configuration).findCustom();
      if (custom != null && !Bridge.isVisible()) {
        findings.problem("file system", Mode.explainOutOfReach(custom, configuration));
      }
    } catch (LinkageError e) {
      // Another check has named the missing S3A.
      return;
    }
  }

  /** Names what a new executor fetches from a bucket before any code of ours runs there. */
  private static void examineFetches(SparkContext context, Findings findings) {
    if (!HopsSparkPlugin.isMissing(context)) {
      return;
    }
    for (String path : Fetches.paths(context)) {
      findings.problem(
          "fetched files",
          "a new executor fetches " + path + " before it has the role, and a job there can be ahead of the role; set"
              + " spark.plugins=" + HopsSparkPlugin.class.getName());
    }
  }
}
