//! A question to the source of roles, and a word to the user while its answer takes long.

use std::time::Duration;

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use tokio::time::timeout;

use crate::output::say;
use crate::role_option::RoleOption;

/// The time after which a user wonders.
const SILENCE: Duration = Duration::from_secs(3);

/// Asks the source that the settings name, and says every warning.
///
/// # Errors
/// As [`Source::ask`].
pub(crate) fn ask<T>(settings: &Settings, question: impl AsyncFnOnce(&Source) -> Result<T, Error>) -> Result<T, Error> {
    Source::ask(settings, &Environment::now(&[]), say, async |source| aloud(question(source)).await)
}

/// Fetches the credentials of the role that the options name.
///
/// # Errors
/// As [`Source::assume_role`].
pub(crate) fn assume_role(settings: &Settings, option: &RoleOption) -> Result<Credentials, Error> {
    ask(settings, async |source| source.assume_role(&option.to_request(source).await?).await)
}

/// Waits for an answer, and says so when it takes long.
pub(crate) async fn aloud<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    match timeout(SILENCE, &mut answer).await {
        Ok(answer) => answer,
        Err(_) => {
            say("waiting for an answer ...");
            answer.await
        }
    }
}
