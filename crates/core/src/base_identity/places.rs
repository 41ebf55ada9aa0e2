//! The places of a base identity, each by itself: what a job could reach, whatever its variables say now.

use std::path::{Path, PathBuf};

use super::environment::{
    ACCESS_KEY_ID, CONTAINER_PATH, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL, Environment,
    METADATA_DISABLED, METADATA_URL, PROFILE, SECRET_ACCESS_KEY, SESSION_TOKEN, WEB_IDENTITY_ROLE,
    WEB_IDENTITY_SESSION_NAME, WEB_IDENTITY_TOKEN_FILE,
};
use super::metadata::TIMEOUT;
use super::profile::{CONFIG, CREDENTIALS, Identities, home, path};
use crate::text::quoted;

/// The variables that lead to a base identity, or hide one.
const IDENTITY: [&str; 16] = [
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    PROFILE[0],
    PROFILE[1],
    CONFIG.variable,
    CREDENTIALS.variable,
    WEB_IDENTITY_TOKEN_FILE,
    WEB_IDENTITY_ROLE,
    WEB_IDENTITY_SESSION_NAME,
    CONTAINER_URL,
    CONTAINER_PATH,
    CONTAINER_TOKEN,
    CONTAINER_TOKEN_FILE,
    METADATA_DISABLED,
    METADATA_URL,
];
/// The most profiles that are looked at.
const MAX_PROFILES: usize = 10;

/// A place of a base identity.
pub(crate) struct Place {
    /// Its name in a message.
    pub label: String,
    /// An environment in which it is the only one.
    pub environment: Environment,
    /// Whether nothing need be there.
    pub may_be_absent: bool,
}

/// All places, and why some were not listed.
pub(crate) async fn places(environment: &Environment) -> (Vec<Place>, Vec<String>) {
    let mut places = Vec::new();
    let groups: [(&str, &[&str], &[&str]); 3] = [
        ("environment", &[ACCESS_KEY_ID], &[ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN]),
        (
            "web identity",
            &[WEB_IDENTITY_TOKEN_FILE],
            &[WEB_IDENTITY_TOKEN_FILE, WEB_IDENTITY_ROLE, WEB_IDENTITY_SESSION_NAME],
        ),
        (
            "container",
            &[CONTAINER_URL, CONTAINER_PATH],
            &[CONTAINER_URL, CONTAINER_PATH, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE],
        ),
    ];
    for (label, leading, variables) in groups {
        if environment.get_first(leading).is_some() {
            let kept: Vec<(&str, &str)> =
                variables.iter().filter_map(|name| Some((*name, environment.get(name)?))).collect();
            places.push(Place { label: label.to_owned(), environment: only(environment, &kept), may_be_absent: false });
        }
    }
    let mut unseen = add_profiles(environment, &mut places).await;
    // It may be slow, and a job has the time.
    let patient = (TIMEOUT.0, "3");
    let address = environment.get(METADATA_URL).map(|url| (METADATA_URL, url));
    let kept: Vec<(&str, &str)> = [(METADATA_DISABLED, "false"), patient].into_iter().chain(address).collect();
    let place = only(environment, &kept);
    places.push(Place { label: "instance profile".to_owned(), environment: place, may_be_absent: true });
    if address.is_some() {
        // Somebody who says where the service is keeps programs away from the usual address: the rig of our tests does.
        unseen.push(format!("instance profile at the usual address, since {METADATA_URL} names another one"));
    }
    (places, unseen)
}

/// An environment whose only place is what `kept` says.
fn only(environment: &Environment, kept: &[(&str, &str)]) -> Environment {
    let neutral = environment.saved().into_iter().filter(|(name, _)| !IDENTITY.contains(&name.as_str()));
    let neutral = neutral.map(|(name, value)| (name, value.to_string()));
    let nothing = [(CONFIG.variable, "/dev/null"), (CREDENTIALS.variable, "/dev/null"), (METADATA_DISABLED, "true")];
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    environment.with_pairs(neutral.chain(nothing.iter().map(own)).chain(kept.iter().map(own)))
}

/// Adds the profiles of the files that the variables name, and of those in the home directory, which a job reaches too.
async fn add_profiles(environment: &Environment, places: &mut Vec<Place>) -> Vec<String> {
    let mut unseen = Vec::new();
    let mut files = vec![(path(environment, &CONFIG), path(environment, &CREDENTIALS))];
    for home in [home(environment), home_of_user()].into_iter().flatten() {
        files.push((home.join(".aws/config"), home.join(".aws/credentials")));
    }
    files.dedup();
    let mut count = 0;
    for (config, credentials) in files {
        let (config, credentials) = (readable(&config), readable(&credentials));
        let both = [(CONFIG.variable, config.as_str()), (CREDENTIALS.variable, credentials.as_str())];
        let found = match Identities::read(&only(environment, &both)).await {
            Ok(found) => vec![(both.to_vec(), found)],
            // One of them may still be good.
            Err(error) => {
                unseen.push(error.to_string());
                let mut found = Vec::new();
                for one in both {
                    let alone = Identities::read(&only(environment, &[one])).await;
                    found.extend(alone.ok().map(|identities| (vec![one], identities)));
                }
                found
            }
        };
        for (variables, Identities { names, programs }) in found {
            for name in names {
                let kept = [variables.as_slice(), &[(PROFILE[0], name.as_str())]].concat();
                let label = format!("profile {}", quoted(&name));
                count += 1;
                let is_active = environment.get_first(&PROFILE).unwrap_or("default") == name;
                if count > MAX_PROFILES {
                    unseen.push(format!("{label}, since there are too many profiles"));
                } else if programs.contains(&name) && !is_active {
                    unseen.push(format!("{label}, since it starts a program"));
                } else {
                    places.push(Place { label, environment: only(environment, &kept), may_be_absent: false });
                }
            }
        }
    }
    unseen
}

/// The path of a file that a job can read, or of an empty one.
fn readable(path: &Path) -> String {
    let is_readable = std::fs::File::open(path).is_ok();
    if is_readable { path.to_string_lossy().into_owned() } else { "/dev/null".to_owned() }
}

/// The home directory that the file of users gives the user of this process, whatever `HOME` says.
fn home_of_user() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let fields: Vec<&str> = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&user.as_str()))?;
    fields.get(5).map(PathBuf::from)
}
