package io.hops.util.internal

/** Does what the refresher does with new credentials, as often as a test likes. */
object Refresh {
  def deliver(accessKeyId: String): Unit = deliver(held =>
    new LiveRole(LiveRole.APPLICATION, held.roleArn, accessKeyId, "secret", "token", held.expirationMillis))

  /** Delivers the same credentials again, with which reads go on. */
  def again(): Unit = deliver(held => held)

  private def deliver(next: LiveRole => LiveRole): Unit = LiveRoles.LOCK.synchronized {
    val store = LiveStore.own()
    store.replace(store.current.refresh(next(store.current.findOwn(LiveRole.APPLICATION))))
    LiveRoles.refresh(store)
  }
}
