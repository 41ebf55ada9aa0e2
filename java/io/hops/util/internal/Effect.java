package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;

/**
 * One place beside the {@link LiveStore} that roles are written to: the environment, an active SparkContext.
 *
 * <p>Made anew for each {@code assumeRole}, refresh and {@code release}. What must outlast one of them lies in the store.
 * Called under the JVM-wide lock, never two at a time.
 */
public interface Effect {
  /**
   * Writes the roles of these buckets, as the store holds them, and keeps what was there.
   *
   * @param store the roles in use, these included
   * @param buckets the buckets just bound, or {@link LiveRole#APPLICATION}
   * @throws CloudCredentialException when they cannot be written; then {@link #undo} is called
   */
  void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException;

  /**
   * Overwrites values with those of newer credentials. Adds and removes nothing.
   *
   * @param store the roles in use
   * @throws CloudCredentialException when they cannot be written
   */
  void refresh(LiveStore store) throws CloudCredentialException;

  /**
   * Takes back what {@link #apply} did, also when that stopped half way.
   *
   * @param store the roles in use, as they were before
   */
  void undo(LiveStore store);

  /**
   * Puts back what was there before the first role, where it is still ours.
   *
   * @param store no role in use, and what was there before
   */
  void release(LiveStore store);
}
