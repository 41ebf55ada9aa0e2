package io.hops.util.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** An executor that does not answer is asked again ever later, and not for ever when its tasks fail. */
class AskedExecutorTest {
  @Test
  void oneThatIsNewIsDueAtOnceAndNotWhileItsTaskIsUnderWay() {
    AskedExecutor executor = new AskedExecutor();
    assertEquals(0, executor.waitMillis());
    assertTrue(executor.begin());
    assertEquals(AskedExecutor.LONGEST_PAUSE_MILLIS, executor.waitMillis());
    executor.end(false);
    assertTrue(executor.waitMillis() > 0);
    assertFalse(executor.begin());
  }

  @Test
  void oneThatHasNoRoomIsAskedForEverWithPausesThatGrowToABound() {
    AskedExecutor executor = new AskedExecutor();
    for (int i = 0; i < 1000; i++) {
      executor.begin();
      executor.end(false);
    }
    assertFalse(executor.isGivenUp());
    long pause = executor.waitMillis();
    assertTrue(pause > AskedExecutor.LONGEST_PAUSE_MILLIS / 2 && pause <= AskedExecutor.LONGEST_PAUSE_MILLIS + 1, pause + " ms");
  }

  @Test
  void oneWhoseTasksFailIsGivenUpAfterSome() {
    AskedExecutor executor = new AskedExecutor();
    for (int i = 0; i < 8; i++) {
      assertFalse(executor.isGivenUp());
      executor.begin();
      executor.end(true);
    }
    assertTrue(executor.isGivenUp());
    assertEquals(AskedExecutor.LONGEST_PAUSE_MILLIS, executor.waitMillis());
  }
}
