package io.hops.util.internal;

import java.util.function.Supplier;

/**
 * The variables of the base identity, as they were before anything of ours was written.
 *
 * <p>Problem: two class loaders of one JVM hold two copies of the native library, each with statics of its own. The second
 * copy would find in the environment what the first one has issued, and take it for the base identity.
 *
 * <p>Solution: the first copy leaves the variables in one slot of {@code System.getProperties()}, as an object rather than
 * as strings, so that no listing of the properties shows them. Only JDK types cross: its class is not ours to the second
 * copy.
 */
final class BaseEnvironment implements Supplier<String[]> {
  private static final String SLOT = "io.hops.util.baseEnvironment";

  private final String[] variables;

  private BaseEnvironment(String[] variables) {
    this.variables = variables;
  }

  /** Leaves this copy's variables in the slot, or takes those that are there. */
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
