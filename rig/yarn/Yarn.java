import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/**
 * Runs a ResourceManager and two NodeManagers on loopback until it is told to end, and writes what their clients read.
 *
 * <p>Arguments: the directory for the configuration of clients, which is on the class path, and {@code kerberos} for a secure
 * cluster with HDFS. It prints {@code ready}, and keeps the folders of containers below its working directory after they end.
 */
public final class Yarn {
  private Yarn() {}

  public static void main(String[] arguments) throws Exception {
    Path clients = Paths.get(arguments[0]);
    // What clients need beside the addresses of the cluster.
    Configuration core = new Configuration(false);
    core.set("fs.defaultFS", "file:///");
    YarnConfiguration conf = new YarnConfiguration();
    if (arguments.length > 1) {
      Kerberos.start(Paths.get("kerberos").toAbsolutePath(), conf, core);
    }
    // Some parts of a NodeManager read their configuration from here too: it is on the class path.
    write(core, clients.resolve("core-site.xml"));
    MiniYARNCluster cluster = new MiniYARNCluster("mini", 2, 1, 1);
    cluster.init(withSettings(conf));
    cluster.start();
    if (!cluster.waitForNodeManagersToConnect(60000)) {
      throw new IOException("the NodeManagers do not connect");
    }
    Configuration yarn = new Configuration(false);
    for (Map.Entry<String, String> setting : cluster.getConfig()) {
      // The others are defaults, which those of the clients' own version must not give way to.
      if (setting.getKey().startsWith("yarn.")) {
        yarn.set(setting.getKey(), setting.getValue());
      }
    }
    write(yarn, clients.resolve("yarn-site.xml"));
    System.out.println("ready");
    Thread.currentThread().join();
  }

  private static YarnConfiguration withSettings(YarnConfiguration conf) {
    conf.set("yarn.scheduler.capacity.root.queues", "default");
    conf.set("yarn.scheduler.capacity.root.default.capacity", "100");
    conf.set("yarn.scheduler.capacity.maximum-am-resource-percent", "1.0");
    conf.setInt("yarn.scheduler.minimum-allocation-mb", 128);
    conf.setInt("yarn.nodemanager.resource.memory-mb", 6144);
    conf.setBoolean("yarn.nodemanager.vmem-check-enabled", false);
    conf.setBoolean("yarn.nodemanager.pmem-check-enabled", false);
    conf.set("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", "100");
    // Keeps all that containers had, to be searched.
    conf.setInt("yarn.nodemanager.delete.debug-delay-sec", 3600);
    return conf;
  }

  private static void write(Configuration conf, Path file) throws IOException {
    try (OutputStream out = Files.newOutputStream(file)) {
      conf.writeXml(out);
    }
  }
}
