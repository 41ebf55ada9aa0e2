package io.hops.util.spark;

import io.hops.util.internal.LiveRole;
import io.hops.util.internal.LiveSet;
import io.hops.util.internal.LiveStore;
import io.hops.util.s3a.PushedCredentials;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Gives the Python workers of this JVM the role of the application. On an executor they find an endpoint in their environment,
 * which has the credentials that the driver pushed last. With the master {@code local} they inherit the environment of the driver.
 *
 * <p>Used under the lock of SparkEnv alone, apart from {@link #follow}.
 */
final class Workers {
  private static final Logger LOG = Logger.getLogger("io.hops.util");

  private static CredentialsEndpoint endpoint;
  private static boolean hasWarned;
  private static byte[] pushed;
  private static LiveSet roles;

  /** What roles have changed in the environment of the driver. */
  private static List<String> changed = Collections.emptyList();

  private Workers() {}

  /**
   * Makes the workers of this JVM follow the roles of a generation, or later ones. Waits for them on an executor, 10 s at most.
   *
   * @param generation 0 for the roles that are there, or none
   * @throws IOException when that is not possible
   */
  static void follow(long generation) throws IOException {
    if (generation > 0 && ActiveContext.isExecutor()) {
      new PushedCredentials(LiveRole.APPLICATION, generation).await();
    }
    try {
      WorkerFactories.install();
    } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
      throw new IOException(PythonFactory.UNKNOWN, e);
    }
  }

  /**
   * Makes sure that the next worker of a factory starts with the role. Spark is about to ask it for one.
   *
   * @throws IllegalStateException when the worker would have another identity; its message says what to do
   */
  static void lead(PythonFactory factory) {
    if (ActiveContext.isExecutor()) {
      leadToEndpoint(factory);
    } else {
      leadToEnvironment(factory);
    }
    factory.endRetired();
  }

  private static void leadToEndpoint(PythonFactory factory) {
    LiveSet set = newest();
    List<String> planned = set == null ? Collections.emptyList() : set.endpointVariables();
    if (planned.isEmpty()) {
      if (!factory.isLedTo(null)) {
        WorkerEnvironment.giveBack();
        factory.lead(null, Collections.emptyMap());
      }
      return;
    }
    startEndpoint();
    List<?> goal = Arrays.asList(set.generation(), planned, endpoint == null ? null : endpoint.url());
    if (factory.isLedTo(goal) && factory.isStarted()) {
      return;
    }
    Map<String, String> changes = WorkerEnvironment.changes(planned, endpoint, factory::brought);
    if (!factory.isLedTo(goal)) {
      factory.lead(goal, changes);
    }
    if (!factory.hasDaemon()) {
      WorkerEnvironment.withhold(changes);
    } else {
      // What is withheld from the daemon comes back at once: code in this JVM may need it.
      WorkerEnvironment.withhold(changes);
      try {
        factory.start();
      } finally {
        WorkerEnvironment.giveBack();
      }
    }
  }

  /** Finds out by its values whether the environment of this JVM has changed: a role, a renewal and a release each write it. */
  private static void leadToEnvironment(PythonFactory factory) {
    LiveSet set = LiveStore.findCurrent();
    boolean isLed = set != null && !set.endpointVariables().isEmpty();
    if (isLed) {
      changed = set.endpointVariables();
    }
    if (changed.isEmpty()) {
      return;
    }
    Map<String, String> withheld = new LinkedHashMap<>();
    List<Object> goal = new ArrayList<>();
    goal.add(isLed);
    for (String name : WorkerEnvironment.credentialNames(changed)) {
      goal.add(System.getenv(name));
      withheld.put(name, null);
    }
    if (!factory.isLedTo(goal)) {
      factory.lead(goal, isLed ? withheld : Collections.emptyMap());
    }
  }

  /** Returns the newest set that was pushed to this executor; null for none. Parses only what is new. */
  private static LiveSet newest() {
    try {
      byte[] bytes = PushedCredentials.readBytes();
      if (bytes != pushed) {
        roles = bytes == null ? null : LiveSet.fromBytes(bytes);
        pushed = bytes;
      }
      return roles;
    } catch (IOException e) {
      throw new IllegalStateException("the credentials on this executor cannot be read: " + e.getMessage(), e);
    }
  }

  /** Starts the endpoint unless it has started. Without one, nobody is to have another identity than the role. */
  private static void startEndpoint() {
    try {
      if (endpoint == null) {
        endpoint = CredentialsEndpoint.start();
      }
      endpoint.keepTokenFile();
    } catch (IOException | LinkageError e) {
      // Asked before each task in Python.
      LOG.log(hasWarned ? Level.FINE : Level.WARNING, "Python workers on this executor get no credentials", e);
      hasWarned = true;
    }
  }
}
