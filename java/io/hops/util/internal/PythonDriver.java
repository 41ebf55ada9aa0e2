package io.hops.util.internal;

/** Whether the program of this driver is in Python, so that executors may start Python workers. */
public final class PythonDriver {
  private static volatile boolean isHere;

  private PythonDriver() {}

  /** Notes that Python has called. */
  public static void found() {
    isHere = true;
  }

  /**
   * Returns true if Python has called.
   *
   * @return false also for a Python program that leaves the role to the configuration
   */
  public static boolean isHere() {
    return isHere;
  }
}
