package io.hops.util.internal;

import io.hops.util.cloud.Credentials;
import io.hops.util.exceptions.CloudCredentialException;
import java.net.InetAddress;
import java.net.UnknownHostException;

/** The environment of this process: what System.getenv, the C library and new child processes see. */
final class EnvironmentEffect implements Effect {
  private final Native library;
  private String[] before;

  EnvironmentEffect(Native library) {
    this.library = library;
  }

  @Override
  public void apply(Credentials credentials) throws CloudCredentialException {
    // With AWS_* in the environment Spark looks up the host's name whenever it makes a Hadoop configuration, and throws
    // when there is no address for it.
    if (Spark.isPresent()) {
      try {
        InetAddress.getLocalHost();
      } catch (UnknownHostException e) {
        throw new CloudCredentialException(
            "setting AWS_* in the environment would break Spark: this machine's host name has no address; add it to"
                + " /etc/hosts",
            e,
            0);
      }
    }
    before = library.environmentPut(credentials);
  }

  @Override
  public void undo() {
    library.environmentRestore(before);
  }
}
