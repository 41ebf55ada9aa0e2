package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.UnrecoverableKeyException;
import java.security.cert.Certificate;
import java.util.AbstractMap;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** A truststore in a format that only Java can read. */
final class TrustStore {
  /**
   * The stores that JSSE takes where no property names one, in their order.
   *
   * <p>Source: JSSE reference guide, "TrustManagerFactory".
   */
  private static final String[] OF_JVM = {"jssecacerts", "cacerts"};

  /** The store of the JVM as it was last read: its path, time and size, and the certificates. */
  private static volatile Map.Entry<List<Object>, String> lastOfJvm;

  private final String path;
  private final String setting;
  private final String password;
  private final String passwordSetting;
  private final String type;

  /**
   * Called by the native library with the store to read, and with the names of its settings for messages. Without a path it is
   * the JVM's own.
   */
  private TrustStore(
      String path, String setting, String password, String passwordSetting, String type) {
    this.path = path;
    this.setting = setting;
    this.password = password;
    this.passwordSetting = passwordSetting;
    this.type = type;
  }

  /** Reads the certificates of the store as PEM; null where the JVM has none of its own. */
  String pem() throws CloudCredentialException {
    if (path == null) {
      return readOfJvm();
    }
    String pem;
    try {
      pem = read(Paths.get(path));
    } catch (IOException | GeneralSecurityException e) {
      throw unusable(problem(e), e);
    }
    if (pem.isEmpty()) {
      throw unusable(
          password == null
              ? "without a password it shows no certificate; set " + passwordSetting
              : "it holds no certificate; add that of the authority which signed the server's",
          null);
    }
    return pem;
  }

  /** Nobody named this one, so one that cannot be read counts as none. It is read again when it has changed. */
  private String readOfJvm() {
    for (String name : OF_JVM) {
      Path store = Paths.get(System.getProperty("java.home"), "lib", "security", name);
      if (Files.isReadable(store)) {
        try {
          List<Object> key = Arrays.asList(store, Files.getLastModifiedTime(store), Files.size(store));
          Map.Entry<List<Object>, String> last = lastOfJvm;
          if (last == null || !last.getKey().equals(key)) {
            last = new AbstractMap.SimpleImmutableEntry<>(key, read(store));
            lastOfJvm = last;
          }
          return last.getValue().isEmpty() ? null : last.getValue();
        } catch (IOException | GeneralSecurityException e) {
          return null;
        }
      }
    }
    return null;
  }

  private String read(Path file) throws IOException, GeneralSecurityException {
    StringBuilder pem = new StringBuilder();
    try (InputStream in = Files.newInputStream(file)) {
      KeyStore store = KeyStore.getInstance(type == null ? "JKS" : type); // JKS also reads PKCS12
      store.load(in, password == null ? null : password.toCharArray());
      Base64.Encoder encoder = Base64.getMimeEncoder(64, "\n".getBytes(StandardCharsets.US_ASCII));
      for (String alias : Collections.list(store.aliases())) {
        Certificate certificate = store.getCertificate(alias);
        if (certificate != null) {
          pem.append("-----BEGIN CERTIFICATE-----\n")
              .append(encoder.encodeToString(certificate.getEncoded()))
              .append("\n-----END CERTIFICATE-----\n");
        }
      }
    }
    return pem.toString();
  }

  private String problem(Exception e) {
    if (e instanceof NoSuchFileException) {
      return "there is no such file; correct the path";
    }
    if (e instanceof AccessDeniedException) {
      return "it may not be read; give this user the permission";
    }
    if (e.getCause() instanceof UnrecoverableKeyException) {
      return "the password is wrong; correct " + passwordSetting;
    }
    return "it is neither a JKS nor a PKCS12 store; give one made by keytool";
  }

  private CloudCredentialException unusable(String problem, Exception cause) {
    return new CloudCredentialException(
        "cannot use truststore " + path + ", which " + setting + " names: " + problem, cause, 0);
  }
}
