package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** The surroundings of the roles in this JVM: {@link PlainHost}, or Spark. {@link HostLoader} finds the one of this JVM. */
public interface Host {
  /**
   * Returns true if this JVM only reads with roles that another JVM assumes.
   *
   * @return true on an executor
   */
  boolean isExecutor();

  /**
   * Refuses to go on in a server whose users would share the role.
   *
   * @throws CloudCredentialException in a Thrift or Connect server
   */
  void refuseSharedServer() throws CloudCredentialException;

  /**
   * Returns true in a server whose users would share the role, and could take it home from where everybody reads.
   *
   * @return true in a Thrift or Connect server
   */
  boolean isSharedServer();

  /**
   * Refuses to go on where {@code AWS_*} in the environment would do harm.
   *
   * @throws CloudCredentialException when somebody will look up this machine's host name and it has no address
   */
  void refuseEnvironment() throws CloudCredentialException;

  /**
   * Lists the places that roles are written to beside the store and the environment.
   *
   * @return new effects, in the order in which they are applied
   */
  List<Effect> effects();

  /**
   * Finds a place that the roles in use have not reached. Called at each request to S3.
   *
   * @return a new effect on it; null when there is none
   */
  Effect findPending();

  /**
   * Reads the roles in use as the driver pushed them to this executor.
   *
   * @return the roles; null when none have arrived, and on a JVM that is not an executor
   * @throws IOException when they arrived damaged
   */
  LiveSet readPushed() throws IOException;

  /**
   * Finds the place where the credentials of a bucket arrive on this executor.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   * @return gives the same as {@link LiveSet#answer}; null on a JVM that is not an executor
   */
  Supplier<Object[]> findPushed(String bucket);

  /**
   * Lists the configuration of the application, in which settings may stand.
   *
   * @return values by full name; secrets of others may be among them
   */
  Map<String, String> settings();

  /**
   * Says how S3A gets credentials in this JVM.
   *
   * @return words for {@code explain} and the log
   */
  String mode();

  /**
   * Returns true if S3A reads the paths of a scheme here, with a role when there is one.
   *
   * @param scheme the scheme, such as {@code s3a}
   * @return true for {@code s3a}, and for others that the configuration gives to S3A
   */
  boolean readsScheme(String scheme);

  /**
   * Finds the provider that the user chose for one bucket.
   *
   * @param bucket the bucket
   * @return the name of its class, or a list; null when there is none, or it is ours
   */
  String findForeignProvider(String bucket);

  /**
   * Says why a bucket would not be opened now.
   *
   * @param bucket the bucket
   * @return a sentence; null when it would
   */
  String explainRefusal(String bucket);

  /**
   * Finds with what a bucket is read by now instead of the role of the application, because the user or a storage connector has set it
   * for this bucket. Never waits.
   *
   * @param bucket the bucket
   * @param roles the roles in use
   * @return see {@link LiveSet#findOwnKeys}; null also when the application has no role, and on an executor
   */
  String findOwnKeys(String bucket, LiveSet roles);

  /**
   * Tells whether keys with this access key id are set for one bucket by now.
   *
   * @param accessKeyId the access key id
   * @return false on an executor too
   */
  boolean areOfOneBucket(String accessKeyId);

  /**
   * Sends the roles in use to the executors, if there are any.
   *
   * @throws CloudCredentialException when that is not possible
   */
  void push() throws CloudCredentialException;

  /**
   * Says with what the catalogs of tables read that do not read by S3A.
   *
   * @param scheme the scheme of a path
   * @return a line for each that can have tables below such a path
   */
  List<String> explainCatalogs(String scheme);

  /**
   * Checks everything here that can keep roles from being assumed, refreshed or seen.
   *
   * @param findings receives the findings
   */
  void examine(Findings findings);
}
