package io.hops.util.spark;

import io.hops.util.internal.LiveRole;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * A catalog of Iceberg that the confs of Spark name.
 *
 * <p>Source of the rules: Iceberg 1.12, {@code AwsClientProperties}, {@code AwsClientFactories}, {@code S3FileIOProperties}.
 */
final class IcebergCatalog {
  /** What makes a catalog get its credentials from a class; Iceberg prefers it to all but the choices of the user here. */
  static final String PROVIDER = "client.credentials-provider";

  /** The class that catalogs are told. Not that which users name, so that a choice of theirs is known as such. */
  static final String OURS = "io.hops.util.aws.CatalogCredentials";

  /** Handed to our class: the bucket whose role counts, if it has one. Not the option of users, so that theirs stays. */
  static final String WAREHOUSE_BUCKET = PROVIDER + ".warehouse-bucket";

  private static final String CONF = "spark.sql.catalog.";
  private static final Set<String> CLASSES =
      new HashSet<>(Arrays.asList("org.apache.iceberg.spark.SparkCatalog", "org.apache.iceberg.spark.SparkSessionCatalog"));

  /** Read by Hadoop, or by clients of other clouds. */
  private static final List<String> OTHER_FILES = Arrays.asList("HadoopFileIO", "GCSFileIO", "ADLSFileIO");

  /** Those whose files Hadoop reads unless {@code io-impl} says otherwise; by name of the type, and of the class. */
  private static final List<String> ON_HADOOP = Arrays.asList("hadoop", "hive", "jdbc", "nessie");

  private static final List<String> ON_HADOOP_CLASSES = Arrays.asList("HadoopCatalog", "HiveCatalog", "JdbcCatalog", "NessieCatalog");

  /** By any of these the user, or the server of the catalog, chooses the credentials. */
  private static final List<String> CHOICES =
      Arrays.asList(
          "client.factory",
          "s3.client-factory-impl",
          "s3.access-key-id",
          "client.refresh-credentials-endpoint",
          "header.x-iceberg-access-delegation");

  private static final String ASSUMED_ROLE = "client.assume-role.";
  private static final List<String> SWITCHES =
      Arrays.asList("glue.lakeformation-enabled", "s3.remote-signing-enabled", "s3.access-grants.enabled");

  /** The schemes of paths that S3FileIO reads. */
  static final List<String> SCHEMES = Arrays.asList("s3", "s3a", "s3n");

  final String name;
  private final Map<String, String> options;

  private IcebergCatalog(String name, Map<String, String> options) {
    this.name = name;
    this.options = options;
  }

  /** Lists the catalogs in some confs that use clients of AWS themselves. The others read by S3A. */
  static List<IcebergCatalog> list(Map<String, String> confs) {
    Map<String, Map<String, String>> options = new TreeMap<>();
    confs.forEach(
        (key, value) -> {
          String name = key.startsWith(CONF) ? key.substring(CONF.length()) : ".";
          if (name.indexOf('.') < 0 && CLASSES.contains(value)) {
            options.put(name, new TreeMap<>());
          }
        });
    confs.forEach(
        (key, value) -> {
          int end = key.startsWith(CONF) ? key.indexOf('.', CONF.length()) : -1;
          Map<String, String> known = end < 0 ? null : options.get(key.substring(CONF.length(), end));
          if (known != null) {
            // Iceberg does not mind the case.
            known.put(key.substring(end + 1).toLowerCase(Locale.ROOT), value);
          }
        });
    List<IcebergCatalog> found = new ArrayList<>();
    options.forEach((name, own) -> found.add(new IcebergCatalog(name, own)));
    found.removeIf(catalog -> !catalog.usesClients());
    return found;
  }

  private boolean usesClients() {
    String files = options.get("io-impl");
    return isOnAws()
        || "org.apache.iceberg.aws.dynamodb.DynamoDbLockManager".equals(options.get("lock-impl"))
        || (files == null ? !isOnHadoop() : !OTHER_FILES.contains(simple(files)));
  }

  private boolean isOnHadoop() {
    String implementation = options.get("catalog-impl");
    return implementation == null
        ? ON_HADOOP.contains(options.getOrDefault("type", "hive").toLowerCase(Locale.ROOT))
        : ON_HADOOP_CLASSES.contains(simple(implementation));
  }

  /** Returns true if the catalog itself is a service of AWS, which is asked with the credentials of its files. */
  boolean isOnAws() {
    return isOfType("glue", "GlueCatalog") || isOfType("", "DynamoDbCatalog");
  }

  /** Returns true if the catalog is a server, which may vend credentials. */
  boolean isRest() {
    return isOfType("rest", "RESTCatalog");
  }

  private boolean isOfType(String type, String implementation) {
    return type.equalsIgnoreCase(options.get("type")) || implementation.equals(simple(options.getOrDefault("catalog-impl", "")));
  }

  private static String simple(String type) {
    return type.substring(type.lastIndexOf('.') + 1);
  }

  /** Returns true if our provider has been named for the catalog. */
  boolean isTold() {
    return OURS.equals(options.get(PROVIDER));
  }

  /** Finds what else chooses the credentials: the name of an option; null for none. */
  String findChoice() {
    if (options.containsKey(PROVIDER) && !isTold()) {
      return PROVIDER;
    }
    for (String option : CHOICES) {
      if (options.containsKey(option)) {
        return option;
      }
    }
    for (String option : SWITCHES) {
      if ("true".equalsIgnoreCase(options.get(option))) {
        return option;
      }
    }
    return options.keySet().stream().filter(option -> option.startsWith(ASSUMED_ROLE)).findFirst().orElse(null);
  }

  /** Returns the bucket in which new tables lie, or that of the application where the confs do not say. */
  String bucket() {
    try {
      URI warehouse = new URI(options.getOrDefault("warehouse", ""));
      boolean isOnS3 = warehouse.getScheme() != null && SCHEMES.contains(warehouse.getScheme().toLowerCase(Locale.ROOT));
      return isOnS3 && warehouse.getAuthority() != null ? warehouse.getAuthority() : LiveRole.APPLICATION;
    } catch (URISyntaxException e) {
      return LiveRole.APPLICATION;
    }
  }

  /** Returns the full name of the conf of an option. */
  String key(String option) {
    return CONF + name + "." + option;
  }
}
