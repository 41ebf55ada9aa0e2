//! Whose credentials a program finds, in the order in which most AWS SDKs look, and what the others prefer.

use crate::base_identity::{
    ACCESS_KEY_ID, CONTAINER_PATH, CONTAINER_URL, CREDENTIAL_EXPIRATION, Environment, METADATA_DISABLED, PROFILE,
    WEB_IDENTITY_ROLE, WEB_IDENTITY_TOKEN_FILE, default_profile_with_credentials,
};
use crate::error::Error;
use crate::text::quoted;

/// Says whose credentials a program finds that starts with these variables. `environment` holds them as they stand,
/// `Environment::now(&[])`.
///
/// # Errors
/// [`Error::NotConfigured`] when a file of profiles is malformed, or named and not readable.
pub async fn explain(environment: &Environment) -> Result<String, Error> {
    let default_profile = default_profile_with_credentials(environment).await?;
    let default_profile = default_profile.map(|file| format!("the profile [default] of {}", file.display()));
    let get = |name: &str| environment.get_raw(name);
    let profile = PROFILE.into_iter().find_map(get).map(|profile| format!("the profile {}", quoted(profile)));
    let web_identity = get(WEB_IDENTITY_ROLE)
        .filter(|_| get(WEB_IDENTITY_TOKEN_FILE).is_some())
        .map(|role| format!("the service account's role {}", quoted(role)));
    let profile_first = profile.clone().or(default_profile);
    Ok(match (get(ACCESS_KEY_ID), profile_first, web_identity) {
        (Some(key), _, web_identity) if environment.is_inherited(ACCESS_KEY_ID) => {
            let end = match get(CREDENTIAL_EXPIRATION) {
                Some(end) => format!("at {end}"),
                None => "an hour after they were issued".to_owned(),
            };
            let others: Vec<String> = [profile, web_identity].into_iter().flatten().collect();
            let preferred = match others.as_slice() {
                [] => String::new(),
                others => {
                    format!("; the AWS SDKs for JavaScript or .NET prefer {}, which is not ours", others.join(" or "))
                }
            };
            format!("credentials that were issued for a role, access key {key}; they end {end}{preferred}")
        }
        (Some(key), _, _) => format!("access key {key}, from {ACCESS_KEY_ID}; not ours"),
        (None, Some(profile), _) => format!("{profile}; not ours"),
        (None, None, Some(web_identity)) => format!("{web_identity}; not ours"),
        (None, None, None) => match get(CONTAINER_URL) {
            Some(url) if environment.is_inherited(CONTAINER_URL) => {
                format!("an endpoint of ours at {url}, which renews the credentials of a role for as long as it runs")
            }
            Some(url) => format!("the container's endpoint at {}; not ours", quoted(url)),
            None if get(CONTAINER_PATH).is_some() => "the container's role; not ours".to_owned(),
            None if get(METADATA_DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true")) => {
                "nothing: no credentials in the environment, in a profile or at an endpoint, and instance metadata is \
                 switched off"
                    .to_owned()
            }
            None => "the role of this machine, if it has one; not ours".to_owned(),
        },
    })
}
