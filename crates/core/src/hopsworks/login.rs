//! The login of the caller: the file of an API key where a property or an option names one, else a JWT from a file, else
//! the API key of the variables.
//!
//! The platform rewrites the file before its token ends, so every request reads it again. It wins over variables, because
//! another program may use `API_KEY` and `API_KEY_FILE`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::error::{BoxError, Error};
use crate::settings::{API_KEY, API_KEY_FILE, SECRETS_DIR, Settings};

const TOKEN_FILE: &str = "token.jwt";

/// The places of a login, in their order.
#[derive(Clone)]
pub(super) struct Logins {
    named_key_file: Option<PathBuf>,
    files: Vec<PathBuf>,
    key_file: Option<PathBuf>,
    api_key: Option<Zeroizing<String>>,
}

/// A login at the moment it was read.
pub(super) struct Login {
    /// The value of the header `Authorization`; marked as sensitive, so that no `Debug` shows it.
    pub(super) header: HeaderValue,
    /// The bare token or key, to be cut out of messages.
    pub(super) secret: Zeroizing<String>,
    /// The file it comes from; `None` for the API key.
    pub(super) file: Option<PathBuf>,
}

impl Logins {
    pub(super) fn from_settings(settings: &Settings) -> Self {
        let secrets = settings.get(&SECRETS_DIR).map(|directory| Path::new(directory.trim()).join(TOKEN_FILE));
        let here = Some(Path::new(".").join(TOKEN_FILE));
        let path = |text: &str| PathBuf::from(text.trim());
        Self {
            named_key_file: settings.property(&API_KEY_FILE).map(path),
            files: secrets.into_iter().chain(here.filter(|_| !settings.brings_login())).collect(),
            key_file: settings.get(&API_KEY_FILE).map(path),
            api_key: settings.get(&API_KEY).map(|key| Zeroizing::new(key.trim().to_owned())),
        }
    }

    /// Reads the login that counts now.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] when there is no login, [`Error::Unavailable`] while the file is empty, because the
    /// platform may be writing it.
    pub(super) fn read(&self) -> Result<Login, Error> {
        if let Some(file) = &self.named_key_file {
            return login_from_key_file(file);
        }
        for file in &self.files {
            match fs::read_to_string(file) {
                Ok(token) => return login_from_file(file, Zeroizing::new(token)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Error::NotConfigured {
                        problem: format!("the token file {} cannot be read: {error}", file.display()),
                        remedy: format!("make it readable, or remove it and set {API_KEY}"),
                        source: Some(Box::new(error)),
                    });
                }
            }
        }
        if let Some(file) = &self.key_file {
            return login_from_key_file(file);
        }
        let Some(key) = &self.api_key else {
            let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
            let files = Some(files.join(", ")).filter(|files| !files.is_empty());
            return Err(Error::NotConfigured {
                problem: match files {
                    Some(files) => format!("there is neither a token file ({files}) nor an API key"),
                    None => "the settings file names no login".to_owned(),
                },
                remedy: format!("set {API_KEY}, or {SECRETS_DIR} to the directory of {TOKEN_FILE}"),
                source: None,
            });
        };
        Ok(Login {
            header: authorization("ApiKey", key).ok_or_else(|| Error::NotConfigured {
                problem: format!("{API_KEY} is not an API key: it holds characters that no API key has"),
                remedy: "copy the key again".to_owned(),
                source: None,
            })?,
            secret: key.clone(),
            file: None,
        })
    }
}

/// The login that counts now, or why there is none. Secret.
pub(crate) fn login(settings: &Settings) -> Zeroizing<String> {
    match Logins::from_settings(settings).read() {
        Ok(login) => login.secret,
        Err(error) => Zeroizing::new(error.to_string()),
    }
}

fn login_from_file(file: &Path, content: Zeroizing<String>) -> Result<Login, Error> {
    let token = content.trim();
    if token.is_empty() {
        return Err(Error::Unavailable {
            attempted: format!("reading the token file {}", file.display()),
            code: 0,
            problem: "it is empty".to_owned(),
            remedy: format!("if it stays empty, log in again, or remove it and set {API_KEY}"),
            source: None,
        });
    }
    Ok(Login {
        header: authorization("Bearer", token).ok_or_else(|| Error::NotConfigured {
            problem: format!("the token file {} holds no token", file.display()),
            remedy: format!("log in again, or remove it and set {API_KEY}"),
            source: None,
        })?,
        secret: Zeroizing::new(token.to_owned()),
        file: Some(file.to_owned()),
    })
}

fn login_from_key_file(file: &Path) -> Result<Login, Error> {
    let unusable = |problem: String, source: Option<BoxError>| Error::NotConfigured {
        problem: format!("the file of the API key {} {problem}", file.display()),
        remedy: format!("write the key into it, or correct {API_KEY_FILE}"),
        source,
    };
    let content = fs::read_to_string(file).map(Zeroizing::new);
    let content = content.map_err(|error| unusable(format!("cannot be read: {error}"), Some(Box::new(error))))?;
    let key = Zeroizing::new(content.trim().to_owned());
    let header = authorization("ApiKey", &key).filter(|_| !key.is_empty());
    let header = header.ok_or_else(|| unusable("holds no API key".to_owned(), None))?;
    Ok(Login { header, secret: key, file: Some(file.to_owned()) })
}

fn authorization(scheme: &str, secret: &str) -> Option<HeaderValue> {
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::from_str(&Zeroizing::new(format!("{scheme} {secret}"))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Login {
    /// The remedy when the server does not accept it.
    pub(super) fn remedy(&self) -> String {
        match &self.file {
            Some(file) if self.header.as_bytes().starts_with(b"ApiKey") => {
                format!("the API key in {} is not accepted: create a new API key", file.display())
            }
            Some(file) => format!("the token in {} is not accepted: log in again, or restart the job", file.display()),
            None => format!(
                "{API_KEY} is not accepted: create a new API key; an old Hopsworks accepts only a token file here"
            ),
        }
    }
}
