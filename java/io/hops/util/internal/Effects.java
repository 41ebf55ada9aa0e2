package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** What {@code assumeRole} does beside returning credentials: all of it, or nothing. */
public final class Effects {
  // A literal is one object in the whole JVM: copies of this class in two class loaders exclude each other.
  private static final Object LOCK = "io.hops.util.internal.Effects";

  private Effects() {}

  /**
   * Writes the credentials wherever readers of this JVM look for them.
   *
   * @param credentials what to write
   * @throws CloudCredentialException when one place cannot be written; then the others are as they were
   */
  public static void apply(Credentials credentials) throws CloudCredentialException {
    synchronized (LOCK) {
      List<Effect> effects = new ArrayList<>();
      effects.add(new EnvironmentEffect(Native.loaded()));
      Effect spark = Spark.effectForActiveContext();
      if (spark != null) {
        effects.add(spark);
      }
      apply(credentials, effects);
    }
  }

  /** Applies in order; undoes in reverse what was applied when one throws. */
  static void apply(Credentials credentials, List<Effect> effects) throws CloudCredentialException {
    Deque<Effect> applied = new ArrayDeque<>();
    try {
      for (Effect effect : effects) {
        effect.apply(credentials);
        applied.push(effect);
      }
    } catch (CloudCredentialException | RuntimeException | Error e) {
      for (Effect effect : applied) {
        try {
          effect.undo();
        } catch (RuntimeException | Error undo) {
          e.addSuppressed(undo);
        }
      }
      throw e;
    }
  }
}
