package io.hops.util;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.CredentialsProvider.AssumeRoleRequest;
import io.hops.util.cloud.Credentials;
import io.hops.util.cloud.RoleMapping;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class CredentialsProviderTest {
  private static final String GET = "GET " + RoleMappingServer.TOKEN + "?";

  private RoleMappingServer server;

  @BeforeEach
  void startServer() throws IOException {
    server = new RoleMappingServer();
  }

  @AfterEach
  void stopServer() {
    server.close();
  }

  @Test
  void aRoleIsFoundByIdAndTheDefaultWithoutOne() throws Exception {
    assertEquals(RoleMappingServer.WRITER, CredentialsProvider.getRole(2));
    assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole());
    assertEquals(RoleMappingServer.READER, CredentialsProvider.getRole(null));
    assertEquals(
        Arrays.asList(
            "GET " + RoleMappingServer.MAPPINGS + "/2",
            "GET " + RoleMappingServer.MAPPINGS + "/default",
            "GET " + RoleMappingServer.MAPPINGS + "/default"),
        server.http.requests);
    assertEquals("ApiKey " + Secrets.API_KEY, server.http.authorizations.get(0));
  }

  @Test
  void rolesAndRoleMappingsComeInTheOrderOfTheirIds() throws Exception {
    assertArrayEquals(
        new String[] {RoleMappingServer.READER, RoleMappingServer.WRITER}, CredentialsProvider.getRoles());
    List<RoleMapping> mappings = CredentialsProvider.getRoleMappings();
    assertEquals(
        "[RoleMapping{id=1, roleArn=arn:aws:iam::123456789012:role/reader, projectRole=Data scientist, isDefault=true},"
            + " RoleMapping{id=2, roleArn=arn:aws:iam::123456789012:role/teams/writer, projectRole=Data owner,"
            + " isDefault=false}]",
        mappings.toString());
    assertEquals(2, mappings.get(1).getId());
    assertEquals(RoleMappingServer.WRITER, mappings.get(1).getRoleArn());
    assertEquals("Data owner", mappings.get(1).getProjectRole());
    assertTrue(mappings.get(0).isDefault());
    assertThrows(UnsupportedOperationException.class, mappings::clear);
  }

  @Test
  void aThousandRoleMappingsCrossIntoJava() throws Exception {
    StringBuilder items = new StringBuilder();
    for (int id = 1; id <= 1000; id++) {
      items.append(id == 1 ? "" : ",");
      items.append(RoleMappingServer.mapping(id, "ALL", RoleMappingServer.READER + id, false));
    }
    server.http.on(RoleMappingServer.MAPPINGS, 200, "{\"count\":1000,\"items\":[" + items + "]}");
    assertEquals(RoleMappingServer.READER + 1000, CredentialsProvider.getRoles()[999]);
  }

  @Test
  void noRoleMappingIsAnEmptyList() throws Exception {
    server.http.on(RoleMappingServer.MAPPINGS, 200, "{\"count\":0}");
    assertEquals(Collections.emptyList(), CredentialsProvider.getRoleMappings());
    assertEquals(0, CredentialsProvider.getRoles().length);
  }

  @Test
  void nullAndEmptyAskForTheDefaultRoleUnderTheServersSessionNameForAnHour() throws Exception {
    CredentialsProvider.assumeRole();
    CredentialsProvider.assumeRole(null);
    CredentialsProvider.assumeRole("");
    CredentialsProvider.assumeRole(null, null, 0);
    CredentialsProvider.assumeRole("", "", 0);
    AssumeRoleRequest.builder().setPolicyArns((String[]) null).setExternalId("").setPolicy("").send();
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      // Asks by name, so that a default which is moved later does not move a program to another role.
      expected.add("GET " + RoleMappingServer.MAPPINGS + "/default");
      expected.add(GET + "durationSeconds=3600&roleARN=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader");
    }
    assertEquals(expected, server.http.requests);
  }

  @Test
  void roleSessionNameAndDurationAreSentAsGiven() throws Exception {
    CredentialsProvider.assumeRole(RoleMappingServer.WRITER, "me+you@team", 900);
    AssumeRoleRequest.builder()
        .setRoleArn(RoleMappingServer.WRITER)
        .setRoleSessionName("me+you@team")
        .setDurationSeconds(900)
        .send();
    String expected =
        GET
            + "durationSeconds=900&roleARN=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteams%2Fwriter"
            + "&roleSessionName=me%2Byou%40team";
    assertEquals(Arrays.asList(expected, expected), server.http.requests);
  }

  @Test
  void credentialsSayWhoseTheyAreAndWhenTheyEnd() throws Exception {
    Credentials credentials = CredentialsProvider.assumeRole(RoleMappingServer.WRITER);
    assertEquals("ASIAREADER", credentials.getAccessKeyId());
    assertEquals(Secrets.SECRET_ACCESS_KEY, credentials.getSecretAccessKey());
    assertEquals(Secrets.SESSION_TOKEN, credentials.getSessionToken());
    assertEquals(Instant.parse("2099-01-01T00:00:00Z"), credentials.getExpiration());
    assertEquals(RoleMappingServer.WRITER, credentials.getRoleArn());
    assertEquals(RoleMappingServer.READER, CredentialsProvider.assumeRole().getRoleArn());
  }

  @Test
  void withoutAnExpirationInTheAnswerItIsTheTimeOfTheRequestPlusTheDuration() throws Exception {
    server.http.on(RoleMappingServer.TOKEN, 200, RoleMappingServer.credentials("ASIAREADER", ""));
    Instant before = Instant.now();
    Instant expiration = CredentialsProvider.assumeRole(null, null, 900).getExpiration();
    Duration life = Duration.between(before, expiration);
    assertTrue(life.compareTo(Duration.ofSeconds(899)) > 0 && life.compareTo(Duration.ofSeconds(930)) < 0, life::toString);
  }

  private void checkIllegal(String message, Executable call) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, call).getMessage());
    assertEquals(Collections.emptyList(), server.http.requests);
  }

  @Test
  void anArgumentThatNobodyCouldAcceptIsRefusedBeforeAnythingIsSent() {
    checkIllegal(
        "invalid role ARN: \"reader\" is not of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>",
        () -> CredentialsProvider.assumeRole("reader"));
    checkIllegal(
        "invalid session name: \"a b\" is not 2 to 64 letters, digits and characters of _+=,.@-",
        () -> CredentialsProvider.assumeRole(null, "a b", 0));
    checkIllegal(
        "invalid duration: -1 s is not between 900 and 43200 seconds",
        () -> CredentialsProvider.assumeRole(null, null, -1));
    checkIllegal(
        "invalid duration: 899 s is not between 900 and 43200 seconds",
        () -> CredentialsProvider.assumeRole(null, null, 899));
    checkIllegal(
        "invalid role id: -1 is negative; ids begin at 1", () -> CredentialsProvider.getRole(-1));
    checkIllegal(
        "invalid session tag: it is null", () -> AssumeRoleRequest.builder().addTag("team", null).send());
    checkIllegal(
        "invalid policy ARN: it is null",
        () -> AssumeRoleRequest.builder().setPolicyArns("arn:aws:iam::aws:policy/ReadOnlyAccess", null).send());
  }

  @Test
  void aFieldThatTheServerDoesNotCarryIsRefusedAndNotLost() {
    String reason =
        ": a role-mapping server does not carry it; leave it out, or unset hopsworks.restendpoint / REST_ENDPOINT to ask"
            + " AWS STS directly";
    checkIllegal(
        "invalid external id" + reason, () -> AssumeRoleRequest.builder().setExternalId("abc").send());
    checkIllegal("invalid policy" + reason, () -> AssumeRoleRequest.builder().setPolicy("{}").send());
    checkIllegal(
        "invalid policy ARNs" + reason,
        () -> AssumeRoleRequest.builder().setPolicyArns("arn:aws:iam::aws:policy/ReadOnlyAccess").send());
    checkIllegal("invalid tags" + reason, () -> AssumeRoleRequest.builder().addTag("team", "a").send());
    checkIllegal(
        "invalid source identity" + reason,
        () -> AssumeRoleRequest.builder().setSourceIdentity("me").send());
  }

  @Test
  void aWarningIsLoggedOnce() throws Exception {
    List<String> warnings = new ArrayList<>();
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord record) {
            warnings.add(record.getLevel() + " " + record.getMessage());
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger logger = Logger.getLogger("io.hops.util");
    logger.addHandler(handler);
    System.setProperty("hopsutil.insecure", "true");
    try {
      CredentialsProvider.getRole(1);
      CredentialsProvider.getRole(1);
    } finally {
      System.clearProperty("hopsutil.insecure");
      logger.removeHandler(handler);
    }
    assertEquals(
        Collections.singletonList(
            "WARNING the certificate of "
                + server.http.url()
                + " is not checked: whoever is in between can read the credentials"),
        warnings);
  }
}
