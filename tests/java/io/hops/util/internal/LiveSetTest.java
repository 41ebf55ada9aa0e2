package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.ChildJvm;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import org.junit.jupiter.api.Test;

class LiveSetTest {
  private static final String READER = "arn:aws:iam::123456789012:role/reader";
  private static final String WRITER = "arn:aws:iam::123456789012:role/writer";

  private static LiveRole role(String bucket, String role, long expirationMillis) {
    return new LiveRole(bucket, role, "ASIA" + bucket, "canary-secret", "canary-token", expirationMillis);
  }

  private static LiveSet readerForAllAndWriterForLake() {
    return LiveSet.empty()
        .assume(Collections.singleton(role("", READER, 2000)))
        .assume(Collections.singleton(role("lake", WRITER, 2000)));
  }

  @Test
  void aBucketsOwnRoleGoesBeforeTheApplications() {
    LiveSet set = readerForAllAndWriterForLake();
    assertEquals(WRITER, set.find("lake").roleArn());
    assertEquals(READER, set.find("sea").roleArn());
  }

  @Test
  void aLaterRoleForAnotherReachClearsNothing() {
    LiveSet set =
        readerForAllAndWriterForLake().assume(Collections.singleton(role("", WRITER, 2000)));
    assertEquals(WRITER, set.find("sea").roleArn());
    assertEquals(WRITER, set.find("lake").roleArn());
    assertEquals(3, set.generation());
  }

  @Test
  void aRefreshRaisesTheVersionAndNotTheGeneration() {
    LiveSet before = readerForAllAndWriterForLake();
    LiveSet after = before.refresh(role("lake", WRITER, 3000));
    assertEquals(before.generation(), after.generation());
    assertEquals(before.version() + 1, after.version());
  }

  @Test
  void whatIsRolledBackIsNewerThanWhatItReplaces() {
    LiveSet before = readerForAllAndWriterForLake();
    LiveSet failed = before.assume(Collections.singleton(role("", WRITER, 2000)));
    LiveSet after = failed.rollBackTo(before);
    assertEquals(READER, after.find("sea").roleArn());
    assertEquals(failed.generation() + 1, after.generation());
    assertEquals(failed.version() + 1, after.version());
  }

  @Test
  void aReaderGetsTheThreeValuesUpToTheExpiration() {
    LiveSet set = readerForAllAndWriterForLake();
    Object[] expected = {"ASIAlake", "canary-secret", "canary-token"};
    assertArrayEquals(expected, set.answer("lake", 1999));
    Object[] ended = {
      true,
      "the credentials of " + WRITER + " for bucket lake ended at 1970-01-01T00:00:02Z: no newer ones have"
          + " arrived; see the driver's log for the reason"
    };
    assertArrayEquals(ended, set.answer("lake", 2000));
  }

  @Test
  void aRefusalIsFinalOnceTheCredentialsHaveEnded() {
    LiveRole refused = role("lake", WRITER, 2000).withError("the mapping was removed", true);
    LiveSet set = LiveSet.empty().assume(Collections.singleton(refused));
    assertEquals(3, set.answer("lake", 1999).length);
    Object[] ended = {
      false,
      "the credentials of " + WRITER + " for bucket lake ended at 1970-01-01T00:00:02Z: the mapping was removed"
    };
    assertArrayEquals(ended, set.answer("lake", 2000));
  }

  @Test
  void afterReleaseEveryBucketIsRefused() {
    LiveSet set = readerForAllAndWriterForLake().release();
    Object[] refused = {
      false, "no role is in use for bucket lake (role released); call assumeRole again"
    };
    assertArrayEquals(refused, set.answer("lake", 0));
    assertEquals(3, set.generation());
  }

  @Test
  void beforeTheFirstRoleNoneWasReleased() throws Exception {
    Object[] refused = {false, "no role is in use for bucket lake; call assumeRole"};
    assertArrayEquals(refused, LiveSet.empty().answer("lake", 0));
    assertEquals(Arrays.toString(refused) + "\n", new ChildJvm().run(NoRoleYet.class));
  }

  /** Asks for credentials in a JVM that has had no role and is not an executor. */
  public static final class NoRoleYet {
    public static void main(String[] arguments) {
      CurrentCredentials credentials = new CurrentCredentials("lake", () -> new Object[] {"from", "an", "executor"});
      System.out.println(Arrays.toString(credentials.get()));
    }
  }

  @Test
  void aSetSurvivesItsWayToTheExecutors() throws IOException {
    LiveRole failing = role("lake", WRITER, 2000).withError("STS is away", true);
    LiveSet sent =
        readerForAllAndWriterForLake().withEndpointVariables(Arrays.asList("AWS_PROFILE", "removed")).refresh(failing);
    LiveSet received = LiveSet.fromBytes(sent.toBytes());
    assertEquals(sent.generation(), received.generation());
    assertEquals(sent.version(), received.version());
    assertEquals(sent.toString(), received.toString());
    assertEquals(Arrays.asList("AWS_PROFILE", "removed"), received.endpointVariables());
    assertEquals(Collections.emptyList(), sent.release().endpointVariables());
    for (long now : new long[] {0, 3000}) {
      for (String bucket : Arrays.asList("lake", "sea")) {
        assertArrayEquals(sent.answer(bucket, now), received.answer(bucket, now));
      }
    }
  }

  @Test
  void keysOfABucketTravelWithTheSetUntilTheBucketHasARoleOrAllEnds() throws IOException {
    LiveSet before = readerForAllAndWriterForLake();
    LiveSet set = before.withOwnKeys("pond", "AKIAPOND 1").withOwnKeys("sea", "AKIAFIRST 1").withOwnKeys("sea", "AKIASEA 1");
    assertEquals(before.generation(), set.generation());
    assertEquals(before.version() + 3, set.version());
    LiveRole newer = role("", READER, 3000);
    LiveSet received = LiveSet.fromBytes(set.toBytes());
    for (LiveSet each : Arrays.asList(received, set.assume(Collections.singleton(newer)), set.refresh(newer), set.rollBackTo(before))) {
      assertEquals("AKIASEA 1", each.findOwnKeys("sea"));
      assertEquals("AKIAPOND 1", each.findOwnKeys("pond"));
      assertTrue(each.hasOwnKeys("AKIASEA"));
      assertFalse(each.hasOwnKeys("AKIA") || each.hasOwnKeys("AKIAFIRST"));
      assertNull(each.findOwnKeys("lake"));
    }
    assertNull(set.assume(Collections.singleton(role("sea", WRITER, 2000))).findOwnKeys("sea"));
    LiveSet only = set.withOnlyOwnKeys(Collections.singletonMap("pond", "AKIAPOND 2"));
    assertEquals(LiveSet.NO_KEYS, only.findOwnKeys("sea"));
    assertEquals("AKIAPOND 2", only.findOwnKeys("pond"));
    assertEquals(only.version(), only.withOnlyOwnKeys(Collections.singletonMap("pond", "AKIAPOND 2")).version());
    assertNull(set.release().findOwnKeys("sea"));
  }

  @Test
  void noPartOfASetIsTakenForTheWhole() {
    byte[] whole = readerForAllAndWriterForLake().toBytes();
    for (int length = 0; length < whole.length; length++) {
      byte[] part = Arrays.copyOf(whole, length);
      assertThrows(IOException.class, () -> LiveSet.fromBytes(part));
    }
    byte[] foreign = whole.clone();
    foreign[4] = 1;
    IOException refused = assertThrows(IOException.class, () -> LiveSet.fromBytes(foreign));
    assertEquals(
        "the credentials on this executor are in a form that this jar does not know; use one version of"
            + " hops-credentials on driver and executors",
        refused.getMessage());
  }

  @Test
  void neitherSetNorRoleNorStoreShowsASecret() {
    LiveSet set = readerForAllAndWriterForLake();
    assertEquals(
        "LiveSet{generation=2, version=2, [LiveRole{bucket=, roleArn="
            + READER
            + ", accessKeyId=ASIA}, LiveRole{bucket=lake, roleArn="
            + WRITER
            + ", accessKeyId=ASIAlake}]}",
        set.toString());
    assertEquals("***", LiveStore.own().toString());
  }
}
