package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class EffectsTest {
  private static final Credentials CREDENTIALS = new Credentials("a", "b", "c");

  private final List<String> story = new ArrayList<>();

  /** An effect that tells what happens to it; the faults are what the test is about. */
  private Effect effect(String name, Exception onApply, RuntimeException onUndo) {
    return new Effect() {
      @Override
      public void apply(Credentials credentials) throws CloudCredentialException {
        story.add("apply " + name);
        if (onApply instanceof RuntimeException) {
          throw (RuntimeException) onApply;
        }
        if (onApply != null) {
          throw (CloudCredentialException) onApply;
        }
      }

      @Override
      public void undo() {
        story.add("undo " + name);
        if (onUndo != null) {
          throw onUndo;
        }
      }
    };
  }

  private void check(Exception fault) {
    Effect[] effects = {effect("1", null, null), effect("2", null, null), effect("3", fault, null)};
    Exception thrown =
        assertThrows(Exception.class, () -> Effects.apply(CREDENTIALS, Arrays.asList(effects)));
    assertEquals(fault, thrown);
    assertEquals(Arrays.asList("apply 1", "apply 2", "apply 3", "undo 2", "undo 1"), story);
  }

  @Test
  void aRefusingEffectUndoesTheAppliedOnesInReverse() {
    check(new CloudCredentialException("refused"));
  }

  @Test
  void aBrokenEffectUndoesTheAppliedOnesInReverse() {
    check(new IllegalStateException("broken"));
  }

  @Test
  void aFailingUndoKeepsNeitherTheOthersFromBeingUndoneNorTheReasonFromTheCaller() {
    CloudCredentialException fault = new CloudCredentialException("refused");
    IllegalStateException stuck = new IllegalStateException("stuck");
    Effect[] effects = {effect("1", null, null), effect("2", null, stuck), effect("3", fault, null)};
    assertEquals(
        fault,
        assertThrows(Exception.class, () -> Effects.apply(CREDENTIALS, Arrays.asList(effects))));
    assertEquals(Arrays.asList("apply 1", "apply 2", "apply 3", "undo 2", "undo 1"), story);
    assertEquals(Arrays.asList(stuck), Arrays.asList(fault.getSuppressed()));
  }
}
