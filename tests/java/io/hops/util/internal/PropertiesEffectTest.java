package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.ChildJvm;
import io.hops.util.cloud.Credentials;
import java.time.Instant;
import java.util.Arrays;
import java.util.Collections;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Keys in system properties, which the AWS SDK for Java 2 prefers to the environment, do not stand beside a role. */
class PropertiesEffectTest {
  private static final String[] NAMES = {"aws.accessKeyId", "aws.secretAccessKey", "aws.secretKey", "aws.sessionToken"};

  @Test
  void propertiesThatAnSdkPrefersAreTakenOutAndComeBackWithTheRelease() throws Exception {
    assertEquals(
        "bucket: AKIABASE base null null\nassumed: null null null null\nagain: null null null null\n"
            + "released: AKIABASE base null null\nbeside the role: null\n"
            + "aws.accessKeyId is AKIATHEIRS beside the role\nreplaced: AKIATHEIRS null null null\n"
            + "theirs: AKIATHEIRS theirs null null\n",
        new ChildJvm().run(Story.class));
  }

  @Test
  void aRoleThatFailsLeavesThemAsTheyWere() throws Exception {
    assertEquals(
        "undone: AKIABASE base null null\nundone beside a role: null null null null\n", new ChildJvm().run(Undone.class));
  }

  /** Assumes and releases roles beside such properties. */
  public static final class Story {
    public static void main(String[] arguments) throws Exception {
      set();
      assume("lake");
      print("bucket");
      assume();
      print("assumed");
      assume();
      print("again");
      LiveRoles.release();
      print("released");
      assume();
      System.out.println("beside the role: " + PropertiesEffect.explainSet());
      System.setProperty(NAMES[0], "AKIATHEIRS");
      System.out.println(PropertiesEffect.explainSet().split(";")[0]);
      LiveRoles.release();
      print("replaced");
      System.setProperty(NAMES[3], "of another");
      assume();
      System.setProperty(NAMES[0], "AKIATHEIRS");
      System.setProperty(NAMES[1], "theirs");
      assume();
      LiveRoles.release();
      print("theirs");
    }
  }

  private static void assume(String... buckets) throws Exception {
    Credentials credentials = new Credentials("ASIA", "b", "c", Instant.ofEpochMilli(9_999_999_999_999L), "role");
    Fetched fetched = new Fetched(credentials, 3_600_000, 3_000_000, null);
    LiveRoles.assume(Arrays.asList(buckets), fetched, new RequestFetch(new RoleRequest()));
  }

  /** Undoes the first role and the second one. */
  public static final class Undone {
    public static void main(String[] arguments) {
      set();
      LiveStore store = LiveStore.own();
      PropertiesEffect first = new PropertiesEffect();
      first.apply(store, Collections.singleton(LiveRole.APPLICATION));
      first.undo(store);
      print("undone");
      new PropertiesEffect().apply(store, Collections.singleton(LiveRole.APPLICATION));
      PropertiesEffect second = new PropertiesEffect();
      second.apply(store, Collections.singleton(LiveRole.APPLICATION));
      second.undo(store);
      print("undone beside a role");
    }
  }

  private static void set() {
    System.setProperty(NAMES[0], "AKIABASE");
    System.setProperty(NAMES[1], "base");
  }

  private static void print(String when) {
    String values = Arrays.stream(NAMES).map(name -> String.valueOf(System.getProperty(name))).collect(Collectors.joining(" "));
    System.out.println(when + ": " + values);
  }
}
