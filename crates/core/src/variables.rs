//! The environment variables by which readers in a process, and in those it starts, find credentials: the credentials
//! themselves, or URL and token of a container-credentials endpoint.
//!
//! Never both: every reader prefers credentials in the environment, and none goes on to the endpoint when they expire.
//! This module only says what to write and what to give back, in which order; the hosts do it.

mod carried;
mod explain;
mod fsspec;
mod table;
#[cfg(test)]
mod tests;
mod workers;
mod written;

use std::path::Path;

use zeroize::Zeroizing;

use self::carried::Carried;
use self::table::{ACCOUNT, Effect, TABLE, Variable};
pub use self::workers::{EndpointChange, changes_for_workers};
use crate::base_identity::{
    ACCESS_KEY_ID, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL, CREDENTIAL_EXPIRATION, Environment, HANDED_ON,
    ISSUED, NO_PROXY, SECRET_ACCESS_KEY, SESSION_TOKEN, boto_file_with_credentials, default_profile_with_credentials,
};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::text::rfc3339;

pub use self::explain::{Found, explain};
pub(crate) use self::written::given_back;
pub use self::written::{Plan, Written, plan, plan_release, plan_renewal};

/// A variable and its new value; `None` removes it. The order of a list is the order of writing.
pub type Change = (&'static str, Option<Zeroizing<String>>);

/// The changes by which readers find a role.
#[derive(Debug, Clone)]
pub struct Effects {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The warnings for the user, one sentence each, without secrets.
    pub warnings: Vec<String>,
}

/// The names of all variables that we write.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|variable| variable.name)
}

/// The changes by which readers find the credentials themselves. Readers see newer ones only where they look again.
///
/// `environment` holds the variables from before we wrote any, [`Environment::now`]. An endpoint of somebody else stays.
pub async fn for_credentials(credentials: &Credentials, environment: &Environment) -> Effects {
    let mut values = credentials_values(credentials);
    // Where one is set it is that of other keys, and SDKs make names of hosts of it.
    if let (Some(role), Some(_)) = (credentials.role(), environment.get(ACCOUNT)) {
        values.push((ACCOUNT, Zeroizing::new(role.account().to_owned())));
    }
    effects(values, |variable| variable.with_credentials, environment).await
}

/// The changes by which readers find an endpoint, which they ask whenever they need newer credentials. Their proxies are
/// kept away from it.
///
/// # Errors
/// [`Error::NotConfigured`] when a file holds credentials that some readers prefer to an endpoint: they would use another
/// identity.
pub async fn for_endpoint(
    url: &str,
    token: &str,
    token_file: &Path,
    environment: &Environment,
) -> Result<Effects, Error> {
    if let Some(file) = default_profile_with_credentials(environment).await? {
        return Err(preferred_file(
            &format!("the profile [default] of {}", file.display()),
            "give that profile another name (AWS_PROFILE may name it as the base identity)",
        ));
    }
    if let Some(file) = boto_file_with_credentials(environment) {
        return Err(preferred_file(&file.display().to_string(), "take the section [Credentials] out of it"));
    }
    let value = |text: &str| Zeroizing::new(text.to_owned());
    let values = vec![
        (ISSUED, value(url)),
        (NO_PROXY[0], without_proxy(environment, NO_PROXY)),
        (NO_PROXY[1], without_proxy(environment, [NO_PROXY[1], NO_PROXY[0]])),
        (CONTAINER_URL, value(url)),
        (CONTAINER_TOKEN, value(token)),
        (CONTAINER_TOKEN_FILE, value(&token_file.to_string_lossy())),
    ];
    Ok(effects(values, |variable| variable.with_endpoint, environment).await)
}

fn preferred_file(place: &str, remedy: &str) -> Error {
    Error::NotConfigured {
        problem: format!(
            "{place} holds credentials, which some readers prefer to an endpoint, so they would read as somebody else"
        ),
        remedy: format!("{remedy}, or leave the endpoint out and assume the role without refresh"),
        source: None,
    }
}

/// The values by which readers find these credentials, in order.
fn credentials_values(credentials: &Credentials) -> Vec<(&'static str, Zeroizing<String>)> {
    let value = |text: &str| Zeroizing::new(text.to_owned());
    vec![
        (ISSUED, value(credentials.access_key_id())),
        (ACCESS_KEY_ID, value(credentials.access_key_id())),
        (SECRET_ACCESS_KEY, value(credentials.secret_access_key())),
        (SESSION_TOKEN, value(credentials.session_token())),
        (CREDENTIAL_EXPIRATION, value(&rfc3339(credentials.expiration()))),
    ]
}

/// The exceptions from proxies of the first of these variables that is set, and the endpoint's address.
fn without_proxy(environment: &Environment, names: [&str; 2]) -> Zeroizing<String> {
    const ADDRESS: &str = "127.0.0.1";
    Zeroizing::new(match environment.get_first(&names).map(str::trim) {
        Some(list) if list == "*" || list.split(',').any(|entry| entry.trim() == ADDRESS) => list.to_owned(),
        Some(list) => format!("{},{ADDRESS}", list.trim_end_matches(',')),
        None => ADDRESS.to_owned(),
    })
}

async fn effects(
    mut values: Vec<(&'static str, Zeroizing<String>)>,
    effect: impl Fn(&Variable) -> Effect,
    environment: &Environment,
) -> Effects {
    let Carried { values: carried, mut warnings } = Carried::read(environment).await;
    warnings.extend(fsspec::warning(environment));
    values.extend(carried);
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for variable in &TABLE {
        let name = variable.name;
        match effect(variable) {
            Effect::Set | Effect::Carried => {
                let value = values.iter().find(|(valued, _)| *valued == name);
                set.extend(value.map(|(_, value)| (name, Some(value.clone()))));
            }
            Effect::HandedOn => {
                let value = handed_on(name, environment);
                if value.is_some() || environment.get_raw(name).is_some() {
                    set.push((name, value));
                }
            }
            Effect::WithoutCredentials => {
                let left = environment.get(name).and_then(fsspec::without_credentials);
                removed.extend(left.map(|value| (name, value)));
            }
            Effect::Removed => removed.push((name, None)),
            Effect::RemovedIfOurs if environment.is_inherited(name) => removed.push((name, None)),
            Effect::RemovedIfOurs | Effect::Left => {}
        }
    }
    let mut changes = [set, removed].concat();
    // A reader that looks between two writes keeps the earlier expiration, and so looks again.
    changes.sort_by_key(|(name, _)| *name == CREDENTIAL_EXPIRATION);
    Effects { changes, warnings }
}

/// What the variable held that `name` hands on to children, here or in the process that started this one.
fn handed_on(name: &str, environment: &Environment) -> Option<Zeroizing<String>> {
    let (led, _) = HANDED_ON.into_iter().find(|(_, handed_on)| *handed_on == name)?;
    let value = environment.get(led).or_else(|| environment.handed_on_key().filter(|_| led == ACCESS_KEY_ID));
    value.map(|value| Zeroizing::new(value.to_owned()))
}
