package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import io.hops.util.exceptions.CloudCredentialException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyStore;
import java.util.Collections;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A server whose certificate is trusted only through a truststore. */
class TrustStoreTest {
  private static final char[] PASSWORD = Secrets.STORE_PASSWORD.toCharArray();

  @TempDir static Path directory;
  private static KeyStore server;
  private static Loopback https;

  @BeforeAll
  static void startServer() throws Exception {
    Path store = directory.resolve("server.p12");
    ProcessBuilder keytool =
        new ProcessBuilder(
                System.getProperty("java.home") + "/bin/keytool",
                // JDK 8 and 11 sign certificates for elliptic curves in a way that rustls refuses.
                "-genkeypair", "-alias", "server", "-keyalg", "RSA", "-dname", "CN=127.0.0.1",
                "-ext", "san=ip:127.0.0.1", "-validity", "30",
                "-storetype", "PKCS12", "-keystore", store.toString(), "-storepass:env", "STOREPASS")
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("keytool.log").toFile());
    keytool.environment().put("STOREPASS", Secrets.STORE_PASSWORD);
    assertEquals(0, keytool.start().waitFor());
    server = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(store)) {
      server.load(in, PASSWORD);
    }
    KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    keys.init(server, PASSWORD);
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(keys.getKeyManagers(), null, null);
    HttpsServer listener = HttpsServer.create(Loopback.anyPort(), 0);
    listener.setHttpsConfigurator(new HttpsConfigurator(tls));
    https = new Loopback(listener, "https");
    String reader = RoleMappingServer.mapping(1, "ALL", RoleMappingServer.READER, true);
    https.on(RoleMappingServer.MAPPINGS + "/1", 200, reader);
  }

  @AfterAll
  static void stopServer() {
    https.close();
  }

  @BeforeEach
  void leadHere() {
    https.requests.clear();
    System.setProperty("hopsworks.restendpoint", https.url());
    System.setProperty("hopsworks.projectid", "7");
    System.setProperty("hopsworks.apikey", Secrets.API_KEY);
  }

  @AfterEach
  void leadAway() {
    for (String name :
        new String[] {
          "hopsworks.restendpoint",
          "hopsworks.projectid",
          "hopsworks.apikey",
          "hopsworks.domain.truststore",
          "hopsworks.domain.truststore.password",
          "javax.net.ssl.trustStore",
          "javax.net.ssl.trustStorePassword"
        }) {
      System.clearProperty(name);
    }
  }

  private static Path store(String type, char[] password, boolean withCertificate) throws Exception {
    KeyStore store = KeyStore.getInstance(type);
    store.load(null, null);
    if (withCertificate) {
      store.setCertificateEntry("server", server.getCertificate("server"));
    }
    Path path = Files.createTempFile(directory, "trust", ".store");
    try (OutputStream out = Files.newOutputStream(path)) {
      store.store(out, password);
    }
    return path;
  }

  private static void trust(Path store, String password) {
    System.setProperty("hopsworks.domain.truststore", store.toString());
    if (password != null) {
      System.setProperty("hopsworks.domain.truststore.password", password);
    }
  }

  private static CloudCredentialException check(Path store, String problem) {
    CloudCredentialException refused =
        assertThrows(CloudCredentialException.class, () -> CredentialsProvider.getRole(1));
    assertEquals(
        "cannot use truststore "
            + store
            + ", which hopsworks.domain.truststore / DOMAIN_CA_TRUSTSTORE names: "
            + problem,
        refused.getMessage());
    assertEquals(0, refused.getCode());
    assertEquals(Collections.emptyList(), https.requests);
    return refused;
  }

  @Test
  void theStoreOfTheJvmVouchesWhereNoPropertyNamesOneAndIsReadAgainWhenItChanges() throws Exception {
    String home = System.getProperty("java.home");
    Path security = Files.createDirectories(Files.createTempDirectory(directory, "jvm").resolve("lib/security"));
    try {
      System.setProperty("java.home", security.getParent().getParent().toString());
      Files.copy(store("JKS", PASSWORD, false), security.resolve("cacerts"));
      assertThrows(CloudCredentialException.class, () -> CredentialsProvider.getRole(1));
      Files.copy(store("JKS", PASSWORD, true), security.resolve("cacerts"), StandardCopyOption.REPLACE_EXISTING);
      assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole(1));
      System.setProperty("javax.net.ssl.trustStore", "NONE");
      assertThrows(CloudCredentialException.class, () -> CredentialsProvider.getRole(1));
      System.clearProperty("javax.net.ssl.trustStore");
      // JSSE prefers this one, and nobody named it, so that it cannot be read ends nothing.
      Files.write(security.resolve("jssecacerts"), new byte[] {1});
      assertThrows(CloudCredentialException.class, () -> CredentialsProvider.getRole(1));
      Files.copy(store("JKS", PASSWORD, true), security.resolve("jssecacerts"), StandardCopyOption.REPLACE_EXISTING);
      assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole(1));
    } finally {
      System.setProperty("java.home", home);
    }
  }

  @Test
  void aStoreOfEitherFormatVouchesForTheServer() throws Exception {
    for (String type : new String[] {"JKS", "PKCS12"}) {
      trust(store(type, PASSWORD, true), Secrets.STORE_PASSWORD);
      assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole(1), type);
    }
  }

  @Test
  void aJksStoreNeedsNoPassword() throws Exception {
    trust(store("JKS", PASSWORD, true), null);
    assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole(1));
  }

  @Test
  void theStoreOfTheJvmVouchesForTheServer() throws Exception {
    System.setProperty("javax.net.ssl.trustStore", store("PKCS12", PASSWORD, true).toString());
    System.setProperty("javax.net.ssl.trustStorePassword", Secrets.STORE_PASSWORD);
    assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole(1));
  }

  @Test
  void javasWordForNoStoreIsNotAFile() {
    System.setProperty("javax.net.ssl.trustStore", "NONE");
    CloudCredentialException refused =
        assertThrows(CloudCredentialException.class, () -> CredentialsProvider.getRole(1));
    assertEquals(
        "reading role mapping 1 for project 7 at "
            + https.url()
            + " failed: invalid peer certificate: UnknownIssuer; name the authority that issued it by"
            + " DOMAIN_CA_TRUSTSTORE_PEM or hopsworks.domain.truststore / DOMAIN_CA_TRUSTSTORE",
        refused.getMessage());
  }

  @Test
  void aWrongPasswordIsNamedByItsSetting() throws Exception {
    for (String type : new String[] {"JKS", "PKCS12"}) {
      Path store = store(type, PASSWORD, true);
      trust(store, "wrong");
      assertNotNull(
          check(
                  store,
                  "the password is wrong; correct hopsworks.domain.truststore.password /"
                      + " DOMAIN_CA_TRUSTSTORE_PASSWORD")
              .getCause());
    }
  }

  @Test
  void aPkcs12StoreWithoutItsPasswordAsksForIt() throws Exception {
    Path store = store("PKCS12", PASSWORD, true);
    trust(store, null);
    check(
        store,
        "without a password it shows no certificate; set hopsworks.domain.truststore.password /"
            + " DOMAIN_CA_TRUSTSTORE_PASSWORD");
  }

  @Test
  void aStoreWithoutACertificateIsAnError() throws Exception {
    Path store = store("JKS", PASSWORD, false);
    trust(store, Secrets.STORE_PASSWORD);
    check(store, "it holds no certificate; add that of the authority which signed the server's");
  }

  @Test
  void aFileThatIsNotAStoreIsAnError() throws Exception {
    byte[] junk = "junk, and more of it than a header has".getBytes(StandardCharsets.UTF_8);
    Path store = Files.write(directory.resolve("junk.jks"), junk);
    trust(store, Secrets.STORE_PASSWORD);
    check(store, "it is neither a JKS nor a PKCS12 store; give one made by keytool");
    Files.write(store, new byte[0]);
    check(store, "it is neither a JKS nor a PKCS12 store; give one made by keytool");
  }

  @Test
  void aStoreThatIsNotThereIsAnError() {
    Path store = directory.resolve("nowhere.jks");
    trust(store, null);
    check(store, "there is no such file; correct the path");
  }
}
