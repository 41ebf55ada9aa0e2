//! The directory in which `serve` and `process` of one user meet: `$XDG_RUNTIME_DIR/hops-credentials`.
//!
//! It lies in memory and ends with the user's session. We use it only when it belongs to this user and nobody else can
//! look into it.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::settings::{API_KEY, PROJECT_ID, REST_ENDPOINT, ROLES, SECRETS_DIR, Settings};
use hops_credentials_core::text::hex;
use ring::digest::{SHA256, digest};

use crate::role_option::RoleOption;

/// The directory, and the name in it of one request by one caller.
pub(crate) struct RuntimeDir {
    directory: PathBuf,
    name: String,
}

impl RuntimeDir {
    /// Opens the directory, and makes it where there is none; `None` without `XDG_RUNTIME_DIR`, or when the directory
    /// is not this user's alone.
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

    /// The file in which `serve` says how it is reached.
    pub(crate) fn announcement(&self) -> PathBuf {
        self.directory.join(format!("{}.serve", self.name))
    }

    /// The file in which `process` keeps credentials.
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.join(format!("{}.kept", self.name))
    }

    /// The file whose lock one `process` holds while it fetches.
    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join(format!("{}.lock", self.name))
    }
}

/// A name that differs wherever the credentials could: by who asks, whom, and for what.
fn name(settings: &Settings, option: &RoleOption) -> String {
    let mut text = String::new();
    for setting in [&REST_ENDPOINT, &PROJECT_ID, &API_KEY, &SECRETS_DIR, &ROLES] {
        text.push_str(&format!("{setting}={:?}\n", settings.get(setting)));
    }
    if settings.get(&REST_ENDPOINT).is_none() {
        for (name, value) in Environment::now(&[]).saved() {
            text.push_str(&format!("{name}={:?}\n", value.as_str()));
        }
    }
    text.push_str(&format!("{option:?}"));
    hex(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}
