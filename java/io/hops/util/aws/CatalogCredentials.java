package io.hops.util.aws;

import io.hops.util.internal.LiveRole;
import java.lang.reflect.InvocationTargetException;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;

/**
 * Gives an Iceberg catalog the credentials that its server vends for a table, and those of the role in use where it vends none.
 * {@code assumeRole} names this class for the catalogs of Spark whose credentials nobody has chosen. Whoever wants the role
 * always names {@link CredentialsProviderV2}.
 *
 * <p>Problem: Iceberg prefers {@code client.credentials-provider} to what a REST catalog vends, and whether it vends is not known
 * before its answer. Solution: since 1.11 Iceberg hands all properties of a table to the provider, those that are vended too.
 */
public abstract class CatalogCredentials implements AwsCredentialsProvider {
  private static final String REFRESH_ENDPOINT = "client.refresh-credentials-endpoint";

  private CatalogCredentials() {}

  /**
   * Makes the provider of a catalog, a table or a part of one.
   *
   * @param properties those of Iceberg's FileIO, and what stands behind {@code client.credentials-provider.} under its own name;
   *     {@code warehouse-bucket} names the bucket whose role counts
   * @return the provider
   * @throws IllegalStateException when this Iceberg cannot refresh what the catalog vends
   */
  public static AwsCredentialsProvider create(Map<String, String> properties) {
    String accessKeyId = properties.get("s3.access-key-id");
    String secretAccessKey = properties.get("s3.secret-access-key");
    String sessionToken = properties.get("s3.session-token");
    boolean mayRefresh = !"false".equalsIgnoreCase(properties.get("client.refresh-credentials-enabled"));
    if (properties.get(REFRESH_ENDPOINT) != null && mayRefresh) {
      return refreshing(properties);
    }
    if (accessKeyId == null || secretAccessKey == null) {
      return CredentialsProviderV2.forBucket(properties.getOrDefault("warehouse-bucket", LiveRole.APPLICATION));
    }
    return StaticCredentialsProvider.create(
        sessionToken == null
            ? AwsBasicCredentials.create(accessKeyId, secretAccessKey)
            : AwsSessionCredentials.create(accessKeyId, secretAccessKey, sessionToken));
  }

  private static AwsCredentialsProvider refreshing(Map<String, String> properties) {
    try {
      ClassLoader loader = Thread.currentThread().getContextClassLoader();
      Class<?> type = Class.forName("org.apache.iceberg.aws.s3.VendedCredentialsProvider", true, loader);
      return (AwsCredentialsProvider) type.getMethod("create", Map.class).invoke(null, properties);
    } catch (InvocationTargetException e) {
      throw new IllegalStateException("the credentials that the catalog vends cannot be refreshed: " + e.getCause(), e.getCause());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("this version of Iceberg cannot refresh the credentials that the catalog vends", e);
    }
  }
}
