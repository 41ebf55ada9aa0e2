package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.Base64;
import java.util.Collections;

/** A truststore file in a format that only Java reads, turned into PEM. */
final class TrustStore {
  private TrustStore() {}

  /** The certificates of the store as PEM; null without a path. A null type means JKS or PKCS12, whichever it is. */
  static String pem(String path, String password, String type) throws CloudCredentialException {
    if (path == null) {
      return null;
    }
    char[] secret = password == null ? null : password.toCharArray();
    try {
      KeyStore store = KeyStore.getInstance(type == null ? "JKS" : type);
      try (InputStream in = Files.newInputStream(Paths.get(path))) {
        store.load(in, secret);
      }
      StringBuilder pem = new StringBuilder();
      for (String alias : Collections.list(store.aliases())) {
        Certificate certificate = store.getCertificate(alias);
        if (certificate != null) {
          append(pem, certificate);
        }
      }
      if (pem.length() == 0) {
        throw new CloudCredentialException(
            "truststore " + path + " holds no certificate; give one that holds the certificate authority of the server");
      }
      return pem.toString();
    } catch (IOException | GeneralSecurityException e) {
      throw new CloudCredentialException("cannot read truststore " + path, e, 0);
    }
  }

  private static void append(StringBuilder pem, Certificate certificate)
      throws GeneralSecurityException {
    Base64.Encoder encoder = Base64.getMimeEncoder(64, "\n".getBytes(StandardCharsets.US_ASCII));
    pem.append("-----BEGIN CERTIFICATE-----\n")
        .append(encoder.encodeToString(certificate.getEncoded()))
        .append("\n-----END CERTIFICATE-----\n");
  }
}
