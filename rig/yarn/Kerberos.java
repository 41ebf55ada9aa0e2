import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.minikdc.MiniKdc;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * A KDC, and an HDFS whose delegation tokens live for seconds.
 *
 * <p>All daemons share one JVM, so they share one principal, {@code hadoop/localhost}. The user is {@code alice}.
 */
final class Kerberos {
  private static final String REALM = "EXAMPLE.COM";
  private static final String DAEMON = "hadoop/localhost@" + REALM;

  private Kerberos() {}

  /**
   * Starts both in {@code directory}, where {@code krb5.conf} and the keytabs of daemons and user then lie.
   *
   * @param conf becomes that of the daemons
   * @param core gets what clients need
   */
  static void start(Path directory, Configuration conf, Configuration core) throws Exception {
    Files.createDirectories(directory);
    MiniKdc kdc = new MiniKdc(MiniKdc.createConf(), directory.toFile());
    kdc.start();
    File keytab = directory.resolve("daemons.keytab").toFile();
    kdc.createPrincipal(keytab, "hadoop/localhost", "HTTP/localhost");
    kdc.createPrincipal(directory.resolve("alice.keytab").toFile(), "alice");

    core.set("hadoop.security.authentication", "kerberos");
    core.set("dfs.namenode.kerberos.principal", DAEMON);
    core.set("dfs.datanode.kerberos.principal", DAEMON);
    core.set("dfs.data.transfer.protection", "authentication");
    core.setBoolean("dfs.block.access.token.enable", true);
    // The ResourceManager is found by its address, and its principal by this name.
    core.set("yarn.resourcemanager.principal", DAEMON);
    core.set("yarn.nodemanager.principal", DAEMON);
    core.forEach(setting -> conf.set(setting.getKey(), setting.getValue()));
    for (String daemon : new String[] {"dfs.namenode", "dfs.datanode"}) {
      conf.set(daemon + ".keytab.file", keytab.getPath());
    }
    for (String daemon : new String[] {"yarn.resourcemanager", "yarn.nodemanager"}) {
      conf.set(daemon + ".keytab", keytab.getPath());
    }
    conf.set("dfs.web.authentication.kerberos.principal", "HTTP/localhost@" + REALM);
    conf.set("dfs.web.authentication.kerberos.keytab", keytab.getPath());
    conf.set("dfs.http.policy", "HTTP_ONLY");
    conf.setBoolean("ignore.secure.ports.for.testing", true);
    conf.setLong("dfs.namenode.delegation.token.renew-interval", 40000);
    conf.setLong("dfs.namenode.delegation.token.max-lifetime", 60000);
    UserGroupInformation.setConfiguration(conf);
    core.set("fs.defaultFS", hdfs(directory, conf));
    conf.set("fs.defaultFS", core.get("fs.defaultFS"));
  }

  /** Starts HDFS, in which everybody may make folders, and returns its URI. */
  private static String hdfs(Path directory, Configuration conf) throws IOException {
    conf.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, directory.resolve("hdfs").toString());
    conf.set("dfs.permissions.enabled", "false");
    MiniDFSCluster hdfs = new MiniDFSCluster.Builder(conf).numDataNodes(1).build();
    hdfs.waitActive();
    return hdfs.getURI().toString();
  }
}
