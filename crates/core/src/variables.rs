//! The environment variables by which readers in a process, and in those it starts, find credentials: the credentials
//! themselves, or URL and token of a container-credentials endpoint.
//!
//! Never both: every reader prefers credentials in the environment, and none goes on to the endpoint when they expire.
//! This module only says what to write; the bindings write it, and restore the old values at the end.

use std::path::Path;

use zeroize::Zeroizing;

use crate::base_identity::{
    ACCESS_KEY_ID, CONTAINER_PATH, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL, Environment, ISSUED,
    METADATA_DISABLED, PROFILE, REMOVED_FOR_ENDPOINT, SECRET_ACCESS_KEY, SESSION_TOKEN, WEB_IDENTITY_ROLE,
    WEB_IDENTITY_TOKEN_FILE, default_profile_with_credentials,
};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::text::quoted;

/// A variable and its new value; `None` removes it.
pub type Change = (&'static str, Option<Zeroizing<String>>);

/// Variables that would mix other credentials with ours: an older name of the session token, which boto3 prefers, and
/// the expiration of other credentials.
const FOREIGN_VARIABLES: [&str; 2] = ["AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];

/// The changes by which readers find the credentials themselves. Readers see newer ones only where they look again.
///
/// `get` reads a variable of the process: the variables of an endpoint of ours are removed, those of another one stay.
pub fn for_credentials(credentials: &Credentials, get: impl Fn(&str) -> Option<String>) -> Vec<Change> {
    let value = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let mut changes = vec![
        (ACCESS_KEY_ID, value(credentials.access_key_id())),
        (SECRET_ACCESS_KEY, value(credentials.secret_access_key())),
        (SESSION_TOKEN, value(credentials.session_token())),
        (ISSUED, value(credentials.access_key_id())),
    ];
    changes.extend(FOREIGN_VARIABLES.map(|name| (name, None)));
    if get(CONTAINER_URL).is_some_and(|url| get(ISSUED) == Some(url)) {
        changes.extend([CONTAINER_URL, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE].map(|name| (name, None)));
    }
    changes
}

/// The changes by which readers find an endpoint, which they ask whenever they need newer credentials. Everything that
/// some reader prefers to an endpoint is removed.
///
/// # Errors
/// [`Error::NotConfigured`] when the profile `[default]` holds credentials: some readers would prefer them and so use
/// another identity.
pub async fn for_endpoint(url: &str, token: &str, token_file: &Path) -> Result<Vec<Change>, Error> {
    let now = Environment::from_process();
    if let Some(file) = default_profile_with_credentials(&now).await? {
        return Err(Error::NotConfigured {
            problem: format!(
                "the profile [default] of {} holds credentials, which some readers prefer to an endpoint, so they would \
                 read as somebody else",
                file.display()
            ),
            remedy:
                "give that profile another name (AWS_PROFILE may name it as the base identity), or leave the endpoint \
                     out and assume the role without refresh"
                    .to_owned(),
            source: None,
        });
    }
    let value = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let mut changes: Vec<Change> = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN].map(|name| (name, None)).to_vec();
    changes.extend(FOREIGN_VARIABLES.iter().chain(&REMOVED_FOR_ENDPOINT).map(|name| (*name, None)));
    changes.extend([
        (CONTAINER_URL, value(url)),
        (CONTAINER_TOKEN, value(token)),
        (CONTAINER_TOKEN_FILE, value(&token_file.to_string_lossy())),
        (ISSUED, value(url)),
    ]);
    Ok(changes)
}

/// Says whose credentials a program finds that starts with these variables, in the order in which most AWS SDKs look.
///
/// `get` reads a variable; `default_profile` is the file whose profile `[default]` holds credentials, if any.
pub fn explain(get: impl Fn(&str) -> Option<String>, default_profile: Option<&Path>) -> String {
    let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
    let issued = get(ISSUED);
    if let Some(key) = get(ACCESS_KEY_ID) {
        return if issued.as_deref() == Some(&key) {
            format!(
                "credentials that were issued for a role, access key {key}; they end an hour after they were issued"
            )
        } else {
            format!("access key {key}, from {ACCESS_KEY_ID}; not ours")
        };
    }
    if let Some(profile) = PROFILE.into_iter().find_map(get) {
        return format!("the profile {}; not ours", quoted(&profile));
    }
    if let Some(file) = default_profile {
        return format!("the profile [default] of {}; not ours", file.display());
    }
    if let Some(role) = get(WEB_IDENTITY_ROLE).filter(|_| get(WEB_IDENTITY_TOKEN_FILE).is_some()) {
        return format!("the service account's role {}; not ours", quoted(&role));
    }
    match get(CONTAINER_URL) {
        Some(url) if issued.as_deref() == Some(&url) => {
            format!("an endpoint of ours at {url}, which renews the credentials of a role for as long as it runs")
        }
        Some(url) => format!("the container's endpoint at {}; not ours", quoted(&url)),
        None if get(CONTAINER_PATH).is_some() => "the container's role; not ours".to_owned(),
        None if get(METADATA_DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true")) => {
            "nothing: no credentials in the environment, in a profile or at an endpoint, and instance metadata is switched off"
                .to_owned()
        }
        None => "the role of this machine, if it has one; not ours".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn found_with(variables: &[(&str, &str)]) -> String {
        let held: HashMap<&str, &str> = variables.iter().copied().collect();
        explain(|name| held.get(name).map(|value| (*value).to_owned()), None)
    }

    #[test]
    fn the_explanation_follows_the_order_of_most_sdks() {
        let key = (ACCESS_KEY_ID, "ASIAEXAMPLE");
        let issued = (ISSUED, "ASIAEXAMPLE");
        let profile = ("AWS_PROFILE", "base");
        let url = (CONTAINER_URL, "http://127.0.0.1:1/credentials");
        assert!(found_with(&[key, issued, profile]).starts_with("credentials that were issued for a role"));
        assert_eq!(found_with(&[key, profile]), "access key ASIAEXAMPLE, from AWS_ACCESS_KEY_ID; not ours");
        assert_eq!(found_with(&[profile, url]), "the profile \"base\"; not ours");
        assert!(
            found_with(&[url, (ISSUED, url.1)]).starts_with("an endpoint of ours at http://127.0.0.1:1/credentials")
        );
        assert!(found_with(&[url]).ends_with("; not ours"));
        assert!(found_with(&[("AWS_EC2_METADATA_DISABLED", "true")]).starts_with("nothing: "));
        assert_eq!(found_with(&[]), "the role of this machine, if it has one; not ours");
    }

    #[test]
    fn the_endpoint_of_somebody_else_stays_when_credentials_are_written() {
        let credentials = Credentials::new(
            "ASIAEXAMPLE".into(),
            "canary-secret".into(),
            "canary-token".into(),
            std::time::SystemTime::UNIX_EPOCH,
            std::time::Duration::ZERO,
            None,
        );
        let url = || Some("http://127.0.0.1:1/credentials".to_owned());
        let names = |changes: Vec<Change>| changes.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let ours = for_credentials(&credentials, |name| [CONTAINER_URL, ISSUED].contains(&name).then(url).flatten());
        let others = for_credentials(&credentials, |name| (name == CONTAINER_URL).then(url).flatten());
        assert!(names(ours).contains(&CONTAINER_URL));
        assert!(!names(others).contains(&CONTAINER_URL));
    }
}
