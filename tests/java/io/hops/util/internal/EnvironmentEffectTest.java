package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.ChildJvm;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Collections;
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
          new LiveRole(LiveRole.APPLICATION, "role", accessKeyId, "b", "c", Long.MAX_VALUE);
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
