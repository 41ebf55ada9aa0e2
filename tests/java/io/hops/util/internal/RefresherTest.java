package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The renewal thread lives as long as a role is in use, fetches when one of two clocks says so, and belongs to nobody else. */
class RefresherTest {
  private static final String ROLE = "arn:aws:iam::123456789012:role/reader";
  private static final long HOUR = TimeUnit.HOURS.toMillis(1);
  private static final InheritableThreadLocal<String> INHERITED = new InheritableThreadLocal<>();

  private final LiveStore store = LiveStore.own();
  private final BlockingQueue<Thread> fetches = new LinkedBlockingQueue<>();

  /** Answers each fetch. A test replaces it by one that fails. */
  private volatile Answer answer = () -> fetched(System.currentTimeMillis() + HOUR, HOUR);

  /** A second clock, which tests move while the first one stands still. */
  private volatile long wallMillis = System.currentTimeMillis();

  private final long nanos = System.nanoTime();

  private interface Answer {
    Fetched get() throws FetchFailure;
  }

  private final Fetch fetch =
      new Fetch() {
        @Override
        Fetched fetch(long failures, long leftMillis, long validForMillis) throws FetchFailure {
          fetches.add(Thread.currentThread());
          return answer.get();
        }
      };

  private static Fetched fetched(long expirationMillis, long refreshAfterMillis) {
    Credentials credentials = new Credentials("ASIA", "s", "t", Instant.ofEpochMilli(expirationMillis), ROLE);
    return new Fetched(credentials, HOUR, refreshAfterMillis, null);
  }

  private void assume(Refresher refresher, long refreshAfterMillis) {
    LiveRole role = LiveRole.from("lake", fetched(wallMillis + HOUR, HOUR));
    store.replace(store.current().assume(Collections.singleton(role)));
    store.fetches().put("lake", fetch);
    refresher.schedule(fetch, refreshAfterMillis, HOUR, wallMillis + HOUR);
  }

  private Thread awaitFetch() throws InterruptedException {
    Thread thread = fetches.poll(30, TimeUnit.SECONDS);
    assertTrue(thread != null, "nothing was fetched");
    return thread;
  }

  private static void await(BooleanSupplier condition) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < end, "it did not come to pass");
      Thread.sleep(5);
    }
  }

  @BeforeEach
  void begin() {
    INHERITED.set("the caller's");
  }

  @AfterEach
  void forget() {
    INHERITED.remove();
    // The thread may hold an answer now, which it must not put into the store afterwards.
    synchronized (LiveRoles.LOCK) {
      store.fetches().clear();
      store.refresher().forgetUnused();
      store.replace(LiveSet.empty());
    }
  }

  @Test
  void aClockThatStoodStillWhileTheOtherOneWentOnDelaysNoFetch() throws Exception {
    assume(new Refresher(store, () -> new Clocks(nanos, wallMillis)), HOUR - 1);
    assertNull(fetches.poll(100, TimeUnit.MILLISECONDS));
    wallMillis += HOUR;
    answer = () -> fetched(wallMillis + HOUR, HOUR);
    awaitFetch();
  }

  private int answered() {
    return ((Object[]) store.apply("credentials", "lake")).length;
  }

  private void failEachFetch(boolean isWithdrawal) {
    answer =
        () -> {
          throw new FetchFailure(!isWithdrawal, isWithdrawal, "the source is away", HOUR);
        };
  }

  @Test
  void aClockThatIsWrongEndsNoGoodCredentialsUntilTheyAreWithdrawn() throws Exception {
    // By the time of day of this machine they ended an hour ago.
    wallMillis -= 2 * HOUR;
    failEachFetch(true);
    assume(store.refresher(), HOUR - 1);
    assertEquals(3, answered());
    store.refresher().schedule(fetch, 0, HOUR, wallMillis + HOUR);
    awaitFetch();
    await(() -> answered() == 2);
  }

  @Test
  void aClockThatIsSetBackKeepsNoCredentialsThatHaveEnded() throws Exception {
    AtomicLong passed = new AtomicLong();
    failEachFetch(false);
    assume(new Refresher(store, () -> new Clocks(nanos + passed.get(), wallMillis)), HOUR - 1);
    assertEquals(3, answered());
    passed.set(TimeUnit.HOURS.toNanos(1));
    store.refresher().wake();
    wallMillis -= HOUR;
    awaitFetch();
    await(() -> answered() == 2);
  }

  @Test
  void anInterruptEndsNoRenewal() throws Exception {
    answer = () -> fetched(wallMillis + HOUR, 10);
    assume(store.refresher(), 0);
    Thread thread = awaitFetch();
    thread.interrupt();
    assertEquals(thread, awaitFetch());
    assertEquals(thread, awaitFetch());
  }

  @Test
  void noThrowableOfAFetchOrOfALogEndsTheRenewal() throws Exception {
    Handler broken =
        new Handler() {
          @Override
          public void publish(LogRecord record) {
            throw new LinkageError("a log that is broken");
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger log = Logger.getLogger("io.hops.util");
    log.addHandler(broken);
    try {
      answer =
          () -> {
            throw new StackOverflowError("broken");
          };
      assume(store.refresher(), 0);
      Thread thread = awaitFetch();
      assertEquals(thread, awaitFetch());
      assertEquals(thread, awaitFetch());
    } finally {
      log.removeHandler(broken);
    }
  }

  @Test
  void aFetchThatBreaksIsTriedAgainByTheRuleOfEveryFailure() throws Exception {
    answer =
        () -> {
          throw new StackOverflowError("broken");
        };
    Refresher refresher = new Refresher(store, () -> new Clocks(nanos, wallMillis));
    assume(refresher, 0);
    // Waits double from a second, and chance takes half of them at most.
    for (long longest : new long[] {1000, 2000, 4000, 8000}) {
      awaitFetch();
      await(() -> refresher.times(fetch)[1] > wallMillis);
      long wait = refresher.times(fetch)[1] - wallMillis;
      assertTrue(longest / 2 <= wait && wait <= longest, wait + " ms, not up to " + longest);
      wallMillis += wait;
      refresher.wake();
    }
  }

  @Test
  void theRenewalInheritsNothingOfItsFirstCaller() throws Exception {
    BlockingQueue<String> inherited = new LinkedBlockingQueue<>();
    answer =
        () -> {
          inherited.add("found: " + INHERITED.get());
          return fetched(wallMillis + HOUR, HOUR);
        };
    ThreadGroup group = new ThreadGroup("a notebook");
    ClassLoader loader = new ClassLoader() {};
    Thread caller = new Thread(group, () -> assume(new Refresher(store), 0));
    caller.setContextClassLoader(loader);
    caller.start();
    Thread renewal = awaitFetch();
    caller.join();
    assertEquals("found: null", inherited.poll(30, TimeUnit.SECONDS));
    assertFalse(group.parentOf(renewal.getThreadGroup()));
    assertEquals(Refresher.class.getClassLoader(), renewal.getContextClassLoader());
    assertTrue(renewal.isDaemon());
  }

  @Test
  void aRoleThatItsSourceWithdrawsIsReadNoMoreAndEveryOtherFailureLeavesWhatIsGood() throws Exception {
    for (boolean isWithdrawal : new boolean[] {false, true}) {
      answer =
          () -> {
            throw new FetchFailure(false, isWithdrawal, "no", HOUR);
          };
      assume(store.refresher(), 0);
      awaitFetch();
      await(() -> !LiveStore.findCurrent().findOwn("lake").lastError.isEmpty());
      Object[] read = LiveStore.answer("lake");
      assertEquals(isWithdrawal ? 2 : 3, read.length);
      if (isWithdrawal) {
        assertEquals(false, read[0]);
        assertTrue(read[1].toString().endsWith(": no"), read[1].toString());
      }
      forget();
    }
  }

  /** A place that newer credentials do not reach. */
  private static final class Broken implements Effect {
    @Override
    public void apply(LiveStore store, Set<String> buckets) {}

    @Override
    public void refresh(LiveStore store) throws CloudCredentialException {
      throw new CloudCredentialException("this place is broken");
    }

    @Override
    public void undo(LiveStore store) {}

    @Override
    public void release(LiveStore store) {}
  }

  @Test
  void aPlaceThatFailsKeepsNewerCredentialsFromNoOtherPlace() {
    List<String> reached = new ArrayList<>();
    Effect good =
        new Effect() {
          @Override
          public void apply(LiveStore store, Set<String> buckets) {}

          @Override
          public void refresh(LiveStore store) {
            reached.add("good");
          }

          @Override
          public void undo(LiveStore store) {}

          @Override
          public void release(LiveStore store) {}
        };
    CloudCredentialException failure = null;
    try {
      LiveRoles.refresh(store, Arrays.asList(new Broken(), good, new Broken()));
    } catch (CloudCredentialException e) {
      failure = e;
    }
    assertEquals(Collections.singletonList("good"), reached);
    assertEquals("this place is broken", failure.getMessage());
    assertEquals(1, failure.getSuppressed().length);
  }

  @Test
  void aFetchThatIsDueIsFetchedAlthoughADeliveryFails() throws Exception {
    // The environment is such a place: it cannot hold this value.
    answer =
        () -> {
          Credentials credentials = new Credentials("ASIA", "s\0", "t", Instant.ofEpochMilli(wallMillis + HOUR), ROLE);
          return new Fetched(credentials, HOUR, 10, null);
        };
    LiveRole role = LiveRole.from(LiveRole.APPLICATION, fetched(wallMillis + HOUR, HOUR));
    store.replace(store.current().assume(Collections.singleton(role)));
    EnvironmentEffect environment = new EnvironmentEffect();
    environment.apply(store, Collections.singleton(LiveRole.APPLICATION));
    try {
      store.fetches().put(LiveRole.APPLICATION, fetch);
      store.refresher().schedule(fetch, 0, HOUR, wallMillis + HOUR);
      for (int i = 0; i < 3; i++) {
        awaitFetch();
      }
    } finally {
      forget();
      environment.release(store);
    }
  }
}
