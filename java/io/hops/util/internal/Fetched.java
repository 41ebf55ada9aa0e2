package io.hops.util.internal;

import io.hops.util.cloud.Credentials;

/** Credentials that have just been fetched, and what the core says about them. */
final class Fetched {
  final Credentials credentials;

  /** For how long they were valid when the answer was made. */
  final long validForMillis;

  /** How long after the answer newer ones are to be fetched. */
  final long refreshAfterMillis;

  /** The name of their session; null when the source does not tell. */
  final String sessionName;

  Fetched(Credentials credentials, long validForMillis, long refreshAfterMillis, String sessionName) {
    this.credentials = credentials;
    this.validForMillis = validForMillis;
    this.refreshAfterMillis = refreshAfterMillis;
    this.sessionName = sessionName;
  }
}
