package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;

/** An error of the core, with what the core says of it. Callers know it as a {@link CloudCredentialException}. */
public final class Failure extends CloudCredentialException {
  private static final long serialVersionUID = 1L;

  private final String kind;
  private final boolean isPassing;

  /** Made by the native library. */
  private Failure(String message, Throwable cause, int code, String kind, boolean isPassing) {
    super(message, cause, code);
    this.kind = kind;
    this.isPassing = isPassing;
  }

  /**
   * Says who can act.
   *
   * @return the name of the kind of error in the core, which Python's exceptions are named after
   */
  public String kind() {
    return kind;
  }

  /** Whether the same request may succeed later without anybody changing anything. */
  boolean isPassing() {
    return isPassing;
  }

  /** By the name that is in the caller's {@code catch}. */
  @Override
  public String toString() {
    return CloudCredentialException.class.getName() + ": " + getMessage();
  }
}
