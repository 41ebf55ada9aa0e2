//! The variables by which readers in a process, and in those it starts, find credentials: the credentials themselves, or
//! the way to our [`Endpoint`].
//!
//! Never both: credentials in the environment win in every reader, and none goes on to the endpoint when they expire.
//! What the bindings write they put back at the end; here is only what has to be written.

use std::path::Path;

use zeroize::Zeroizing;

use crate::base::{
    ACCESS_KEY_ID, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE, CONTAINER_URL, Environment, ISSUED, SECRET_ACCESS_KEY,
    SESSION_TOKEN, TAKEN_OUT,
};
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::Error;

/// A variable, and its value; `None` takes it out.
pub type Change = (&'static str, Option<Zeroizing<String>>);

/// The older name of the session token, which boto3 prefers, and an expiration that belongs to other credentials.
const OF_OTHERS: [&str; 2] = ["AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION"];

/// Readers find the credentials themselves, and see newer ones only where they look again.
///
/// `get` answers what the process holds now: the way to an endpoint of ours goes, one to somebody else's stays.
pub fn of_credentials(credentials: &Credentials, get: impl Fn(&str) -> Option<String>) -> Vec<Change> {
    let value = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let mut changes = vec![
        (ACCESS_KEY_ID, value(credentials.access_key_id())),
        (SECRET_ACCESS_KEY, value(credentials.secret_access_key())),
        (SESSION_TOKEN, value(credentials.session_token())),
        (ISSUED, value(credentials.access_key_id())),
    ];
    changes.extend(OF_OTHERS.map(|name| (name, None)));
    if get(CONTAINER_URL).is_some_and(|url| get(ISSUED) == Some(url)) {
        changes.extend([CONTAINER_URL, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE].map(|name| (name, None)));
    }
    changes
}

/// Readers ask the endpoint whenever they need newer credentials. Everything that some reader prefers to an endpoint goes.
///
/// # Errors
/// [`Error::NotConfigured`] when the default profile holds credentials, which some reader would prefer and which are
/// somebody else.
pub async fn of_endpoint(endpoint: &Endpoint, token_file: &Path) -> Result<Vec<Change>, Error> {
    let now = Environment::of_process();
    if let Some(file) = crate::base::default_profile_with_credentials(&now).await? {
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
    changes.extend(OF_OTHERS.iter().chain(&TAKEN_OUT).map(|name| (*name, None)));
    changes.extend([
        (CONTAINER_URL, value(endpoint.url())),
        (CONTAINER_TOKEN, value(endpoint.token())),
        (CONTAINER_TOKEN_FILE, value(&token_file.to_string_lossy())),
        (ISSUED, value(endpoint.url())),
    ]);
    Ok(changes)
}
