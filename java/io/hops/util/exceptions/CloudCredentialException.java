package io.hops.util.exceptions;

/**
 * Thrown when there are no credentials.
 *
 * <p>The message says what was attempted, what came back, and what to do; it holds no secret. {@link #getCause()} is the error
 * below it, if there is one.
 */
public class CloudCredentialException extends Exception {
  private static final long serialVersionUID = 1L;

  /** 380000 to 380004, else the HTTP status, else 0. */
  private final int code;

  /** See {@link #getKind}. */
  private final Kind kind;

  /** See {@link #isRetryable()}. */
  private final boolean isRetryable;

  /** See {@link #isWithdrawal()}. */
  private final boolean isWithdrawal;

  /** Says who can act. Python has an exception of its own for each: {@code NotConfiguredError}, {@code RefusedError} and so on. */
  public enum Kind {
    /** The operator can act: a setting or the base identity is missing, or cannot be used. */
    NOT_CONFIGURED,
    /** The administrator can act: the server or STS understood the request and said no. */
    REFUSED,
    /** A service was busy or out of reach. Nobody need act; the same call may succeed later. */
    UNAVAILABLE,
    /** The operator of the service can act: its answer is not what the contract says. */
    BAD_ANSWER,
    /** The message says who: this JVM or Spark is in the way. */
    OTHER
  }

  /**
   * Makes one without a cause or a code.
   *
   * @param message one sentence, without secrets
   */
  public CloudCredentialException(String message) {
    this(message, null, 0);
  }

  /**
   * Makes one with the text of its cause and without a code.
   *
   * @param cause the error below
   */
  public CloudCredentialException(Throwable cause) {
    super(cause);
    this.code = 0;
    this.kind = Kind.OTHER;
    this.isRetryable = false;
    this.isWithdrawal = false;
  }

  /**
   * Makes one with a cause and a code.
   *
   * @param message one sentence, without secrets
   * @param cause the error below, or null
   * @param code what {@link #getCode} returns
   */
  public CloudCredentialException(String message, Throwable cause, int code) {
    this(message, cause, code, Kind.OTHER, false, false);
  }

  /** Called by the native library with the name of a {@link Kind}. */
  private CloudCredentialException(
      String message, Throwable cause, int code, String kind, boolean isRetryable, boolean isWithdrawal) {
    this(message, cause, code, Kind.valueOf(kind), isRetryable, isWithdrawal);
  }

  private CloudCredentialException(
      String message, Throwable cause, int code, Kind kind, boolean isRetryable, boolean isWithdrawal) {
    super(message, cause);
    this.code = code;
    this.kind = kind;
    this.isRetryable = isRetryable;
    this.isWithdrawal = isWithdrawal;
  }

  /**
   * Returns the code of the role-mapping contract, which tells who refused.
   *
   * @return 380000 (no cloud deployment), 380001 (STS refused), 380002 (role mapped, but not for the caller), 380003 (no
   *     such mapping) or 380004 (mapping exists); else the HTTP status of the answer; else 0
   */
  public int getCode() {
    return code;
  }

  /**
   * Returns the kind, which tells who can act.
   *
   * @return the kind, never null
   */
  public Kind getKind() {
    return kind;
  }

  /**
   * Returns true if the same call may succeed later although nobody changes anything.
   *
   * @return true when a server or STS was busy or out of reach; false when Spark is in the way
   */
  public boolean isRetryable() {
    return isRetryable;
  }

  /**
   * Returns true if credentials of this role that were given out earlier must not be used any more.
   *
   * @return true when the source says no to the role itself, or to the caller; false when it is only out of reach
   */
  public boolean isWithdrawal() {
    return isWithdrawal;
  }
}
