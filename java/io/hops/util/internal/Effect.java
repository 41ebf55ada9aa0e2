package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;

/**
 * One place beside the {@link LiveStore} to which roles are written: the environment, an active SparkContext.
 *
 * <p>Each {@code assumeRole}, refresh and {@code release} makes new effects. Whatever must outlast them lies in the store. All
 * calls happen under the JVM-wide lock, one at a time.
 */
public interface Effect {
  /**
   * Writes the roles of these buckets, as the store holds them, and remembers what was there.
   *
   * @param store the roles in use, these included
   * @param buckets the buckets just assigned a role, or {@link LiveRole#APPLICATION}
   * @throws CloudCredentialException when they cannot be written; then {@link #undo} is called
   */
  void apply(LiveStore store, Set<String> buckets) throws CloudCredentialException;

  /**
   * Overwrites the values with those of newer credentials. Adds and removes nothing.
   *
   * @param store the roles in use
   * @throws CloudCredentialException when they cannot be written
   */
  void refresh(LiveStore store) throws CloudCredentialException;

  /**
   * Undoes what {@link #apply} did, also when that stopped half way.
   *
   * @param store the roles that were in use before
   */
  void undo(LiveStore store);

  /**
   * Restores what was there before the first role, where the value is still ours.
   *
   * @param store without a role in use
   */
  void release(LiveStore store);
}
