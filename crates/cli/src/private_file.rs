//! Files that only this user reads and writes.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::geteuid;

/// Makes a directory that others can neither list nor change, or takes one that is there.
///
/// # Errors
/// As the system; [`ErrorKind::PermissionDenied`] where one of somebody else is there, or one that others may list or change.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let found = std::fs::symlink_metadata(path)?;
    let is_ours = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o066 == 0;
    is_ours.then_some(()).ok_or_else(|| ErrorKind::PermissionDenied.into())
}

/// Creates a file where there is none.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Replaces a file as a whole: a reader sees the old contents or the new ones.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    let replaced =
        create(&new).and_then(|mut file| file.write_all(contents)).and_then(|()| std::fs::rename(&new, path));
    replaced.inspect_err(|_| drop(std::fs::remove_file(&new)))
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
