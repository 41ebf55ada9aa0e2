package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.ChildJvm;
import io.hops.util.cloud.Credentials;
import java.io.BufferedReader;
import java.io.InputStreamReader;
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

  /** Applies two effects and undoes both, looking at Java's environment and at the C library's. */
  public static final class Story {
    public static void main(String[] arguments) throws Exception {
      EnvironmentEffect one = new EnvironmentEffect(Native.loaded());
      EnvironmentEffect two = new EnvironmentEffect(Native.loaded());
      print("before");
      one.apply(new Credentials("ASIAONE", "b", "c"));
      print("issued");
      two.apply(new Credentials("ASIATWO", "b", "c"));
      print("issued");
      two.undo();
      print("undone");
      one.undo();
      print("undone");
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
