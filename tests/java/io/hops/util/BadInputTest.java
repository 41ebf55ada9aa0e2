package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertThrowsExactly;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.exceptions.CloudCredentialException;
import io.hops.util.exceptions.CloudCredentialException.Kind;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Every failure to get credentials has one clear message and changes nothing. */
class BadInputTest {
  private static final String READER = RoleMappingServer.READER;
  private static final String FAILED = "io.hops.util.exceptions.CloudCredentialException: ";
  private static final String CHECK_SERVER =
      "; check that hopsworks.restendpoint / REST_ENDPOINT names a role-mapping server, else ask its administrator";
  private static final String CHECK_NETWORK =
      "; check hopsworks.restendpoint / REST_ENDPOINT, the network and the proxy settings";

  private RoleMappingServer server;
  private String attempt;

  @BeforeEach
  void startServer() throws IOException {
    server = new RoleMappingServer();
    attempt = "assuming role " + READER + " for project 7 at " + server.http.url();
  }

  @AfterEach
  void stopServer() {
    server.close();
  }

  private CloudCredentialException check(String message, int code, int requests) {
    Map<String, String> before = new HashMap<>(System.getenv());
    CloudCredentialException refused =
        assertThrowsExactly(CloudCredentialException.class, () -> CredentialsProvider.assumeRole(READER));
    assertEquals(message, refused.getMessage());
    assertEquals(code, refused.getCode());
    assertEquals(requests, server.http.requests.size());
    assertEquals(before, System.getenv());
    return refused;
  }

  private void answer(int status, String body) {
    server.http.on(RoleMappingServer.TOKEN, status, body);
  }

  private void checkRefused(int status, int code, String remedy) {
    answer(status, RoleMappingServer.error(code, "the server's reason"));
    CloudCredentialException refused =
        check(
            attempt + " was refused: HTTP " + status + ", code " + code + ": \"the server's reason\"; " + remedy, code, 1);
    assertEquals(Kind.REFUSED, refused.getKind());
    assertFalse(refused.isRetryable());
  }

  @Test
  void aRoleThatIsNotMapped() {
    checkRefused(
        400,
        380003,
        "ask the administrator to map the role to the project, or take one from the list of role mappings");
  }

  @Test
  void aListOfBucketsThatIsEmptyIsNotTheWholeApplication() {
    CredentialsProvider.AssumeRoleRequest request = CredentialsProvider.AssumeRoleRequest.builder().setRoleArn(READER);
    IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, () -> request.forBucket().send());
    assertEquals("invalid buckets: there are none; leave forBucket out for the role of the application", refused.getMessage());
    assertEquals(0, server.http.requests.size());
  }

  @Test
  void aRoleMappedToTheOtherProjectRole() {
    checkRefused(403, 380002, "ask the administrator to map the role to your project role");
  }

  @Test
  void aRoleThatStsRefuses() {
    checkRefused(
        400,
        380001,
        "ask the administrator whether the role trusts the base identity of the server and allows the duration");
  }

  @Test
  void aClusterWithoutTheFeature() {
    checkRefused(
        405,
        380000,
        "cloud roles are switched off there: ask its administrator to enable them, or use a role-mapping server");
  }

  @Test
  void aProjectOfWhichTheCallerIsNotAMember() {
    answer(403, RoleMappingServer.error(150068, "no access"));
    check(attempt + " was refused: HTTP 403, code 150068: \"no access\"; check hopsworks.projectid / HOPSWORKS_PROJECT_ID: only members of a project may ask", 403, 1);
  }

  @Test
  void aKeyThatTheServerDoesNotKnow() {
    answer(401, RoleMappingServer.error(160000, "unauthorized"));
    check(attempt + " was refused: HTTP 401, code 160000: \"unauthorized\"; hopsworks.apikey / API_KEY is not accepted: create a new API key; an old Hopsworks accepts only a token file here", 401, 1);
  }

  @Test
  void htmlOfAProxy() {
    server.http.on(
        RoleMappingServer.TOKEN, 200, "text/html", "<html>log in</html>".getBytes(StandardCharsets.UTF_8));
    CloudCredentialException failed = check(attempt + " failed: the answer is HTML, not JSON" + CHECK_SERVER, 200, 1);
    assertEquals(Kind.BAD_ANSWER, failed.getKind());
    assertFalse(failed.isRetryable());
  }

  @Test
  void aTruncatedAnswer() {
    String whole = RoleMappingServer.credentials("ASIAREADER", "");
    answer(200, whole.substring(0, whole.length() - 20));
    check(attempt + " failed: the answer is cut off" + CHECK_SERVER, 200, 1);
  }

  @Test
  void anEmptyAnswer() {
    answer(200, "");
    check(attempt + " failed: the answer is empty" + CHECK_SERVER, 200, 1);
  }

  @Test
  void anOversizedAnswer() {
    char[] padding = new char[5 << 20];
    Arrays.fill(padding, ' ');
    answer(200, new String(padding) + RoleMappingServer.credentials("ASIAREADER", ""));
    check(attempt + " failed: the answer is larger than 1 MiB" + CHECK_SERVER, 200, 1);
  }

  @Test
  void anAnswerThatIsNotUtf8() {
    server.http.on(RoleMappingServer.TOKEN, 200, "application/json", new byte[] {'{', (byte) 0xff, '}'});
    check(attempt + " failed: the answer is not UTF-8" + CHECK_SERVER, 200, 1);
  }

  @Test
  void anAnswerWithoutASessionToken() {
    answer(200, "{\"accessKeyId\":\"ASIAREADER\",\"secretAccessKey\":\"" + Secrets.SECRET_ACCESS_KEY + "\"}");
    check(attempt + " failed: the field sessionToken is missing or empty" + CHECK_SERVER, 200, 1);
  }

  @Test
  void anAnswerWithASecretThatNoVariableCanHold() {
    answer(
        200,
        "{\"accessKeyId\":\"ASIAREADER\",\"secretAccessKey\":\"a\\u0000b\",\"sessionToken\":\"c\"}");
    check(attempt + " failed: the field secretAccessKey is not readable" + CHECK_SERVER, 200, 1);
  }

  @Test
  void credentialsThatAreExpiredByTheAnswersOwnDate() {
    answer(200, RoleMappingServer.credentials("ASIAREADER", ",\"expiration\":\"2001-01-01T00:00:00Z\""));
    CloudCredentialException refused =
        assertThrows(CloudCredentialException.class, () -> CredentialsProvider.assumeRole(READER));
    assertEquals(
        attempt + " failed: the credentials in the answer end at 2001-01-01T00:00:00Z, and it was made at <Date>" + CHECK_SERVER,
        refused.getMessage().replaceAll("made at [0-9TZ:-]+", "made at <Date>"));
  }

  @Test
  void anEndpointWhereNobodyListens() throws IOException {
    String url;
    try (ServerSocket closed = new ServerSocket(0, 1, Loopback.anyPort().getAddress())) {
      url = "http://127.0.0.1:" + closed.getLocalPort();
    }
    System.setProperty("hopsworks.restendpoint", url);
    attempt = attempt.replace(server.http.url(), url);
    CloudCredentialException failed =
        check(attempt + " failed: no connection: Connection refused (os error 111)" + CHECK_NETWORK, 0, 0);
    assertNotNull(failed.getCause());
    assertEquals(Kind.UNAVAILABLE, failed.getKind());
    assertTrue(failed.isRetryable());
  }

  @Test
  void anEndpointThatDoesNotSpeakHttp() throws IOException {
    try (ServerSocket other = new ServerSocket(0, 8, Loopback.anyPort().getAddress())) {
      Thread greeter =
          new Thread(
              () -> {
                while (true) {
                  try (Socket socket = other.accept()) {
                    socket.getOutputStream().write("SSH-2.0-OpenSSH_9.2\r\n".getBytes(StandardCharsets.US_ASCII));
                    socket.getInputStream().read(new byte[4096]);
                  } catch (IOException closed) {
                    return;
                  }
                }
              });
      greeter.start();
      String url = "http://127.0.0.1:" + other.getLocalPort();
      System.setProperty("hopsworks.restendpoint", url);
      check(attempt.replace(server.http.url(), url) + " failed: what answers there does not speak HTTP" + CHECK_NETWORK, 0, 0);
    }
  }

  @Test
  void anEndpointWithoutAProject() {
    System.clearProperty("hopsworks.projectid");
    check(
        "hopsworks.restendpoint / REST_ENDPOINT is set, but hopsworks.projectid / HOPSWORKS_PROJECT_ID is not; set"
            + " hopsworks.projectid / HOPSWORKS_PROJECT_ID to the number of the project",
        0,
        0);
  }

  @Test
  void aProjectNameInsteadOfItsId() {
    System.setProperty("hopsworks.projectid", "churn");
    check(
        "hopsworks.projectid / HOPSWORKS_PROJECT_ID is \"churn\", which is not a number; set it to the number of the"
            + " project, not its name",
        0,
        0);
  }

  @Test
  void aSwitchWithAValueThatIsNeitherTrueNorFalse() {
    for (String name : new String[] {"require-live", "static-keys", "worker-endpoint"}) {
      System.setProperty("hops.credentials." + name, "yes");
      try {
        String variable = name.toUpperCase(Locale.ROOT).replace('-', '_');
        CloudCredentialException refused =
            check(
                "hops.credentials." + name + " / HOPS_CREDENTIALS_" + variable + " is \"yes\"; set it to true or false",
                0,
                0);
        assertEquals(Kind.NOT_CONFIGURED, refused.getKind());
      } finally {
        System.clearProperty("hops.credentials." + name);
      }
    }
  }

  private static void checkChild(String answer, ChildJvm jvm, String... program) throws Exception {
    assertEquals(answer, jvm.run(Program.class, program));
  }

  @Test
  void noSettingsAtAll() throws Exception {
    String answer =
        FAILED
            + "no role is named, and neither hopsworks.restendpoint / REST_ENDPOINT nor hops.cloud.roles / HOPS_CLOUD_ROLES is set;"
            + " set hopsworks.restendpoint / REST_ENDPOINT for a role-mapping server, or hops.cloud.roles /"
            + " HOPS_CLOUD_ROLES to role ARNs, or name a role\n";
    checkChild(answer + answer + "null\n", new ChildJvm(), "roles", "default", "environment");
  }

  @Test
  void noBaseIdentity() throws Exception {
    checkChild(
        FAILED
            + "no base identity to call STS with: AWS_ACCESS_KEY_ID is not set, the profile \"default\" has no"
            + " credentials, there is no web identity and no container identity, and the instance metadata service is"
            + " switched off (AWS_EC2_METADATA_DISABLED); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE,"
            + " or run where a service account, a container or an instance profile gives an identity\nnull\n",
        new ChildJvm(),
        READER,
        "environment");
  }

  @Test
  void noLogin() throws Exception {
    ChildJvm jvm =
        new ChildJvm()
            .environment("REST_ENDPOINT", server.http.url())
            .environment("HOPSWORKS_PROJECT_ID", "7")
            .environment("SECRETS_DIR", "/nowhere");
    checkChild(
        FAILED
            + "there is neither a token file (/nowhere/token.jwt, ./token.jwt) nor an API key; set hopsworks.apikey /"
            + " API_KEY, or SECRETS_DIR to the directory of token.jwt\nnull\n",
        jvm,
        READER,
        "environment");
    assertEquals(0, server.http.requests.size());
  }

  @Test
  void certificatesThatAreNone() throws Exception {
    ChildJvm jvm =
        new ChildJvm()
            .environment("REST_ENDPOINT", server.http.url())
            .environment("HOPSWORKS_PROJECT_ID", "7")
            .environment("API_KEY", Secrets.API_KEY)
            .environment("DOMAIN_CA_TRUSTSTORE_PEM", ChildJvm.JAR);
    checkChild(
        FAILED
            + ChildJvm.JAR
            + " (DOMAIN_CA_TRUSTSTORE_PEM) holds no certificate; it must hold the certificates of the authorities to"
            + " trust; correct the setting or unset it\nnull\n",
        jvm,
        READER,
        "environment");
    assertEquals(0, server.http.requests.size());
  }
}
