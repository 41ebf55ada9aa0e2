package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.CredentialsProvider.AssumeRoleRequest;
import io.hops.util.RoleMappingServer;
import java.io.IOException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Whether a refresh that failed may succeed later without anybody acting, as S3A is told when the credentials have ended. */
class FetchTest {
  private static final long[] FAILURES_LEFT_LIFE = {0, 60_000, 3_600_000};

  private RoleMappingServer server;

  @BeforeEach
  void startServer() throws IOException {
    server = new RoleMappingServer();
  }

  @AfterEach
  void stopServer() {
    server.close();
  }

  private void check(boolean isPassing) {
    AssumeRoleRequest request =
        AssumeRoleRequest.builder().setRoleArn(RoleMappingServer.READER);
    Object[] answer = new Fetch(request).apply(FAILURES_LEFT_LIFE);
    assertEquals(3, answer.length);
    assertEquals(isPassing, answer[0], (String) answer[1]);
  }

  private void answer(int status, String body) {
    server.http.on(RoleMappingServer.TOKEN, status, body);
  }

  @Test
  void whatStsRefusesIsRefusedUntilSomebodyActs() {
    answer(400, RoleMappingServer.error(380001, "AccessDenied"));
    check(false);
  }

  @Test
  void anStsThatTheServerCannotReachMayBeReachedLater() {
    answer(502, RoleMappingServer.error(380001, "no answer in time"));
    check(true);
  }

  @Test
  void anAnswerThatBreaksTheContractDoesNotMendItself() {
    answer(200, "<html>log in</html>");
    check(false);
  }

  @Test
  void aSettingThatIsGoneDoesNotComeBackByItself() {
    System.clearProperty("hopsworks.projectid");
    check(false);
  }

  @Test
  void aTruststoreThatIsGoneDoesNotComeBackByItself() {
    System.setProperty("hopsworks.domain.truststore", "/nonexistent/truststore.jks");
    try {
      check(false);
    } finally {
      System.clearProperty("hopsworks.domain.truststore");
    }
  }
}
