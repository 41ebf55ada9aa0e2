package io.hops.util.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What the confs of Spark say about the catalogs of Iceberg. */
class IcebergCatalogTest {
  private static final String FILES = "org.apache.iceberg.aws.s3.S3FileIO";

  /** Makes the confs of one catalog, of names and values by turns. */
  private static Map<String, String> confs(String name, String... options) {
    Map<String, String> confs = new LinkedHashMap<>();
    for (int i = 0; i < options.length; i += 2) {
      confs.put("spark.sql.catalog." + name + "." + options[i], options[i + 1]);
    }
    // Comes last, as it may in confs.
    confs.put("spark.sql.catalog." + name, "org.apache.iceberg.spark.SparkCatalog");
    return confs;
  }

  private static IcebergCatalog only(Map<String, String> confs) {
    List<IcebergCatalog> found = IcebergCatalog.list(confs);
    assertEquals(1, found.size(), found::toString);
    return found.get(0);
  }

  @Test
  void oneWithClientsOfItsOwnIsListedAndOneThatReadsByS3aIsNot() {
    Map<String, String> confs = new LinkedHashMap<>();
    confs.putAll(confs("files", "type", "hadoop", "io-impl", FILES));
    confs.putAll(confs("resolving", "type", "jdbc", "IO-Impl", "org.apache.iceberg.io.ResolvingFileIO"));
    confs.putAll(confs("rest", "type", "REST"));
    confs.putAll(confs("glue", "catalog-impl", "org.apache.iceberg.aws.glue.GlueCatalog"));
    confs.putAll(confs("glue-on-s3a", "type", "glue", "io-impl", "org.apache.iceberg.hadoop.HadoopFileIO"));
    confs.putAll(confs("dynamo", "catalog-impl", "org.apache.iceberg.aws.dynamodb.DynamoDbCatalog"));
    confs.putAll(confs("locked", "type", "hadoop", "lock-impl", "org.apache.iceberg.aws.dynamodb.DynamoDbLockManager"));
    confs.putAll(confs("table-buckets", "catalog-impl", "software.amazon.s3tables.iceberg.S3TablesCatalog"));
    confs.putAll(confs("own-files", "type", "hive", "io-impl", "com.example.FileIO"));
    confs.putAll(confs("google", "type", "rest", "io-impl", "org.apache.iceberg.gcp.gcs.GCSFileIO"));
    confs.putAll(confs("nothing"));
    confs.putAll(confs("jdbc", "catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog"));
    confs.putAll(confs("s3a", "type", "hadoop", "warehouse", "s3a://lake/t"));
    confs.putAll(confs("hive", "type", "hive"));
    confs.putAll(confs("rest-on-s3a", "type", "rest", "io-impl", "org.apache.iceberg.hadoop.HadoopFileIO"));
    confs.put("spark.sql.catalog.foreign", "org.example.Catalog");
    confs.put("spark.sql.catalog.foreign.io-impl", FILES);
    confs.put("spark.sql.catalogImplementation", "hive");

    List<String> names = new ArrayList<>();
    IcebergCatalog.list(confs).forEach(catalog -> names.add(catalog.name));

    assertEquals(
        Arrays.asList("dynamo", "files", "glue", "glue-on-s3a", "locked", "own-files", "resolving", "rest", "table-buckets"), names);
  }

  @Test
  void whatChoosesItsCredentialsIsFoundInAnyCase() {
    String[][] choices = {
      {"client.credentials-provider", "org.example.Provider"},
      {"client.factory", "org.example.Factory"},
      {"s3.client-factory-impl", "org.example.Factory"},
      {"s3.access-key-id", "AKIA"},
      {"client.refresh-credentials-endpoint", "/credentials"},
      {"header.x-iceberg-access-delegation", "vended-credentials"},
      {"client.assume-role.arn", "arn:aws:iam::1:role/a"},
      {"glue.lakeformation-enabled", "True"},
      {"s3.remote-signing-enabled", "true"},
      {"s3.access-grants.enabled", "true"},
    };
    for (String[] choice : choices) {
      assertEquals(choice[0], only(confs("lake", "io-impl", FILES, choice[0], choice[1])).findChoice());
      assertEquals(choice[0], only(confs("lake", "io-impl", FILES, choice[0].toUpperCase(Locale.ROOT), choice[1])).findChoice());
    }
    assertTrue(only(confs("lake", "io-impl", FILES, IcebergCatalog.PROVIDER, IcebergCatalog.OURS)).isTold());
    assertNull(only(confs("lake", "io-impl", FILES, IcebergCatalog.PROVIDER, IcebergCatalog.OURS)).findChoice());
    assertNull(only(confs("lake", "io-impl", FILES, "glue.lakeformation-enabled", "false", "client.region", "eu-north-1")).findChoice());
  }

  @Test
  void itsBucketIsThatOfAWarehouseOnS3AndElseThatOfTheApplication() {
    for (String warehouse : Arrays.asList("s3://lake/w", "s3a://lake", "S3N://lake/w")) {
      assertEquals("lake", only(confs("lake", "io-impl", FILES, "warehouse", warehouse)).bucket(), warehouse);
    }
    for (String warehouse : Arrays.asList("hdfs://lake/w", "a name", "arn:aws:s3tables:eu-north-1:1:bucket/lake", "s3:///w", "/w")) {
      assertEquals("", only(confs("lake", "io-impl", FILES, "warehouse", warehouse)).bucket(), warehouse);
    }
    assertEquals("", only(confs("lake", "io-impl", FILES)).bucket());
  }

  @Test
  void confsOfACatalogThatIsNotNamedAreNone() {
    Map<String, String> confs = confs("lake", "io-impl", FILES);
    confs.remove("spark.sql.catalog.lake");

    assertTrue(IcebergCatalog.list(confs).isEmpty());
  }
}
