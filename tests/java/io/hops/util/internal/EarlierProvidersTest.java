package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import org.junit.jupiter.api.Test;

/** The providers that stood in the configuration before the roles: a copy from then is told from another choice by them. */
class EarlierProvidersTest {
  private static LiveSet before(String... providers) throws IOException {
    LiveSet set = LiveSet.empty();
    for (String provider : providers) {
      set = set.withEarlierProviders(Collections.singleton(provider));
    }
    return LiveSet.fromBytes(set.toBytes());
  }

  @Test
  void whileNobodyKnowsThemAnyProviderCountsAsOneOfThem() throws IOException {
    assertTrue(before().isEarlierProvider("theirs"));
    // As a release leaves it.
    assertTrue(LiveSet.empty().withEarlierProviders(Collections.singleton("a")).release().isEarlierProvider("theirs"));
  }

  @Test
  void thoseOfEveryContextTravelAndNoOthersCount() throws IOException {
    LiveSet set = before("a", "b,c");
    assertTrue(set.isEarlierProvider("a"));
    assertTrue(set.isEarlierProvider(" b,c\n"));
    assertFalse(set.isEarlierProvider("b"));
    assertFalse(before("").isEarlierProvider("a"));
  }

  @Test
  void aRefreshAnotherRoleAndAFailedOneKeepThem() {
    LiveSet set = LiveSet.empty().withEarlierProviders(Collections.singleton("a"));
    for (LiveSet later : Arrays.asList(set.assume(Collections.emptyList()), set.rollBackTo(LiveSet.empty()))) {
      assertFalse(later.isEarlierProvider("b"));
    }
  }
}
