package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.RoleMappingServer;
import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A failed refresh says whether it may succeed later although nobody acts. S3A gets that when the credentials have ended. */
class FetchTest {
  private RoleMappingServer server;

  @BeforeEach
  void startServer() throws IOException {
    server = new RoleMappingServer();
  }

  @AfterEach
  void stopServer() {
    server.close();
  }

  private void check(boolean isRetryable) {
    check(isRetryable, false);
  }

  /** Whether the same may succeed later, and whether what is held must not be used any more, are two questions. */
  private void check(boolean isRetryable, boolean isWithdrawal) {
    RoleRequest request = new RoleRequest().withRole(RoleMappingServer.READER);
    RequestFetch fetch = new RequestFetch(request);
    for (Fetch either : new Fetch[] {fetch, Fetch.fromOtherCopy(fetch::apply)}) {
      FetchFailure failed = assertThrows(FetchFailure.class, () -> either.fetch(0, 60_000, 3_600_000));
      assertEquals(isRetryable, failed.isRetryable, failed.getMessage());
      assertEquals(isWithdrawal, failed.isWithdrawal, failed.getMessage());
      assertTrue(failed.retryAfterMillis > 0 && failed.retryAfterMillis < 60_000);
    }
  }

  @Test
  void aFetchThatAnotherCopyOfTheJarTakesOverBringsTheSame() throws Exception {
    RequestFetch fetch = new RequestFetch(new RoleRequest());
    Fetch taken = Fetch.fromOtherCopy(fetch::apply);
    Fetched fetched = taken.fetch(0, 60_000, 3_600_000);
    Fetched own = fetch.fetchFirst();
    // Each asks for the default role and then for credentials. What is fetched first goes to the caller, who may use it to its end.
    assertEquals(Arrays.asList(null, "true", null, null), server.http.renewals);
    assertEquals(own.credentials.getAccessKeyId(), fetched.credentials.getAccessKeyId());
    assertEquals(own.credentials.getSecretAccessKey(), fetched.credentials.getSecretAccessKey());
    assertEquals(own.credentials.getSessionToken(), fetched.credentials.getSessionToken());
    assertEquals(RoleMappingServer.READER, fetched.credentials.getRoleArn());
    // Each is an answer of its own, a moment apart, and the refresh is drawn by chance: up to a twentieth earlier.
    assertEquals(own.validForMillis, fetched.validForMillis, 60_000);
    assertEquals(own.refreshAfterMillis, fetched.refreshAfterMillis, 0.06 * own.validForMillis);
    // However often the copies take turns, nothing is wrapped twice.
    assertSame(fetch, Fetch.fromOtherCopy(fetch));
    assertSame(taken.toFunction(), Fetch.fromOtherCopy(taken.toFunction()).toFunction());
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
  void aRoleThatIsNoLongerMappedOrNotForThisMemberIsWithdrawn() {
    for (int code : new int[] {380002, 380003}) {
      answer(403, RoleMappingServer.error(code, "not yours"));
      check(false, true);
    }
  }

  @Test
  void aKeyThatIsNotKnownWithdrawsNoRole() {
    answer(401, RoleMappingServer.error(200003, "no valid API key"));
    check(false);
  }

  @Test
  void aProxyThatWantsALogInWithdrawsNoRole() {
    answer(407, "<html>log in</html>");
    check(false);
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
