package io.hops.util.internal;

import java.util.ArrayList;
import java.util.List;

/** What this JVM found when it looked at itself, in the words of the core's {@code doctor}. */
public final class Findings {
  private final List<String> triples = new ArrayList<>();

  /**
   * Adds something that is as it should be.
   *
   * @param check what was looked at
   * @param text what was found
   */
  public void good(String check, String text) {
    add(check, "true", text);
  }

  /**
   * Adds something that somebody must act on.
   *
   * @param check what was looked at
   * @param text the cause, and after a semicolon what to do
   */
  public void problem(String check, String text) {
    add(check, "false", text);
  }

  private void add(String check, String isGood, String text) {
    triples.add(check);
    triples.add(isGood);
    triples.add(text);
  }

  /** Check, whether it is good, text; check, … */
  String[] toTriples() {
    return triples.toArray(new String[0]);
  }
}
