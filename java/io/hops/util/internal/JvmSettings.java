package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The settings that only this JVM can see: those in the active SparkConf, in system properties and in truststores. */
public final class JvmSettings {
  // The native library reads these: name, value, name, value, …
  private final String[] spark;
  private final String[] properties;
  private String domainCertificates;
  private String jvmCertificates;
  private String[] base = {};

  private JvmSettings(String[] spark, String[] properties) {
    this.spark = spark;
    this.properties = properties;
  }

  /**
   * Reads them as they are at this moment, without the truststores.
   *
   * @return the settings
   * @throws CloudCredentialException when there is no native library
   */
  public static JvmSettings read() throws CloudCredentialException {
    Map<String, String> application = HostLoader.host().settings();
    List<String> spark = new ArrayList<>();
    List<String> properties = new ArrayList<>();
    for (Setting setting : Native.loaded().settings()) {
      if (setting.spark != null) {
        add(spark, setting.spark, application.get(setting.spark));
      }
      if (setting.property != null) {
        add(properties, setting.property, System.getProperty(setting.property));
      }
    }
    return new JvmSettings(spark.toArray(new String[0]), properties.toArray(new String[0]));
  }

  /**
   * Reads them as they are at this moment, with the certificates of the truststores that they name, and with the
   * variables of the base identity.
   *
   * @return the settings
   * @throws CloudCredentialException when a truststore cannot be read
   */
  public static JvmSettings readWithCertificates() throws CloudCredentialException {
    JvmSettings settings = read();
    settings.base = EnvironmentEffect.readBase();
    TrustStore[] stores = Native.loaded().trustStores(settings);
    settings.domainCertificates = stores[0] == null ? null : stores[0].pem();
    settings.jvmCertificates = stores[1] == null ? null : stores[1].pem();
    return settings;
  }

  private static void add(List<String> pairs, String name, String value) {
    if (value != null) {
      pairs.add(name);
      pairs.add(value);
    }
  }

  /** Shows each setting with the value that counts, those of the environment included; never a secret. */
  @Override
  public String toString() {
    try {
      return Native.loaded().show(this);
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("the library that gave the names is loaded", e);
    }
  }
}
