//! Files that only this user reads and writes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Creates a file where there is none.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Replaces a file as a whole: a reader sees the old contents or the new ones.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    create(&new)?.write_all(contents)?;
    std::fs::rename(&new, path)
}

/// A file whose lock this program holds until it drops it; none where the system has no locks.
pub(crate) struct Turn {
    _lock: Option<File>,
}

/// Waits for the lock of a file, which programs of this user share; `None` when another one holds it for longer.
pub(crate) fn lock_within(path: &Path, limit: Duration) -> Option<Turn> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let Ok(lock) = lock else { return Some(Turn { _lock: None }) };
    match lock.try_lock() {
        Ok(()) => return Some(Turn { _lock: Some(lock) }),
        Err(TryLockError::Error(_)) => return Some(Turn { _lock: None }),
        Err(TryLockError::WouldBlock) if limit.is_zero() => return None,
        Err(TryLockError::WouldBlock) => {}
    }
    let (sender, receiver) = channel();
    // Ends with the process where nobody gives the lock away.
    thread::spawn(move || {
        let is_ours = lock.lock().is_ok();
        let _ = sender.send(Turn { _lock: is_ours.then_some(lock) });
    });
    receiver.recv_timeout(limit).ok()
}
