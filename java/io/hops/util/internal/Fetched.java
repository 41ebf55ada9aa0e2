package io.hops.util.internal;

import io.hops.util.cloud.Credentials;

/** Credentials just fetched, and what the core says about them. */
final class Fetched {
  final Credentials credentials;

  /** For how long they were valid when the answer was made. */
  final long validForMillis;

  /** How long after the answer they are due to be fetched anew. */
  final long refreshAfterMillis;

  /** The name of their session, or null. */
  final String sessionName;

  Fetched(Credentials credentials, long validForMillis, long refreshAfterMillis, String sessionName) {
    this.credentials = credentials;
    this.validForMillis = validForMillis;
    this.refreshAfterMillis = refreshAfterMillis;
    this.sessionName = sessionName;
  }
}
