package io.hops.util.spark;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The environment with which Python workers start on an executor: the variables that their functions bring, which we change, over
 * those of this JVM, some of which are withheld from them.
 *
 * <p>Problem: an executor has no native library, and Java offers no way to write its own environment. Solution: Spark opens the
 * packages of the JDK for its JVMs, and the map behind {@code System.getenv()} is what {@code ProcessBuilder} copies. Where no
 * variable is to be withheld, nothing is written.
 *
 * <p>Used under the lock of SparkEnv alone.
 */
final class WorkerEnvironment {
  private static final String EMPTY_FILE = "/dev/null";

  /** Where nobody listens: the port of the discard protocol. */
  private static final String NOBODY = "http://127.0.0.1:9/credentials";

  private static final String ADDRESS = "127.0.0.1";
  private static final String NO_PROXY = "no-proxy";
  private static final String VALUE_OF = "value-of:";
  private static final List<String> ALL = Collections.singletonList("*");

  /** What is withheld now. */
  private static final Map<String, String> WITHHELD = new HashMap<>();

  private WorkerEnvironment() {}

  /**
   * Says what each variable holds for workers that are led to an endpoint.
   *
   * @param planned see {@link io.hops.util.internal.LiveSet#endpointVariables}
   * @param endpoint the endpoint; null for one that refuses everybody
   * @param brought what the functions bring for a variable, or null
   * @return the values, null for a variable that is taken out
   */
  static Map<String, String> changes(List<String> planned, CredentialsEndpoint endpoint, UnaryOperator<String> brought) {
    UnaryOperator<String> before =
        name -> brought.apply(name) != null ? brought.apply(name) : WITHHELD.getOrDefault(name, System.getenv(name));
    Map<String, String> changes = new LinkedHashMap<>();
    for (int i = 0; i < planned.size(); i += 2) {
      String name = planned.get(i);
      String change = planned.get(i + 1);
      if (!change.startsWith(VALUE_OF)) {
        changes.put(name, value(name, change, endpoint, before));
      } else if (before.apply(change.substring(VALUE_OF.length())) != null) {
        changes.put(name, before.apply(change.substring(VALUE_OF.length())));
      }
    }
    return changes;
  }

  /** Lists the variables by which programs find credentials, among those that are planned to change. */
  static List<String> credentialNames(List<String> planned) {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < planned.size(); i += 2) {
      if (!planned.get(i + 1).equals(NO_PROXY)) {
        names.add(planned.get(i));
      }
    }
    return names;
  }

  /**
   * Takes out of the environment of this JVM what workers are not to inherit.
   *
   * @param changes see {@link #changes}
   * @throws IllegalStateException when this JVM keeps its environment elsewhere, or does not let us in
   */
  static void withhold(Map<String, String> changes) {
    for (Map.Entry<String, String> change : changes.entrySet()) {
      String value = System.getenv(change.getKey());
      if (change.getValue() == null && value != null) {
        variables().remove(change.getKey());
        WITHHELD.put(change.getKey(), value);
      }
    }
  }

  /** Puts back what is withheld. */
  static void giveBack() {
    if (!WITHHELD.isEmpty()) {
      variables().putAll(WITHHELD);
      WITHHELD.clear();
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<String, String> variables() {
    try {
      Field map = PythonFactory.field(System.getenv().getClass(), "m");
      return (Map<String, String>) map.get(System.getenv());
    } catch (ReflectiveOperationException | RuntimeException e) {
      throw new IllegalStateException(
          "AWS credentials in the environment of this executor cannot be withheld from Python workers; take them out, or start"
              + " executors with --add-opens=java.base/java.util=ALL-UNNAMED",
          e);
    }
  }

  private static String value(String name, String change, CredentialsEndpoint endpoint, UnaryOperator<String> before) {
    switch (change) {
      case "url":
        return endpoint == null ? NOBODY : endpoint.url();
      case "token":
        return endpoint == null ? "none" : endpoint.token();
      case "token-file":
        return endpoint == null ? EMPTY_FILE : endpoint.tokenFile().toString();
      case NO_PROXY:
        return withoutProxy(before.apply(name) != null ? before.apply(name) : before.apply(otherCase(name)));
      case "empty-file":
        return EMPTY_FILE;
      case "removed":
        return null;
      default:
        throw new IllegalStateException(
            "this executor does not know the change \"" + change + "\"; use one version of hops-credentials on driver and executors");
    }
  }

  /** Adds the address of the endpoint to the exceptions from proxies. */
  private static String withoutProxy(String exceptions) {
    if (exceptions == null || exceptions.trim().isEmpty()) {
      return ADDRESS;
    }
    List<String> entries = Arrays.asList(exceptions.trim().split("\\s*,\\s*"));
    return entries.contains(ADDRESS) || entries.equals(ALL) ? exceptions : exceptions + "," + ADDRESS;
  }

  private static String otherCase(String name) {
    String upper = name.toUpperCase(Locale.ROOT);
    return name.equals(upper) ? name.toLowerCase(Locale.ROOT) : upper;
  }
}
