package io.hops.util.internal;

import io.hops.util.cloud.Credentials;

/** Credentials just fetched, and what was left of their life when the answer was made. */
final class Fetched {
  final Credentials credentials;
  final long lifeMillis;

  Fetched(Credentials credentials, long lifeMillis) {
    this.credentials = credentials;
    this.lifeMillis = lifeMillis;
  }
}
