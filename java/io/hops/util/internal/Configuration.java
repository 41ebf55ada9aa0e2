package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The settings that only this JVM can see: the active SparkConf, system properties and truststores. */
public final class Configuration {
  // Read by the native library: name, value, name, value, …
  private final String[] spark;
  private final String[] properties;
  private String domainCertificates;
  private String jvmCertificates;

  private Configuration(String[] spark, String[] properties) {
    this.spark = spark;
    this.properties = properties;
  }

  /**
   * Reads them as they are at this moment.
   *
   * @return the settings
   * @throws CloudCredentialException when a truststore cannot be read
   */
  public static Configuration read() throws CloudCredentialException {
    Native library = Native.loaded();
    List<String> spark = new ArrayList<>();
    for (Map.Entry<String, String> entry : HostLoader.host().settings().entrySet()) {
      spark.add(entry.getKey());
      spark.add(entry.getValue());
    }
    List<String> properties = new ArrayList<>();
    for (String name : library.propertyNames()) {
      String value = System.getProperty(name);
      if (value != null) {
        properties.add(name);
        properties.add(value);
      }
    }
    Configuration configuration =
        new Configuration(spark.toArray(new String[0]), properties.toArray(new String[0]));
    TrustStore[] stores = library.trustStores(configuration);
    configuration.domainCertificates = stores[0] == null ? null : stores[0].pem();
    configuration.jvmCertificates = stores[1] == null ? null : stores[1].pem();
    return configuration;
  }
}
