package io.hops.util.internal;

import java.util.function.Supplier;

/**
 * The variables of the base identity, as they were before we wrote any.
 *
 * <p>Problem: two class loaders of one JVM hold two copies of the native library, each with its own statics. The second copy
 * would find in the environment what the first one has issued, and take that for the base identity.
 *
 * <p>Solution: the first copy leaves the variables in one slot of {@code System.getProperties()}, as an object rather than
 * as strings, so that no listing of the properties shows them. Only JDK types cross, since the second copy does not know the
 * class of the object.
 */
final class BaseEnvironment implements Supplier<String[]> {
  private static final String SLOT = "io.hops.util.baseEnvironment";

  private final String[] variables;

  private BaseEnvironment(String[] variables) {
    this.variables = variables;
  }

  /** Puts this copy's variables into the slot, or takes those that are there. */
  static void share(Native library) {
    // A literal is one object in the whole JVM, so two copies of this class exclude each other.
    synchronized ("io.hops.util.internal.BaseEnvironment") {
      Object earlier = System.getProperties().get(SLOT);
      if (earlier instanceof Supplier) {
        library.adoptBaseEnvironment((String[]) ((Supplier<?>) earlier).get());
      } else {
        System.getProperties().put(SLOT, new BaseEnvironment(library.baseEnvironment()));
      }
    }
  }

  @Override
  public String[] get() {
    return variables.clone();
  }

  @Override
  public String toString() {
    return "***";
  }
}
