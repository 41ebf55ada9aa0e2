package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.io.Serializable;
import java.time.Instant;
import org.junit.jupiter.api.Test;

class CredentialsTest {
  @Test
  void toStringShowsNeitherSecretAccessKeyNorSessionToken() {
    Credentials credentials =
        new Credentials(
            "ASIAEXAMPLE",
            Secrets.SECRET_ACCESS_KEY,
            Secrets.SESSION_TOKEN,
            Instant.parse("2030-01-01T00:00:00Z"),
            "arn:aws:iam::123456789012:role/reader");
    assertEquals(
        "Credentials{accessKeyId=ASIAEXAMPLE, secretAccessKey=***, sessionToken=***,"
            + " expiration=2030-01-01T00:00:00Z, roleArn=arn:aws:iam::123456789012:role/reader}",
        credentials.toString());
  }

  @Test
  void isABeanAsItWasInHopsUtil() {
    Credentials credentials = new Credentials();
    credentials.setAccessKeyId("a");
    credentials.setSecretAccessKey("b");
    credentials.setSessionToken("c");
    assertEquals("a", credentials.getAccessKeyId());
    assertEquals("b", credentials.getSecretAccessKey());
    assertEquals("c", credentials.getSessionToken());
    assertEquals("b", new Credentials("a", "b", "c").getSecretAccessKey());
    assertNull(new Credentials("a", "b", "c").getExpiration());
    assertNull(new Credentials("a", "b", "c").getRoleArn());
  }

  @Test
  void doesNotTravelInAClosure() {
    assertFalse(Serializable.class.isAssignableFrom(Credentials.class));
  }

  @Test
  void theExceptionKeepsTheConstructorsOfHopsUtil() {
    Exception cause = new Exception("below");
    assertEquals("text", new CloudCredentialException("text").getMessage());
    assertEquals(0, new CloudCredentialException("text").getCode());
    assertEquals(cause, new CloudCredentialException(cause).getCause());
    assertEquals(380003, new CloudCredentialException("text", cause, 380003).getCode());
    assertEquals(CloudCredentialException.Kind.OTHER, new CloudCredentialException("text").getKind());
  }
}
