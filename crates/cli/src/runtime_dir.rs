//! The directory in which `serve` and `process` of one user meet: `$XDG_RUNTIME_DIR/hops-credentials`.
//!
//! It lies in memory and ends with the user's session. We use it only when it belongs to this user and nobody else can
//! look into it.

use std::fs::{DirEntry, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::text::hex;
use ring::digest::{SHA256, digest};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credentials_endpoint::{CredentialsEndpoint, random_hex};
use crate::private_file;
use crate::role_option::RoleOption;

/// The end of the names of announcements.
const SERVE: &str = ".serve";
/// The age at which nobody needs what `process` left: credentials last for 12 hours at most. A new login has a new name.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// The directory, and the name in it of one request by one caller.
pub(crate) struct RuntimeDir {
    directory: PathBuf,
    name: String,
}

impl RuntimeDir {
    /// Opens the directory, and makes it where there is none; `None` without an absolute `XDG_RUNTIME_DIR`, or when it
    /// is another user's: `sudo` may keep the variable, and a directory of root would be in that user's way. In a place of
    /// root, such as the `/tmp` that some images name, each user has the directory or has none.
    ///
    /// Source: XDG Base Directory Specification, which says to ignore a relative path, and who owns the directory.
    pub(crate) fn open(settings: &Settings, option: &RoleOption) -> Option<Self> {
        let parent = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute())?;
        std::fs::metadata(&parent).ok().filter(|parent| is_safe(geteuid().as_raw(), parent.uid(), parent.mode()))?;
        let directory = parent.join("hops-credentials");
        private_file::make_directory(&directory).ok()?;
        Some(Self { directory, name: name(settings, option) })
    }

    /// The file in which `process` keeps credentials.
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.join(format!("{}.kept", self.name))
    }

    /// The file in which `process` keeps the failure of its last fetch.
    pub(crate) fn failure(&self) -> PathBuf {
        self.directory.join(format!("{}.failed", self.name))
    }

    /// The file whose lock one `process` holds while it fetches.
    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join(format!("{}.lock", self.name))
    }

    /// Says how a running `serve` is reached, in a file of its own, until the announcement is dropped.
    ///
    /// # Errors
    /// As the system, when the file cannot be written.
    pub(crate) fn announce(&self, served_at: &ServedAt) -> io::Result<Announcement> {
        let name = random_hex::<8>().map_err(io::Error::other)?;
        let (new, path) = [".new", SERVE]
            .map(|end| format!("{}.{name}{end}", self.name))
            .map(|name| self.directory.join(name))
            .into();
        let mut file = private_file::create(&new)?;
        file.lock()?;
        let text = Zeroizing::new(serde_json::to_string(served_at).expect("texts are JSON"));
        file.write_all(text.as_bytes())?;
        std::fs::rename(&new, &path)?;
        Ok(Announcement { path, _lock: file })
    }

    /// How each running `serve` for the same request is reached. Removes what one left behind that was killed, since
    /// another user may listen at its port by now, and what is old.
    pub(crate) fn running(&self) -> Vec<ServedAt> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let mut running = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if !name.ends_with(SERVE) {
                remove_if_old(&entry);
            } else if name.starts_with(&self.name) {
                running.extend(read_if_running(&entry.path()));
            }
        }
        running
    }
}

/// Whether a directory is this user's, or root's and nobody else can put another one in the place of ours.
fn is_safe(user: u32, owner: u32, mode: u32) -> bool {
    let is_kept = mode & 0o022 == 0 || mode & 0o1000 != 0;
    owner == user || owner == 0 && is_kept
}

/// A lock that somebody holds for so long is removed too: at worst two programs fetch at once.
fn remove_if_old(entry: &DirEntry) {
    let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|modified| modified.elapsed().ok());
    if age.is_some_and(|age| age > OLD) {
        let _ = std::fs::remove_file(entry.path());
    }
}

fn read_if_running(path: &Path) -> Option<ServedAt> {
    let mut file = File::open(path).ok()?;
    if file.try_lock_shared().is_ok() {
        let _ = std::fs::remove_file(path);
        return None;
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The URL and token of a running `serve`, as `process` reads them.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServedAt {
    /// The URL of its endpoint.
    pub(crate) url: String,
    /// The token of its endpoint. Secret.
    pub(crate) token: Zeroizing<String>,
    /// The id of its process, for people.
    process: u32,
}

impl ServedAt {
    pub(crate) fn new(endpoint: &CredentialsEndpoint) -> Self {
        Self {
            url: endpoint.url().to_owned(),
            token: Zeroizing::new(endpoint.token().to_owned()),
            process: std::process::id(),
        }
    }
}

/// The file by which `process` finds a running `serve`, which holds its lock. It is removed on drop.
pub(crate) struct Announcement {
    path: PathBuf,
    _lock: File,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A name that differs wherever the credentials could: by who asks, whom, and for what; and by the network, since containers
/// may share the directory, but neither a loopback nor the identity that the address of a container's credentials gives.
fn name(settings: &Settings, option: &RoleOption) -> String {
    let caller = Source::caller(settings, &Environment::now(&[]));
    let network = std::fs::read_link("/proc/self/ns/net").ok();
    let text = Zeroizing::new(format!("{}{option:?}{network:?}", caller.as_str()));
    hex(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_root_counts_where_nobody_else_can_exchange_what_lies_in_it() {
        let (user, root, other) = (1000, 0, 1001);
        for (owner, mode, is_right) in [
            (user, 0o700, true),
            (other, 0o1777, false),
            (root, 0o755, true),
            // As /tmp is, which some images name.
            (root, 0o1777, true),
            (root, 0o777, false),
            (root, 0o775, false),
        ] {
            assert_eq!(is_safe(user, owner, mode), is_right, "{owner} {mode:o}");
        }
        assert!(!is_safe(root, user, 0o700), "as under sudo, whose user root would be in the way of");
    }
}
