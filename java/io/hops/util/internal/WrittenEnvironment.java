package io.hops.util.internal;

/** What we wrote to the environment of this process. The native library makes it and reads it. */
final class WrittenEnvironment {
  /** For each variable, in order of writing: its name, the value before us and the value of ours; null for none. */
  final String[] record;

  /** The writes, in order, that undo the last ones: name, value, name, value, … */
  final String[] undo;

  WrittenEnvironment(String[] record, String[] undo) {
    this.record = record;
    this.undo = undo;
  }
}
