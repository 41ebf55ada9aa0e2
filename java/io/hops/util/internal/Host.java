package io.hops.util.internal;

import io.hops.util.exceptions.CloudCredentialException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** What surrounds the roles in this JVM: {@link PlainHost}, or Spark. One for the whole JVM, see {@link HostLoader}. */
public interface Host {
  /**
   * Whether this JVM only reads with roles that another one assumes.
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
   * Refuses to go on where {@code AWS_*} in the environment would do harm.
   *
   * @throws CloudCredentialException when this machine's host name has no address and somebody looks it up
   */
  void refuseEnvironment() throws CloudCredentialException;

  /**
   * Lists the places that roles are written to beside the store and the environment.
   *
   * @return new effects, in the order in which they are applied
   */
  List<Effect> effects();

  /**
   * Finds a place that the roles in use have not reached. Asked at each request to S3.
   *
   * @return a new effect on it; null when there is none
   */
  Effect findPending();

  /**
   * Reads the roles in use as they came to this executor.
   *
   * @return the roles; null when none have come, and on a JVM that is not an executor
   * @throws IOException when they came damaged
   */
  LiveSet readPushed() throws IOException;

  /**
   * Finds where the credentials of a bucket come to this executor.
   *
   * @param bucket the bucket, or {@link LiveRole#APPLICATION}
   * @return answers as {@link LiveSet#answer}; null on a JVM that is not an executor
   */
  Supplier<Object[]> findPushed(String bucket);

  /**
   * Lists the configuration of the application, in which settings may stand.
   *
   * @return values by full name, secrets of others among them
   */
  Map<String, String> settings();

  /**
   * Says how S3A gets credentials in this JVM.
   *
   * @return words for {@code explain} and the log
   */
  String mode();

  /**
   * Finds the provider that the user chose for one bucket.
   *
   * @param bucket the bucket
   * @return the name of its class, or a list; null when there is none, or it is ours
   */
  String findForeignProvider(String bucket);

  /**
   * Looks for what keeps roles from being assumed, refreshed or seen here.
   *
   * @param findings where to put what is found
   */
  void examine(Findings findings);
}
