//! The directory in which `serve` and `process` of one user meet: `$XDG_RUNTIME_DIR/hops-credentials`.
//!
//! It lives in memory and ends with the user's session. It is used only when it belongs to this user and nobody else can
//! look into it.

use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::RoleOption;
use crate::base::Environment;
use crate::endpoint::private_file;
use crate::settings::{API_KEY, PROJECT_ID, REST_ENDPOINT, ROLES, SECRETS_DIR, Settings};

/// The directory, and the name of what is asked for in it.
pub(super) struct Place {
    directory: PathBuf,
    name: String,
}

impl Place {
    /// None without `XDG_RUNTIME_DIR`, or when the directory there is not this user's alone.
    pub(super) fn of(settings: &Settings, option: &RoleOption) -> Option<Self> {
        let parent = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
        let directory = parent.join("hops-credentials");
        match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
        let found = std::fs::symlink_metadata(&directory).ok()?;
        let own = std::fs::metadata("/proc/self").ok()?.uid();
        let is_private = found.is_dir() && found.uid() == own && found.mode() & 0o077 == 0;
        is_private.then(|| Self { directory, name: name(settings, option) })
    }

    /// Where `serve` says how it is reached.
    pub(super) fn served(&self) -> PathBuf {
        self.directory.join(format!("{}.serve", self.name))
    }

    /// Where `process` keeps credentials.
    pub(super) fn kept(&self) -> PathBuf {
        self.directory.join(format!("{}.kept", self.name))
    }

    /// Held while one of several fetches.
    pub(super) fn lock(&self) -> PathBuf {
        self.directory.join(format!("{}.lock", self.name))
    }
}

/// Replaces a file as a whole; only this user reads it.
pub(super) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    private_file(&new)?.write_all(contents)?;
    std::fs::rename(&new, path)
}

/// Different for everything that could make the credentials differ: who asks, of whom, for what.
fn name(settings: &Settings, option: &RoleOption) -> String {
    let mut text = String::new();
    for setting in [&REST_ENDPOINT, &PROJECT_ID, &API_KEY, &SECRETS_DIR, &ROLES] {
        text.push_str(&format!("{setting}={:?}\n", settings.get(setting)));
    }
    if settings.get(&REST_ENDPOINT).is_none() {
        for (name, value) in Environment::at_first_use().saved() {
            text.push_str(&format!("{name}={:?}\n", value.as_str()));
        }
    }
    text.push_str(&format!("{option:?}"));
    let bytes = digest(&SHA256, text.as_bytes());
    bytes.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
