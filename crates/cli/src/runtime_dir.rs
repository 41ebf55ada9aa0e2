//! The directory in which `serve` and `process` of one user meet: `$XDG_RUNTIME_DIR/hops-credentials`.
//!
//! It lives in memory and ends with the user's session. It is used only when it belongs to this user and nobody else can
//! look into it.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use ring::digest::{SHA256, digest};

use crate::RoleOption;
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::settings::{API_KEY, PROJECT_ID, REST_ENDPOINT, ROLES, SECRETS_DIR, Settings};
use hops_credentials_core::text::hex;

/// The directory, and the name of what is asked for in it.
pub(crate) struct RuntimeDir {
    directory: PathBuf,
    name: String,
}

impl RuntimeDir {
    /// None without `XDG_RUNTIME_DIR`, or when the directory there is not this user's alone.
    pub(crate) fn open(settings: &Settings, option: &RoleOption) -> Option<Self> {
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
    pub(crate) fn served(&self) -> PathBuf {
        self.directory.join(format!("{}.serve", self.name))
    }

    /// Where `process` keeps credentials.
    pub(crate) fn kept(&self) -> PathBuf {
        self.directory.join(format!("{}.kept", self.name))
    }

    /// Held while one of several fetches.
    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join(format!("{}.lock", self.name))
    }
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
    hex(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}
