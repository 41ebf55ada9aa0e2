package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.cloud.RoleMapping;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The native library, which makes every decision.
 *
 * <p>Its methods belong to an instance that only {@link #loaded} hands out, so nobody can call one before the library is
 * loaded.
 */
public final class Native {
  private static final Set<String> WARNED = ConcurrentHashMap.newKeySet();
  private static final Native LIBRARY;
  private static final Throwable FAILURE;

  // Throws nothing: a class whose initialiser throws once answers NoClassDefFoundError for ever, without the reason.
  static {
    Native library = null;
    Throwable failure = null;
    try {
      NativeLoader.load();
      library = new Native();
    } catch (Exception | LinkageError e) {
      failure = e;
    }
    LIBRARY = failure == null ? library : null;
    FAILURE = failure;
  }

  private Native() {}

  /**
   * Loads the library at the first call.
   *
   * @return the library
   * @throws CloudCredentialException when it cannot be loaded; each call gives the same reason
   */
  public static Native loaded() throws CloudCredentialException {
    if (FAILURE != null) {
      throw new CloudCredentialException(FAILURE.getMessage(), FAILURE, 0);
    }
    return LIBRARY;
  }

  /**
   * Lists every setting.
   *
   * @return the core's table
   */
  native Setting[] settings();

  /**
   * Shows the value that counts of each setting that is set, without a secret.
   *
   * @param settings the settings
   * @return one text
   */
  native String show(JvmSettings settings);

  /**
   * Returns true if the static {@code fs.s3a.*} keys are to be written.
   *
   * @param settings the settings
   * @return true unless the switch is off
   * @throws CloudCredentialException when the switch has a value that is neither true nor false
   */
  public native boolean hasStaticKeys(JvmSettings settings) throws CloudCredentialException;

  /**
   * Returns true if credentials that end without a refresh are to be refused.
   *
   * @param settings the settings
   * @return false unless the switch is on
   * @throws CloudCredentialException when the switch has a value that is neither true nor false
   */
  public native boolean requiresLive(JvmSettings settings) throws CloudCredentialException;

  /**
   * Lists how the environment of an executor has to change so that the programs which it starts ask an endpoint for credentials.
   *
   * @param settings the settings
   * @return a name, and after it {@code url}, {@code token}, {@code token-file} or {@code no-proxy} for what of the endpoint the
   *     variable gets, or {@code removed}; nothing when the switch is off
   * @throws CloudCredentialException when the switch has a value that is neither true nor false
   */
  native String[] endpointVariables(JvmSettings settings) throws CloudCredentialException;

  /**
   * Finds the truststores that the settings name.
   *
   * @param settings the settings, still without certificates
   * @return the domain's and the JVM's; null for one that is not set
   */
  native TrustStore[] trustStores(JvmSettings settings);

  /**
   * Lists the role mappings, in the order of their ids.
   *
   * @param settings the settings
   * @return the role mappings
   * @throws CloudCredentialException when there is no answer
   */
  public native RoleMapping[] roleMappings(JvmSettings settings)
      throws CloudCredentialException;

  /**
   * Finds a role by the id of its mapping.
   *
   * @param settings the settings
   * @param id the id
   * @return its ARN
   * @throws CloudCredentialException when there is no such role, or no answer
   */
  public native String role(JvmSettings settings, int id) throws CloudCredentialException;

  /**
   * Finds the caller's default role.
   *
   * @param settings the settings
   * @return its ARN
   * @throws CloudCredentialException when there is no such role, or no answer
   */
  public native String defaultRole(JvmSettings settings) throws CloudCredentialException;

  /**
   * Fetches credentials and validates them. Applies nothing.
   *
   * @param settings the settings
   * @param request the request
   * @param renews whether the caller renews them; a role-mapping server may then answer with some that have half of their
   *     time left
   * @param chance a random number from 0 to 1, which spreads the refreshes of many jobs
   * @return the credentials, and when newer ones are to be fetched
   * @throws CloudCredentialException when there are none
   */
  native Fetched assumeRole(JvmSettings settings, RoleRequest request, boolean renews, double chance)
      throws CloudCredentialException;

  /**
   * Names where roles and credentials come from.
   *
   * @param settings the settings
   * @return the name
   * @throws CloudCredentialException when a setting is missing or cannot be used
   */
  native String source(JvmSettings settings) throws CloudCredentialException;

  /**
   * Checks everything that can keep roles from being assumed.
   *
   * @param settings the settings
   * @param found the findings of this JVM, see {@link Findings#toTriples}
   * @return a line for each finding, those of {@code found} included, and one that counts the problems
   * @throws CloudCredentialException when the operating system gives no network runtime
   */
  native String examine(JvmSettings settings, String[] found)
      throws CloudCredentialException;

  /**
   * Decides when to try again after a failed fetch.
   *
   * @param failures how many fetches have failed since the last success, this one included
   * @param leftMillis for how long the credentials in use are still valid
   * @param validForMillis for how long they were valid when they were fetched
   * @param chance a random number from 0 to 1
   * @return milliseconds from the failure
   */
  native long retryAfterMillis(long failures, long leftMillis, long validForMillis, double chance);

  /**
   * Says how long it is until a span has passed, by the clock that says so first.
   *
   * @param sinceMillis the time of day when it began, in milliseconds since 1970
   * @param spanMillis the span
   * @param passedMillis how long ago that is by the monotonic clock
   * @param nowMillis the time of day now
   * @return milliseconds; 0 when it has passed
   */
  native long dueMillis(long sinceMillis, long spanMillis, long passedMillis, long nowMillis);

  /**
   * Says how long to sleep before looking at both clocks again, see {@link #dueMillis}.
   *
   * @return milliseconds; 0 when the span has passed
   */
  native long waitMillis(long sinceMillis, long spanMillis, long passedMillis, long nowMillis);

  /**
   * Says how long credentials are still good.
   *
   * @param sinceMillis the time of day when they came
   * @param validForMillis for how long they were good then
   * @param expirationMillis when they end by the clock of the service, in milliseconds since 1970
   * @param passedMillis how long ago they came by the monotonic clock
   * @param nowMillis the time of day now
   * @return milliseconds; 0 when they have ended
   */
  native long leftMillis(long sinceMillis, long validForMillis, long expirationMillis, long passedMillis, long nowMillis);

  /**
   * Reads the variables that make up the base identity, as they stand now without what we wrote.
   *
   * @param record what we wrote, see {@link WrittenEnvironment#record}
   * @return name, value, name, value, …
   */
  native String[] environmentBase(String[] record);

  /**
   * Writes what readers need to find credentials into the map behind {@code System.getenv()} and into the C library's
   * environment.
   *
   * @param credentials the credentials
   * @param record what we wrote before
   * @return what is written now, and how to undo it
   */
  native WrittenEnvironment environmentPut(Credentials credentials, String[] record);

  /**
   * Overwrites the values of {@link #environmentPut} with newer credentials.
   *
   * @param credentials the credentials
   * @param record what we wrote before
   * @return what is written now; null, and nothing is written, when somebody else has replaced the keys since
   */
  native WrittenEnvironment environmentRenew(Credentials credentials, String[] record);

  /**
   * Gives back what each variable held before us, where it still holds what we wrote.
   *
   * @param record what we wrote
   */
  native void environmentRelease(String[] record);

  /**
   * Undoes {@link #environmentPut}.
   *
   * @param written what it returned
   */
  native void environmentUndo(WrittenEnvironment written);

  // Called by the native library. Names the facade by a text, since this package does not know its class.
  private static void warn(String text) {
    if (WARNED.add(text)) {
      Logger.getLogger("io.hops.util").logp(Level.WARNING, "io.hops.util.CredentialsProvider", null, text);
    }
  }
}
