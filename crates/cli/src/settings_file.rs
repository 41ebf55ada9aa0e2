//! Settings in a file, for programs whose environment holds none: those that a desktop, cron or a service starts.
//!
//! Lines `NAME=VALUE` with the variables of the table; `#` begins a comment. Without `--settings` it is
//! `hops-credentials/settings` below `$XDG_CONFIG_HOME` or `~/.config`, and counts only where the environment names
//! neither a server nor roles: half of one and half of the other would send a key to a server that it is not for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hops_credentials_core::error::Error;
use hops_credentials_core::settings::{
    API_KEY, API_KEY_FILE, PROJECT_ID, PROJECT_NAME, REQUESTS_VERIFY, REST_ENDPOINT, ROLES, SECRETS_DIR, Setting,
    Settings, TRUSTSTORE_PEM, table,
};
use zeroize::Zeroizing;

/// What the environment says of its own server. A file that names another one replaces all of it: that login, and that
/// trust, are not for the server of the file, nor is the server of the file for that project.
const OF_SERVER: [&Setting; 9] = [
    &REST_ENDPOINT,
    &ROLES,
    &PROJECT_ID,
    &PROJECT_NAME,
    &API_KEY,
    &API_KEY_FILE,
    &SECRETS_DIR,
    &REQUESTS_VERIFY,
    &TRUSTSTORE_PEM,
];

/// The settings of this process: the environment, a file, and the file of an API key that an option names.
///
/// # Errors
/// [`Error::NotConfigured`] when a file that is named cannot be read, or a file holds something else than settings, or a
/// secret that others may read.
pub(crate) fn read(named: Option<&Path>, api_key_file: Option<&Path>) -> Result<Settings, Error> {
    let variables = table().iter().flat_map(|setting| setting.variable_names());
    let mut values: HashMap<String, String> =
        variables.filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    let named_key = api_key_file.zip(API_KEY_FILE.property_name());
    let named_key = named_key.map(|(file, name)| (name.to_owned(), file.to_string_lossy().into_owned()));
    let settings = Settings::new([], named_key);
    let is_set = |setting: &Setting| {
        setting.variable_names().iter().any(|name| values.get(*name).is_some_and(|value| !value.trim().is_empty()))
    };
    let of_user =
        || default_path().filter(|path| !is_set(&REST_ENDPOINT) && !is_set(&ROLES) && File::open(path).is_ok());
    if let Some(path) = named.map(Path::to_owned).or_else(of_user) {
        let pairs = pairs(&path)?;
        for setting in OF_SERVER {
            setting.variable_names().iter().for_each(|name| drop(values.remove(*name)));
        }
        values.extend(pairs);
        return Ok(settings.with_file(values));
    }
    Ok(settings.with_environment(values))
}

/// The file that nobody names. Who may not read it has none.
fn default_path() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let of_home = || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".config"));
    let directory = absolute("XDG_CONFIG_HOME").or_else(of_home)?;
    Some(directory.join("hops-credentials/settings"))
}

fn pairs(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let unusable = |problem: String, remedy: &str| Error::NotConfigured {
        problem: format!("the settings file {} {problem}", path.display()),
        remedy: remedy.to_owned(),
        source: None,
    };
    let mut text = Zeroizing::new(String::new());
    let mode = File::open(path).and_then(|mut file| {
        file.read_to_string(&mut text)?;
        Ok(file.metadata()?.mode())
    });
    let mode = mode.map_err(|error| match error.kind() {
        ErrorKind::NotFound => unusable("does not exist".to_owned(), "correct --settings"),
        _ => unusable(format!("cannot be read: {error}"), "make it a text file that you may read"),
    })?;
    let mut pairs = Vec::new();
    let lines = text.lines().map(str::trim).enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let known =
            table().iter().find(|setting| pair.is_some_and(|(name, _)| setting.variable_names().contains(&name)));
        let (Some((name, value)), Some(setting)) = (pair, known) else {
            let problem = format!("holds no setting in line {}", index + 1);
            return Err(unusable(problem, "write NAME=VALUE, with the name of a variable of the settings"));
        };
        if setting.is_secret() && mode & 0o077 != 0 {
            return Err(unusable(
                format!("holds {name}, and others may read it"),
                "take their permission away: chmod 600",
            ));
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}
