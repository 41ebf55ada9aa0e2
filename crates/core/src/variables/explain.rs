//! Whose credentials a program finds, in the order in which most AWS SDKs look, and what the others prefer.

use std::fmt;
use std::path::PathBuf;

use super::fsspec;
use crate::base_identity::{
    ACCESS_KEY_ID, CONTAINER_PATH, CONTAINER_URL, CREDENTIAL_EXPIRATION, Environment, METADATA_DISABLED, PROFILE,
    WEB_IDENTITY_ROLE, WEB_IDENTITY_TOKEN_FILE, default_profile_with_credentials,
};
use crate::error::Error;
use crate::text::quoted;

/// The credentials that a program finds. [`fmt::Display`] says whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it finds them: `issuedCredentials`, `endpoint` (both ours), `keys`, `profile`, `webIdentity`,
    /// `containerEndpoint`, `containerRole`, `machineRole`, or `nothing`.
    pub kind: &'static str,
    /// Their access key id, profile, role or URL, where the kind has one.
    pub name: Option<String>,
    text: String,
}

impl Found {
    fn new(kind: &'static str, name: Option<&str>, text: String) -> Self {
        Self { kind, name: name.map(str::to_owned), text }
    }

    /// Whether we issued them.
    pub fn is_ours(&self) -> bool {
        ["issuedCredentials", "endpoint"].contains(&self.kind)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)?;
        match self.kind {
            "nothing" => Ok(()),
            _ if self.is_ours() => Ok(()),
            _ => formatter.write_str("; not ours"),
        }
    }
}

/// Says whose credentials a program finds that starts with these variables. `environment` holds them as they stand,
/// `Environment::now(&[])`.
///
/// # Errors
/// [`Error::NotConfigured`] when a file of profiles is malformed, or named and not readable.
pub async fn explain(environment: &Environment) -> Result<Found, Error> {
    let default_profile = default_profile_with_credentials(environment).await?;
    let get = |name: &str| environment.get_raw(name);
    let profile = PROFILE.into_iter().find_map(get);
    let web_identity = get(WEB_IDENTITY_ROLE).filter(|_| get(WEB_IDENTITY_TOKEN_FILE).is_some());
    let profile_text = |name: &str| format!("the profile {}", quoted(name));
    let default_text = |file: &PathBuf| format!("the profile [default] of {}", file.display());
    let role_text = |role: &str| format!("the service account's role {}", quoted(role));
    Ok(match (get(ACCESS_KEY_ID), profile, default_profile, web_identity) {
        (Some(key), profile, default_profile, web_identity) if environment.is_inherited(ACCESS_KEY_ID) => {
            let end = match get(CREDENTIAL_EXPIRATION) {
                Some(end) => format!("at {end}"),
                None => "an hour after they were issued".to_owned(),
            };
            let others: Vec<String> =
                profile.map(profile_text).into_iter().chain(web_identity.map(role_text)).collect();
            let preferred = match (others.as_slice(), &default_profile) {
                ([], None) => String::new(),
                ([], Some(file)) => format!("; the AWS SDK for .NET prefers {}, which is not ours", default_text(file)),
                (others, _) => {
                    format!("; the AWS SDKs for JavaScript or .NET prefer {}, which is not ours", others.join(" or "))
                }
            };
            let issued = "credentials that were issued for a role, access key";
            let text = format!("{issued} {key}; they end {end}{preferred}{}", of_s3fs(environment));
            Found::new("issuedCredentials", Some(key), text)
        }
        (Some(key), ..) => Found::new("keys", Some(key), format!("access key {key}, from {ACCESS_KEY_ID}")),
        (None, Some(profile), ..) => Found::new("profile", Some(profile), profile_text(profile)),
        (None, None, Some(file), _) => Found::new("profile", Some("default"), default_text(&file)),
        (None, None, None, Some(role)) => Found::new("webIdentity", Some(role), role_text(role)),
        (None, None, None, None) => at_an_endpoint(environment),
    })
}

fn of_s3fs(environment: &Environment) -> String {
    fsspec::warning(environment).map_or_else(String::new, |warning| format!("; {warning}"))
}

fn at_an_endpoint(environment: &Environment) -> Found {
    let get = |name: &str| environment.get_raw(name);
    match get(CONTAINER_URL) {
        Some(url) if environment.is_inherited(CONTAINER_URL) => {
            let renewing = "which renews the credentials of a role for as long as it runs";
            let text = format!("an endpoint of ours at {url}, {renewing}{}", of_s3fs(environment));
            Found::new("endpoint", Some(url), text)
        }
        Some(url) => Found::new("containerEndpoint", Some(url), format!("the container's endpoint at {}", quoted(url))),
        None if get(CONTAINER_PATH).is_some() => {
            Found::new("containerRole", get(CONTAINER_PATH), "the container's role".to_owned())
        }
        None if get(METADATA_DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true")) => {
            let text = "nothing: no credentials in the environment, in a profile or at an endpoint, and instance \
                        metadata is switched off";
            Found::new("nothing", None, text.to_owned())
        }
        None => Found::new("machineRole", None, "the role of this machine, if it has one".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_identity::ISSUED;
    use crate::blocking::block_on;

    fn explained(pairs: &[(&str, &str)]) -> String {
        let nothing = [("AWS_CONFIG_FILE", "/nonexistent"), ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")];
        let pairs = nothing.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        block_on(explain(&Environment::from_pairs(pairs))).expect("no file").to_string()
    }

    #[test]
    fn the_explanation_follows_the_order_of_most_sdks_and_names_what_others_prefer() {
        let key = (ACCESS_KEY_ID, "ASIAEXAMPLE");
        let issued = (ISSUED, "ASIAEXAMPLE");
        let profile = ("AWS_PROFILE", "base");
        let url = (CONTAINER_URL, "http://127.0.0.1:1/credentials");
        assert_eq!(
            explained(&[key, issued]),
            "credentials that were issued for a role, access key ASIAEXAMPLE; they end an hour after they were issued"
        );
        assert_eq!(
            explained(&[key, issued, profile, (CREDENTIAL_EXPIRATION, "2026-11-27T15:00:00Z")]),
            "credentials that were issued for a role, access key ASIAEXAMPLE; they end at 2026-11-27T15:00:00Z; the AWS SDKs \
             for JavaScript or .NET prefer the profile \"base\", which is not ours"
        );
        let file = std::env::temp_dir().join(format!("hops-credentials-explain-{}", std::process::id()));
        std::fs::write(&file, "[default]\naws_access_key_id = AKIA\naws_secret_access_key = x\n").expect("a file");
        let default = explained(&[key, issued, ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().expect("UTF-8"))]);
        std::fs::remove_file(&file).expect("it is there");
        assert!(default.contains("the AWS SDK for .NET prefers the profile [default] of "), "{default}");
        let directory = file.with_extension("fsspec");
        std::fs::create_dir(&directory).expect("a directory of this test's own");
        std::fs::write(directory.join("s3.ini"), "[s3]\nkey = AKIA\n").expect("a file");
        let configured = ("FSSPEC_CONFIG_DIR", directory.to_str().expect("UTF-8"));
        let of_s3fs =
            [&[key, issued, configured], &[url, (ISSUED, url.1), configured]].map(|variables| explained(variables));
        std::fs::remove_dir_all(&directory).expect("it is there");
        for of_s3fs in of_s3fs {
            assert!(of_s3fs.ends_with("/s3.ini, which are not ours"), "{of_s3fs}");
        }
        assert_eq!(explained(&[key, profile]), "access key ASIAEXAMPLE, from AWS_ACCESS_KEY_ID; not ours");
        assert_eq!(explained(&[profile, url]), "the profile \"base\"; not ours");
        assert!(
            explained(&[url, (ISSUED, url.1)]).starts_with("an endpoint of ours at http://127.0.0.1:1/credentials")
        );
        assert!(explained(&[url]).ends_with("; not ours"));
        assert!(explained(&[("AWS_EC2_METADATA_DISABLED", "true")]).starts_with("nothing: "));
        assert_eq!(explained(&[]), "the role of this machine, if it has one; not ours");
    }
}
