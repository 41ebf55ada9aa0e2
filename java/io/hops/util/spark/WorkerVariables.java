package io.hops.util.spark;

import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectStreamException;
import java.io.Serializable;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The variables that a function in Python brings to its workers.
 *
 * <p>Problem: an executor can start after the role and have a Python task before anything else of ours runs there. Solution: Spark
 * sends these variables with each such task. Whoever reads them on an executor first waits for the roles under which the task was
 * sent, and makes the workers there follow them.
 */
public final class WorkerVariables extends ConcurrentHashMap<String, String> {
  private static final long serialVersionUID = 1L;

  private WorkerVariables(Map<String, String> variables) {
    super(variables);
  }

  /**
   * Makes the variables for functions that are made from now on.
   *
   * @param variables those of the application
   * @return the same; null while workers are to stay as they are
   */
  public static Map<String, String> of(Map<String, String> variables) {
    LiveSet roles = LiveStore.findCurrent();
    return roles == null || roles.endpointVariables().isEmpty() ? null : new WorkerVariables(variables);
  }

  /**
   * Called when Spark sends a task.
   *
   * @return what travels instead
   */
  private Object writeReplace() {
    LiveSet roles = LiveStore.findCurrent();
    return new Sent(this, roles == null ? 0 : roles.generation());
  }

  /** The variables on their way to an executor. */
  private static final class Sent implements Serializable {
    private static final long serialVersionUID = 1L;

    private final HashMap<String, String> variables;
    private final long generation;

    Sent(Map<String, String> variables, long generation) {
      this.variables = new HashMap<>(variables);
      this.generation = generation;
    }

    private Object readResolve() throws ObjectStreamException {
      if (ActiveContext.isExecutor()) {
        try {
          Workers.follow(generation);
        } catch (IOException e) {
          throw new InvalidObjectException(e.getMessage());
        }
      }
      return variables;
    }
  }
}
