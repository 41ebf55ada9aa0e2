package io.hops.util.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.hops.util.CredentialsProvider;
import io.hops.util.DirectSts;
import org.junit.jupiter.api.Test;

/** CloudTrail shows a role under one session name for as long as it is in use, whatever becomes of the names it was made of. */
class SessionNameTest {
  @Test
  void aRefreshKeepsTheNameThatTheFirstSessionGot() throws Exception {
    try (DirectSts sts = new DirectSts()) {
      sts.jvm().with("-Dhopsworks.projectname=churn").run(Renewed.class, DirectSts.READER);
      assertEquals(2, sts.sessionNames().size());
      assertEquals(sts.sessionNames().get(0), sts.sessionNames().get(1));
    }
  }

  /** Assumes a role, and renews it after its project has changed its name. */
  public static final class Renewed {
    public static void main(String[] arguments) throws Exception {
      CredentialsProvider.assumeRole(arguments[0]);
      System.setProperty("hopsworks.projectname", "moved");
      LiveStore.own().fetches().get(LiveRole.APPLICATION).fetch(0, 60_000, 3_600_000);
    }
  }
}
