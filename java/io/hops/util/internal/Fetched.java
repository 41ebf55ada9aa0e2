package io.hops.util.internal;

import io.hops.util.cloud.Credentials;

/** Credentials just fetched, what was left of their life when the answer was made, and the name of their session or null. */
final class Fetched {
  final Credentials credentials;
  final long lifeMillis;
  final String sessionName;

  Fetched(Credentials credentials, long lifeMillis, String sessionName) {
    this.credentials = credentials;
    this.lifeMillis = lifeMillis;
    this.sessionName = sessionName;
  }
}
