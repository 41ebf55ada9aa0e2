package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.ChildJvm;
import io.hops.util.cloud.Credentials;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.util.Collections;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;

class EnvironmentEffectTest {
  private static final String STORY =
      "before: %1$s child: %1$s\nissued: ASIAONE child: ASIAONE\nissued: ASIATWO child: ASIATWO\n"
          + "undone: ASIAONE child: ASIAONE\nundone: %1$s child: %1$s\n";

  @Test
  void undoRemovesWhatWasNotThere() throws Exception {
    assertEquals(String.format(STORY, "null"), new ChildJvm().run(Story.class));
  }

  @Test
  void undoPutsBackWhatWasThere() throws Exception {
    assertEquals(
        String.format(STORY, "AKIAOWN"),
        new ChildJvm().environment("AWS_ACCESS_KEY_ID", "AKIAOWN").run(Story.class));
  }

  @Test
  void whatAReaderPrefersIsTakenOutAndComesBackWithTheRelease() throws Exception {
    assertEquals(
        "before: mine null\nissued: null 2286-11-20T17:46:39Z\nreleased: mine null\n",
        new ChildJvm().environment("AWS_PROFILE", "mine").run(Profile.class));
  }

  @Test
  void aReleaseLeavesWhatSomebodyElseHasWrittenSince() throws Exception {
    assertEquals("ASIATHEIRS\nASIATHEIRS\nASIATHEIRS\n", new ChildJvm().run(Replaced.class));
  }

  /** Applies and releases a role, and prints a variable that is taken out and one that is added. */
  public static final class Profile {
    public static void main(String[] arguments) throws Exception {
      // It warns that there is no such profile.
      Logger.getLogger("io.hops.util").setLevel(Level.OFF);
      LiveStore store = LiveStore.own();
      print("before");
      Story.issue(store, new EnvironmentEffect(), "ASIAONE");
      print("issued");
      new EnvironmentEffect().release(store);
      print("released");
    }

    private static void print(String when) {
      System.out.println(when + ": " + System.getenv("AWS_PROFILE") + " " + System.getenv("AWS_CREDENTIAL_EXPIRATION"));
    }
  }

  /** Writes beside a role what another wrapper writes, and then renews and releases the role. */
  public static final class Replaced {
    public static void main(String[] arguments) throws Exception {
      LiveStore store = LiveStore.own();
      Story.issue(store, new EnvironmentEffect(), "ASIAOURS");
      Credentials theirs = new Credentials("ASIATHEIRS", "b", "c", Instant.ofEpochMilli(9_999_999_999_999L), null);
      Native.loaded().environmentPut(theirs, new String[0]);
      System.out.println(System.getenv("AWS_ACCESS_KEY_ID"));
      new EnvironmentEffect().refresh(store);
      System.out.println(System.getenv("AWS_ACCESS_KEY_ID"));
      new EnvironmentEffect().release(store);
      System.out.println(System.getenv("AWS_ACCESS_KEY_ID"));
    }
  }

  /** Applies two effects and undoes both, and prints Java's environment and the C library's at each step. */
  public static final class Story {
    public static void main(String[] arguments) throws Exception {
      LiveStore store = LiveStore.own();
      EnvironmentEffect one = new EnvironmentEffect();
      EnvironmentEffect two = new EnvironmentEffect();
      print("before");
      issue(store, one, "ASIAONE");
      print("issued");
      issue(store, two, "ASIATWO");
      print("issued");
      two.undo(store);
      print("undone");
      one.undo(store);
      print("undone");
    }

    private static void issue(LiveStore store, EnvironmentEffect effect, String accessKeyId)
        throws Exception {
      LiveRole role =
          new LiveRole(LiveRole.APPLICATION, "role", accessKeyId, "b", "c", 9_999_999_999_999L);
      store.replace(store.current().assume(Collections.singleton(role)));
      effect.apply(store, Collections.singleton(LiveRole.APPLICATION));
    }

    private static void print(String when) throws Exception {
      Process child =
          new ProcessBuilder("/bin/sh", "-c", "echo ${AWS_ACCESS_KEY_ID-null}").start();
      try (BufferedReader out =
          new BufferedReader(new InputStreamReader(child.getInputStream()))) {
        System.out.println(
            when + ": " + System.getenv("AWS_ACCESS_KEY_ID") + " child: " + out.readLine());
      }
    }
  }
}
