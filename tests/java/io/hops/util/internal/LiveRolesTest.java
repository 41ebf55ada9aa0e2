package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LiveRolesTest {
  private static final LiveRole READER =
      new LiveRole("", "arn:aws:iam::123456789012:role/reader", "ASIA", "secret", "token", Long.MAX_VALUE);

  private final LiveStore store = LiveStore.own();
  private final LiveSet before = store.current();
  private final List<String> story = new ArrayList<>();

  @BeforeEach
  void assume() {
    store.replace(before.assume(Collections.singleton(READER)));
  }

  @AfterEach
  void forget() {
    store.replace(LiveSet.empty());
  }

  /** Makes an effect that records its calls, and fails as the test says. */
  private Effect effect(String name, Exception onApply, RuntimeException onUndo) {
    return effect(name, () -> {}, onApply, onUndo);
  }

  private Effect effect(String name, Runnable first, Exception onApply, RuntimeException onUndo) {
    return new Effect() {
      @Override
      public void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException {
        story.add("apply " + name);
        first.run();
        if (onApply instanceof RuntimeException) {
          throw (RuntimeException) onApply;
        }
        if (onApply != null) {
          throw (CloudCredentialException) onApply;
        }
      }

      @Override
      public void undo(LiveStore store) {
        story.add("undo " + name + " with " + store.current().buckets());
        if (onUndo != null) {
          throw onUndo;
        }
      }

      @Override
      public void refresh(LiveStore store) {
        story.add("refresh " + name);
      }

      @Override
      public void release(LiveStore store) {
        story.add("release " + name);
      }
    };
  }

  private Exception thrown(Effect... effects) {
    return assertThrows(
        Exception.class,
        () -> LiveRoles.apply(store, Collections.singleton(""), before, Arrays.asList(effects)));
  }

  private void check(Exception fault) {
    assertEquals(
        fault,
        thrown(effect("1", null, null), effect("2", fault, null), effect("3", null, null)));
    assertEquals(
        Arrays.asList("apply 1", "apply 2", "undo 2 with []", "undo 1 with []"), story);
    assertEquals(before.generation() + 2, store.current().generation());
  }

  @Test
  void aRefusingPlaceTakesBackTheStoreAndThenEveryPlaceInReverse() {
    check(new CloudCredentialException("refused"));
  }

  @Test
  void aBrokenPlaceTakesBackTheStoreAndThenEveryPlaceInReverse() {
    check(new IllegalStateException("broken"));
  }

  @Test
  void aRefusingPlaceThatTheRolesReachLaterIsUndoneAndTheRolesStay() {
    CloudCredentialException fault = new CloudCredentialException("refused");
    LiveSet set = store.current();
    assertEquals(
        fault,
        assertThrows(
            Exception.class,
            () -> LiveRoles.apply(store, set.buckets(), set, Arrays.asList(effect("1", fault, null)))));
    assertEquals(Arrays.asList("apply 1", "undo 1 with []"), story);
    assertEquals(set, store.current());
  }

  @Test
  void aFailingUndoKeepsNeitherTheOthersFromBeingUndoneNorTheReasonFromTheCaller() {
    CloudCredentialException fault = new CloudCredentialException("refused");
    IllegalStateException stuck = new IllegalStateException("stuck");
    assertEquals(fault, thrown(effect("1", null, null), effect("2", fault, stuck)));
    assertEquals(
        Arrays.asList("apply 1", "apply 2", "undo 2 with []", "undo 1 with []"), story);
    assertEquals(Arrays.asList(stuck), Arrays.asList(fault.getSuppressed()));
  }

  @Test
  void whoWaitsForATryToReachANewContextSharesItsFailureAndTheNextCallTriesAnew() throws Exception {
    CountDownLatch hasBegun = new CountDownLatch(1);
    CountDownLatch mayFail = new CountDownLatch(1);
    AtomicInteger tries = new AtomicInteger();
    Runnable refuse =
        () -> {
          tries.incrementAndGet();
          hasBegun.countDown();
          await(mayFail);
        };
    CloudCredentialException fault = new CloudCredentialException("the context is full");
    Effect refusing = effect("context", refuse, fault, null);
    Host host =
        new PlainHost() {
          @Override
          public Effect findPending() {
            return refusing;
          }
        };
    FutureTask<Exception> first = new FutureTask<>(() -> refusal(host));
    FutureTask<Exception> second = new FutureTask<>(() -> refusal(host));
    new Thread(first).start();
    await(hasBegun);
    Thread waiting = new Thread(second);
    waiting.start();
    while (waiting.getState() != Thread.State.BLOCKED) {
      Thread.yield();
    }
    mayFail.countDown();
    // The same object, and so the same kind: whoever waited learns as well who can act.
    assertEquals(fault, first.get(30, TimeUnit.SECONDS));
    assertEquals(fault, second.get(30, TimeUnit.SECONDS));
    assertEquals(1, tries.get());
    assertEquals(fault, refusal(host));
    assertEquals(2, tries.get());
  }

  private static Exception refusal(Host host) {
    return assertThrows(CloudCredentialException.class, () -> LiveRoles.applyToNewContext(host));
  }

  private static void await(CountDownLatch latch) {
    try {
      assertTrue(latch.await(30, TimeUnit.SECONDS));
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
