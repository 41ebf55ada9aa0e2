package io.hops.util.internal;

import io.hops.util.CredentialsProvider;
import io.hops.util.CredentialsProvider.AssumeRoleRequest;
import io.hops.util.cloud.Credentials;
import io.hops.util.cloud.RoleMapping;
import io.hops.util.exceptions.CloudCredentialException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * The native library: everything that is a rule is decided there.
 *
 * <p>Its methods belong to an instance that only {@link #loaded} hands out, so that none can be called before the library
 * is there.
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
      BaseEnvironment.share(library);
    } catch (Exception | LinkageError e) {
      failure = e;
    }
    LIBRARY = failure == null ? library : null;
    FAILURE = failure;
  }

  private Native() {}

  /**
   * The library, loaded at the first call.
   *
   * @return the library
   * @throws CloudCredentialException when it cannot be loaded: the same reason at each call
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
   * Whether the static {@code fs.s3a.*} keys are written.
   *
   * @param settings the settings
   * @return true unless they are switched off
   * @throws CloudCredentialException when the switch has a value that is neither true nor false
   */
  public native boolean hasStaticKeys(JvmSettings settings) throws CloudCredentialException;

  /**
   * Whether credentials that end without a refresh are refused.
   *
   * @param settings the settings
   * @return false unless it is switched on
   * @throws CloudCredentialException when the switch has a value that is neither true nor false
   */
  public native boolean requiresLive(JvmSettings settings) throws CloudCredentialException;

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
   * @throws CloudCredentialException when there is none, or no answer
   */
  public native String role(JvmSettings settings, int id) throws CloudCredentialException;

  /**
   * Finds the caller's default role.
   *
   * @param settings the settings
   * @return its ARN
   * @throws CloudCredentialException when there is none, or no answer
   */
  public native String defaultRole(JvmSettings settings) throws CloudCredentialException;

  /**
   * Fetches credentials and validates them; applies nothing.
   *
   * @param settings the settings
   * @param request what is asked for
   * @param chance a random number from 0 to 1, which spreads the refreshes of many jobs
   * @return the credentials, and when they are due to be fetched anew
   * @throws CloudCredentialException when there are none
   */
  native Fetched assumeRole(JvmSettings settings, AssumeRoleRequest request, double chance)
      throws CloudCredentialException;

  /**
   * Names where roles and credentials come from.
   *
   * @param settings the settings
   * @return words for it
   * @throws CloudCredentialException when a setting is missing or cannot be used
   */
  native String source(JvmSettings settings) throws CloudCredentialException;

  /**
   * Looks at everything that keeps roles from being assumed.
   *
   * @param settings the settings
   * @param found see {@link Findings#toTriples}
   * @return a line for each finding, those of {@code found} included, and one that counts the problems
   * @throws CloudCredentialException when the operating system gives no network runtime
   */
  native String examine(JvmSettings settings, String[] found)
      throws CloudCredentialException;

  /**
   * Decides when a fetch that failed is tried again.
   *
   * @param failures how many have failed since the last success, this one included
   * @param leftMillis what is left of the credentials in use
   * @param validForMillis for how long they were valid when they were fetched
   * @param chance a random number from 0 to 1
   * @return milliseconds from the failure
   */
  native long retryAfterMillis(long failures, long leftMillis, long validForMillis, double chance);

  /**
   * Writes the credentials into the map behind {@code System.getenv()} and into the C library's environment.
   *
   * @param credentials what to write
   * @return the values that {@code System.getenv()} had before, null for those it had not
   */
  native String[] environmentPut(Credentials credentials);

  /**
   * Undoes {@link #environmentPut} in both places.
   *
   * @param before what it returned
   */
  native void environmentRestore(String[] before);

  /**
   * The variables that make up the base identity, as they were when this library was first used.
   *
   * @return name, value, name, value, …
   */
  native String[] baseEnvironment();

  /**
   * Takes the base identity's variables from a copy of this library that was there earlier.
   *
   * @param variables what its {@link #baseEnvironment} returned
   */
  native void adoptBaseEnvironment(String[] variables);

  // Called by the native library.
  private static void warn(String text) {
    if (WARNED.add(text)) {
      String facade = CredentialsProvider.class.getName();
      Logger.getLogger("io.hops.util").logp(Level.WARNING, facade, null, text);
    }
  }
}
