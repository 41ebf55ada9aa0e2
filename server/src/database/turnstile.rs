//! A turnstile of two lock files beside a database of SQLite, so that processes write in turn.
//!
//! Problem: SQLite has no queue of writers. Who finds the database locked looks again after up to 100 ms, and a server that writes without
//! pause is faster each time, until the other one gives up.
//!
//! Solution: a writer locks `next`, then `now`, then releases `next`; it writes, and releases `now`. The writer that holds `next` is the
//! next one, however busy the others are. The locks make it fair only; SQLite's own lock keeps the database right. So nobody waits long
//! for them: who has waited in vain goes on without, and waits for a moment only for some time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The pause between two tries to take a lock that somebody holds.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The longest wait at the turnstile for one write.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest wait after one in vain. Who has the turn looks at least every 100 ms whether SQLite is free: soon it finds it free.
const HURRIED_PATIENCE: Duration = Duration::from_millis(60);

/// The time for which writers hurry after a wait in vain.
const HURRY: Duration = Duration::from_secs(5);

/// The turnstile of a database. The writers of one process pass it one at a time.
#[derive(Debug)]
pub struct Turnstile {
    next: Arc<File>,
    now: Arc<File>,
    hurried_until: Mutex<Option<Instant>>,
}

/// A lock of a file, which ends when it is dropped.
#[derive(Debug)]
pub struct Held(Arc<File>);

impl Drop for Held {
    fn drop(&mut self) {
        // If it fails, the lock ends with the process.
        let _ = self.0.unlock();
    }
}

impl Turnstile {
    /// Opens the two files beside the database, with its owner and the mode 0600.
    ///
    /// # Errors
    /// The error of the system, for example because they belong to another user.
    pub fn open(database: &Path) -> io::Result<Self> {
        let owner = database.metadata()?;
        let open = |suffix: &str| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(PathBuf::from(path))?;
            if file.metadata()?.uid() != owner.uid() {
                // Only root may give a file away; the server, another user, can then open it.
                fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok::<_, io::Error>(Arc::new(file))
        };
        Ok(Self { next: open("-next")?, now: open("-now")?, hurried_until: Mutex::default() })
    }

    /// Waits for the turn of this process, one second at most. Returns what to hold until the write ends; `None` if the wait was in
    /// vain.
    pub async fn pass(&self) -> Option<Held> {
        let hurried_until = || self.hurried_until.lock().expect("nobody panics while holding it");
        let is_hurried = hurried_until().is_some_and(|until| Instant::now() < until);
        let end = Instant::now() + if is_hurried { HURRIED_PATIENCE } else { PATIENCE };
        let passed = async {
            let _next = lock(&self.next, end).await?;
            lock(&self.now, end).await
        };
        let held = passed.await;
        *hurried_until() = held.is_none().then(|| Instant::now() + HURRY);
        held
    }
}

/// Locks a file or a directory, or gives up at `end`. A file system without locks gives up at once.
pub async fn lock(file: &Arc<File>, end: Instant) -> Option<Held> {
    loop {
        match file.try_lock() {
            Ok(()) => return Some(Held(file.clone())),
            Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(POLL_INTERVAL).await,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_waited_in_vain_still_lets_others_take_their_turn() {
        let directory = std::env::temp_dir().join(format!("turnstile-files-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let database = directory.join("roles.db");
        std::fs::write(&database, "").expect("a file");
        let (server, command) =
            (Turnstile::open(&database).expect("files"), Turnstile::open(&database).expect("files"));
        let apply = command.pass().await.expect("nobody else is there");
        assert!(server.pass().await.is_none(), "the other one is at work for long");
        drop(apply);
        let short = command.pass().await.expect("the turn is free");
        let ending = tokio::spawn(async move {
            sleep(Duration::from_millis(10)).await;
            drop(short);
        });
        assert!(server.pass().await.is_some(), "it waits for the turn of the other one");
        ending.await.expect("no panic");
        std::fs::remove_dir_all(&directory).expect("it is there");
    }
}
