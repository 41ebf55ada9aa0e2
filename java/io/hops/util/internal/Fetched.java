package io.hops.util.internal;

import io.hops.util.cloud.Credentials;

/** Credentials that have just been fetched, and what the core says about them. */
final class Fetched {
  final Credentials credentials;

  /** The validity that was left when the answer was made. */
  final long validForMillis;

  /** The delay, from the answer on, after which to fetch newer ones. */
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
