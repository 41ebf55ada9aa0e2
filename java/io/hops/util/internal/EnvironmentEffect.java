package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;

/**
 * Writes the environment of this process, which System.getenv, the C library and new child processes see. It has one set of
 * variables, so only the application's role goes there.
 */
public final class EnvironmentEffect implements Effect {
  /**
   * Held from a write to the record of it, and by whoever looks for the base identity among the variables. A literal, which is
   * one object for all copies of this class.
   */
  private static final Object LOCK = "io.hops.util.internal.EnvironmentEffect";

  private WrittenEnvironment written;
  private Applied appliedBefore;

  @Override
  public void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException {
    if (!buckets.contains(LiveRole.APPLICATION)) {
      return;
    }
    HostLoader.host().refuseEnvironment();
    appliedBefore = store.applied();
    synchronized (LOCK) {
      written = Native.loaded().environmentPut(credentials(store), appliedBefore.environment());
      store.replace(appliedBefore.withEnvironment(written.record));
    }
  }

  @Override
  public void refresh(LiveStore store) throws CloudCredentialException {
    Applied applied = store.applied();
    if (applied.environment().length == 0 || store.current().findOwn(LiveRole.APPLICATION) == null) {
      return;
    }
    synchronized (LOCK) {
      WrittenEnvironment renewed = Native.loaded().environmentRenew(credentials(store), applied.environment());
      if (renewed != null) {
        store.replace(applied.withEnvironment(renewed.record));
      }
    }
  }

  @Override
  public void undo(LiveStore store) {
    if (written != null) {
      synchronized (LOCK) {
        library().environmentUndo(written);
        store.replace(appliedBefore);
      }
    }
  }

  @Override
  public void release(LiveStore store) {
    Applied applied = store.applied();
    synchronized (LOCK) {
      library().environmentRelease(applied.environment());
      store.replace(applied.withEnvironment(new String[0]));
    }
  }

  /**
   * Reads the variables of the base identity anew: those of this process, without what a role of ours wrote.
   *
   * @return name, value, name, value, …
   * @throws CloudCredentialException when there is no native library
   */
  static String[] readBase() throws CloudCredentialException {
    synchronized (LOCK) {
      return Native.loaded().environmentBase(LiveStore.findApplied().environment());
    }
  }

  /**
   * Takes over what the process that started this JVM had written into the environment that the JVM got, so that the base
   * identity is that process's. Has no effect once a role of this JVM has written.
   *
   * @param before the variables that it wrote, each followed by its value before that; null for none
   */
  public static void inherit(String[] before) {
    synchronized (LiveRoles.LOCK) {
      LiveStore store = LiveStore.own();
      if (store.applied().environment().length > 0) {
        return;
      }
      String[] record = new String[before.length / 2 * 3];
      for (int i = 0; i < before.length / 2; i++) {
        record[3 * i] = before[2 * i];
        record[3 * i + 1] = before[2 * i + 1];
        record[3 * i + 2] = System.getenv(before[2 * i]);
      }
      synchronized (LOCK) {
        store.replace(store.applied().withEnvironment(record));
      }
    }
  }

  private static Credentials credentials(LiveStore store) {
    return store.current().findOwn(LiveRole.APPLICATION).credentials();
  }

  private static Native library() {
    try {
      return Native.loaded();
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("the library that wrote the environment is loaded", e);
    }
  }
}
