package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;

/**
 * One place that {@code assumeRole} writes to: the environment, an active SparkContext.
 *
 * <p>Effects are applied one after the other, never two at a time in a JVM. When one throws, those applied before it are
 * undone in reverse.
 */
public interface Effect {
  /**
   * Saves what is there and writes the credentials.
   *
   * @param credentials what to write
   * @throws CloudCredentialException when they cannot be written; then nothing is written
   */
  void apply(Credentials credentials) throws CloudCredentialException;

  /** Puts back what {@link #apply} found. Called at most once, and only after {@link #apply} has returned. */
  void undo();
}
