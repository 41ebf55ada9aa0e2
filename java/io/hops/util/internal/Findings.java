package io.hops.util.internal;

import java.util.ArrayList;
import java.util.List;

/** Collects what this JVM finds when it checks itself, in the form that the core's {@code doctor} takes. */
public final class Findings {
  private final List<String> triples = new ArrayList<>();

  /**
   * Adds a check that found nothing wrong.
   *
   * @param check what was checked
   * @param text what was found
   */
  public void good(String check, String text) {
    add(check, "true", text);
  }

  /**
   * Adds a problem that somebody must act on.
   *
   * @param check what was checked
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

  /** Converts to three texts for each finding: check, whether it is good, text. */
  String[] toTriples() {
    return triples.toArray(new String[0]);
  }
}
