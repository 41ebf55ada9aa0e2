package io.hops.util.internal

/** Does what the refresher does with new credentials, as often as a test likes. */
object Refresh {
  def deliver(accessKeyId: String): Unit = LiveRoles.LOCK.synchronized {
    val store = LiveStore.own()
    val held = store.current.findOwn(LiveRole.APPLICATION)
    store.replace(store.current.refresh(new LiveRole(LiveRole.APPLICATION, held.roleArn, accessKeyId, "secret", "token", held.expirationMillis)))
    LiveRoles.refresh(store)
  }
}
