package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.UnrecoverableKeyException;
import java.security.cert.Certificate;
import java.util.Base64;
import java.util.Collections;

/** A truststore in a format that only Java can read. */
final class TrustStore {
  private final String path;
  private final String setting;
  private final String password;
  private final String passwordSetting;
  private final String type;

  /** Called by the native library with the store to read, and with the names of its settings for messages. */
  private TrustStore(
      String path, String setting, String password, String passwordSetting, String type) {
    this.path = path;
    this.setting = setting;
    this.password = password;
    this.passwordSetting = passwordSetting;
    this.type = type;
  }

  /** Reads the certificates of the store as PEM. */
  String pem() throws CloudCredentialException {
    StringBuilder pem = new StringBuilder();
    try (InputStream in = Files.newInputStream(Paths.get(path))) {
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
    } catch (IOException | GeneralSecurityException e) {
      throw unusable(problem(e), e);
    }
    if (pem.length() == 0) {
      throw unusable(
          password == null
              ? "without a password it shows no certificate; set " + passwordSetting
              : "it holds no certificate; add that of the authority which signed the server's",
          null);
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
