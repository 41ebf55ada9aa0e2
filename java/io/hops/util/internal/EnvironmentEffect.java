package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;

/**
 * The environment of this process: what System.getenv, the C library and new child processes see. It has one set of
 * variables, so only the application's role is written there.
 */
public final class EnvironmentEffect implements Effect {
  /** Where {@link LiveStore#saved} keeps what the variables held before the first role. */
  private static final String SAVED = "environment";

  private String[] before;

  @Override
  public void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException {
    if (!buckets.contains(Binding.APPLICATION)) {
      return;
    }
    HostLoader.host().refuseEnvironment();
    before = write(store);
    store.saved().putIfAbsent(SAVED, before);
  }

  @Override
  public void refresh(LiveStore store) throws CloudCredentialException {
    if (store.saved().containsKey(SAVED)) {
      write(store);
    }
  }

  @Override
  public void undo(LiveStore store) {
    if (before != null) {
      restore(before);
      if (store.saved().get(SAVED) == before) {
        store.saved().remove(SAVED);
      }
    }
  }

  @Override
  public void release(LiveStore store) {
    String[] first = store.saved().remove(SAVED);
    if (first != null) {
      restore(first);
    }
  }

  /**
   * The three {@code AWS_*} variables as they were before the first role.
   *
   * @param store the roles in use
   * @return access key id, secret access key, session token, null for one that was not set; null while they are not ours
   */
  public static String[] before(LiveStore store) {
    return store.saved().get(SAVED);
  }

  private static String[] write(LiveStore store) throws CloudCredentialException {
    Credentials credentials = store.set().bound(Binding.APPLICATION).credentials();
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
