package io.hops.util.spark;

import java.net.InetAddress;
import java.net.UnknownHostException;
import org.apache.spark.SparkConf;

/** Whether the connections on which executors get credentials are encrypted. */
final class Encryption {
  private static final String[] SWITCHES = {
    "spark.network.crypto.enabled", "spark.authenticate.enableSaslEncryption", "spark.ssl.rpc.enabled"
  };

  private Encryption() {}

  /** Explains that others on the network can read what executors get; null when they cannot. */
  static String explainClear(SparkConf conf) {
    for (String each : SWITCHES) {
      if (conf.getBoolean(each, false)) {
        return null;
      }
    }
    if (isLoopback(conf.get("spark.driver.host", ""))) {
      return null;
    }
    return "credentials go to the executors in clear, for whoever listens on the network; set spark.authenticate and"
        + " spark.network.crypto.enabled to true";
  }

  /** Returns true if executors can only be on this machine. */
  private static boolean isLoopback(String host) {
    try {
      return !host.isEmpty() && InetAddress.getByName(host).isLoopbackAddress();
    } catch (UnknownHostException e) {
      return false;
    }
  }
}
