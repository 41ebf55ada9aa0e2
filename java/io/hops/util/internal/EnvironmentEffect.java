package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;

/**
 * Writes the environment of this process, which System.getenv, the C library and new child processes see. It has one set of
 * variables, so only the application's role goes there.
 */
public final class EnvironmentEffect implements Effect {
  private String[] before;
  private Applied appliedBefore;

  @Override
  public void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException {
    if (!buckets.contains(LiveRole.APPLICATION)) {
      return;
    }
    HostLoader.host().refuseEnvironment();
    appliedBefore = store.applied();
    before = write(store);
    store.replace(appliedBefore.withEnvironment(before));
  }

  @Override
  public void refresh(LiveStore store) throws CloudCredentialException {
    if (store.applied().environment() != null) {
      write(store);
    }
  }

  @Override
  public void undo(LiveStore store) {
    if (before != null) {
      restore(before);
      store.replace(appliedBefore);
    }
  }

  @Override
  public void release(LiveStore store) {
    String[] first = store.applied().environment();
    if (first != null) {
      restore(first);
    }
  }

  private static String[] write(LiveStore store) throws CloudCredentialException {
    Credentials credentials = store.current().findOwn(LiveRole.APPLICATION).credentials();
    return Native.loaded().environmentPut(credentials);
  }

  private static void restore(String[] values) {
    try {
      Native.loaded().environmentRestore(values);
    } catch (CloudCredentialException e) {
      throw new IllegalStateException("the library that wrote the environment is loaded", e);
    }
  }
}
