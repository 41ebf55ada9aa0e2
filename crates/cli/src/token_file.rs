//! The file in which readers find the token of a [`CredentialsEndpoint`].

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hops_credentials_core::error::Error;
use rustix::process::geteuid;

use crate::credentials_endpoint::{CredentialsEndpoint, random_hex};
use crate::private_file;

/// What begins the names of what we make among temporary files.
const PREFIX: &str = "hops-credentials-";

/// The token in a file that only this user reads, as some readers want it. The process that made it removes it on drop.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    process: u32,
    /// A directory of its own, in which others may open a file whose name they know.
    directory: Option<PathBuf>,
}

impl TokenFile {
    /// Writes the token under a name that nobody can guess, into the first directory that can be written: that of
    /// temporary files (`TMPDIR`), `/tmp`, `/var/tmp`, the user's own (`XDG_RUNTIME_DIR`), which the system empties when
    /// the user logs out although programs go on.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when none of them can be written.
    pub fn create(endpoint: &CredentialsEndpoint) -> Result<Self, Error> {
        let of_login = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let temporary = [temporary_directory(), "/tmp".into(), "/var/tmp".into()];
        Self::create_in_first(endpoint, temporary.into_iter().chain(of_login))
    }

    /// As [`TokenFile::create`], for readers that may change their user, as gosu, su, setpriv and web servers do. Where root runs,
    /// the file lies in a directory that nobody else may list, under a name as long as the token; so whoever has the
    /// environment of the reader, and so the token, can read it.
    ///
    /// # Errors
    /// As [`TokenFile::create`].
    pub fn create_for_command(endpoint: &CredentialsEndpoint) -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Self::create(endpoint);
        }
        let directory = temporary_directory().join(format!("{PREFIX}{}", random_hex::<8>()?));
        let path = directory.join(format!("{}.token", random_hex::<32>()?));
        let file = Self { path, process: std::process::id(), directory: Some(directory) };
        match file.write(endpoint) {
            Ok(()) => Ok(file),
            Err(_) => Self::create(endpoint),
        }
    }

    fn write(&self, endpoint: &CredentialsEndpoint) -> io::Result<()> {
        let Some(directory) = &self.directory else { return write_token(&self.path, endpoint) };
        private_file::make_directory(directory)?;
        write_token(&self.path, endpoint)?;
        // The umask does not count.
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o644))?;
        std::fs::set_permissions(directory, Permissions::from_mode(0o711))
    }

    /// As [`TokenFile::create`], into the first of these directories that can be written. There is at least one.
    fn create_in_first(
        endpoint: &CredentialsEndpoint,
        directories: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Self, Error> {
        let name = format!("{PREFIX}{}.token", random_hex::<8>()?);
        let mut first_error = None;
        for directory in directories {
            let path = directory.join(&name);
            match write_token(&path, endpoint) {
                Ok(()) => return Ok(Self { path, process: std::process::id(), directory: None }),
                Err(source) => first_error = first_error.or(Some(unwritten(&directory, source))),
            }
        }
        Err(first_error.expect("there is a directory"))
    }

    /// Takes over the file of an endpoint whose process has ended: as it is where it still holds the token, else written anew for
    /// whoever could read it.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when it cannot be written.
    pub fn resume(endpoint: &CredentialsEndpoint, path: PathBuf) -> Result<Self, Error> {
        let directory = own_directory(&path).map(Path::to_owned);
        let file = Self { path, process: std::process::id(), directory };
        if !std::fs::read(&file.path).is_ok_and(|found| found == endpoint.token().as_bytes()) {
            let _ = std::fs::remove_file(&file.path);
            file.write(endpoint).map_err(|source| unwritten(&file.path, source))?;
        }
        Ok(file)
    }

    /// Writes the token again where somebody has removed the file, as services that clean up do.
    pub fn restore(&self, endpoint: &CredentialsEndpoint) {
        if !self.path.exists() {
            // Readers say what keeps them from reading it.
            let _ = self.write(endpoint);
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let _ = std::fs::remove_file(&self.path);
            self.directory.iter().for_each(|directory| drop(std::fs::remove_dir(directory)));
        }
    }
}

/// The directory of its own that [`TokenFile::create_for_command`] made for this file, if it did.
fn own_directory(path: &Path) -> Option<&Path> {
    let is_named_by_us = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    path.parent().filter(|directory| is_named_by_us(directory) && !is_named_by_us(path))
}

/// `TMPDIR`, unless it depends on the working directory, which commands change; else `/tmp`.
fn temporary_directory() -> PathBuf {
    Some(std::env::temp_dir()).filter(|path| path.is_absolute()).unwrap_or_else(|| "/tmp".into())
}

fn write_token(path: &Path, endpoint: &CredentialsEndpoint) -> io::Result<()> {
    private_file::create(path)?.write_all(endpoint.token().as_bytes()).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

fn unwritten(path: &Path, source: io::Error) -> Error {
    Error::NotConfigured {
        problem: format!("the token of the endpoint cannot be written to {}: {source}", path.display()),
        remedy: "point TMPDIR to a directory of yours".to_owned(),
        source: Some(Box::new(source)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use hops_credentials_core::credentials::Credentials;

    use super::*;

    fn credentials() -> Credentials {
        let [id, secret, token] = ["ASIAEXAMPLE", "canary-secret", "canary-token"].map(str::to_owned);
        Credentials::new(id, secret, token, SystemTime::UNIX_EPOCH, Duration::ZERO, None)
    }

    #[test]
    fn the_token_file_is_private_and_removed_with_its_owner() {
        let (endpoint, _socket) = CredentialsEndpoint::bind(credentials()).expect("loopback has a port");
        let file = TokenFile::create(&endpoint).expect("a directory that can be written");
        let path = file.path().to_owned();
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), endpoint.token());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_token_file_falls_back_to_the_other_directory() {
        let (endpoint, _socket) = CredentialsEndpoint::bind(credentials()).expect("loopback has a port");
        let parent = |preferred: &str| {
            let file = TokenFile::create_in_first(&endpoint, [preferred.into(), std::env::temp_dir()]);
            file.expect("temporary files can be written").path().parent().map(Path::to_owned)
        };
        for preferred in ["/proc", "/nonexistent"] {
            assert_eq!(parent(preferred), Some(std::env::temp_dir()), "{preferred}");
        }
        let own = std::env::temp_dir().join(format!("hops-credentials-test-{}", std::process::id()));
        std::fs::create_dir(&own).expect("a directory of this test's own");
        assert_eq!(parent(own.to_str().expect("UTF-8")), Some(own.clone()));
        std::fs::remove_dir(&own).expect("the file is gone");
        let neither = TokenFile::create_in_first(&endpoint, ["/proc".into(), "/sys".into()]).expect_err("the system's");
        assert!(neither.to_string().starts_with("the token of the endpoint cannot be written to /proc: "), "{neither}");
        assert!(neither.to_string().ends_with("; point TMPDIR to a directory of yours"), "{neither}");
    }

    #[test]
    fn a_directory_that_somebody_else_made_in_place_of_the_removed_one_gets_no_token() {
        let (endpoint, _socket) = CredentialsEndpoint::bind(credentials()).expect("loopback has a port");
        let directory = std::env::temp_dir().join(format!("hops-credentials-test-place-{}", std::process::id()));
        let path = directory.join("canary.token");
        let file = TokenFile { path, process: std::process::id(), directory: Some(directory.clone()) };
        let of_somebody: fn(&Path) -> io::Result<()> = |path| {
            std::fs::create_dir(path)?;
            let is_root = std::os::unix::fs::chown(path, Some(65534), None).is_ok();
            std::fs::set_permissions(path, Permissions::from_mode(if is_root { 0o700 } else { 0o777 }))
        };
        let for_all: fn(&Path) -> io::Result<()> = |path| {
            std::fs::create_dir(path)?;
            std::fs::set_permissions(path, Permissions::from_mode(0o777))
        };
        let link: fn(&Path) -> io::Result<()> = |path| std::os::unix::fs::symlink(std::env::temp_dir(), path);
        for make in [of_somebody, for_all, link] {
            make(&directory).expect("nothing is there");
            file.restore(&endpoint);
            assert!(!file.path().exists());
            std::fs::remove_file(&directory).or_else(|_| std::fs::remove_dir(&directory)).expect("it is ours");
        }
        file.restore(&endpoint);
        assert_eq!(std::fs::read_to_string(file.path()).expect("it is there"), endpoint.token());
        drop(file);
        assert!(!directory.exists());
    }

    #[test]
    fn a_file_that_outlives_its_process_or_not_stays_readable_for_others_who_know_its_name() {
        let (endpoint, _socket) = CredentialsEndpoint::bind(credentials()).expect("loopback has a port");
        let directory = std::env::temp_dir().join(format!("hops-credentials-test-ended-{}", std::process::id()));
        let path = directory.join("canary.token");
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        let damage: fn(TokenFile) = |file| {
            std::fs::write(file.path(), "half").expect("it is ours");
            std::mem::forget(file);
        };
        for end in [drop, std::mem::forget, damage] {
            let ended =
                TokenFile { path: path.clone(), process: std::process::id(), directory: Some(directory.clone()) };
            ended.restore(&endpoint);
            end(ended);
            let file = TokenFile::resume(&endpoint, path.clone()).expect("temporary files can be written");
            assert_eq!([mode(&path), mode(&directory)], [0o644, 0o711]);
            assert_eq!(std::fs::read_to_string(&path).expect("it is there"), endpoint.token());
            drop(file);
            assert!(!directory.exists());
        }
    }
}
