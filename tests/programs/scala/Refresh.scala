package io.hops.util.internal

/** What the refresher does with new credentials, as often as a test likes. */
object Refresh {
  def deliver(accessKeyId: String): Unit = Roles.LOCK.synchronized {
    val store = LiveStore.own()
    val held = store.set.bound(Binding.APPLICATION)
    store.replace(store.set.refresh(new Binding(Binding.APPLICATION, held.role, accessKeyId, "secret", "token", held.expirationMillis)))
    Roles.refresh(store)
  }
}
