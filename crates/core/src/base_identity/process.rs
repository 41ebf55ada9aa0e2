//! The program of a profile's `credential_process`, which gives the credentials of the base identity.
//!
//! We start it instead of the AWS SDK: it gets the environment from before we wrote anything, secrets included, and a
//! shell that hangs does not outlive the call.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use serde_json::{Map, Value};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::environment::Environment;
use super::error::ATTEMPTED;
use crate::credentials::is_legible;
use crate::error::Error;
use crate::text::{parse_rfc3339, quoted};
use crate::variables;

/// The profiles whose `credential_process` this process is, or is started by, a line each.
pub(super) const IN_CREDENTIAL_PROCESS: &str = "HOPS_CREDENTIALS_IN_PROCESS";
/// What a program of ours says when it would have to start itself. Whoever started it repeats this, since nobody reads the
/// standard error of such a program.
pub const ITS_OWN_BASE: &str = "the profile of this credential_process would be its own base identity";
const NAME_THE_BASE: &str = "name the profile of the base identity: AWS_PROFILE=<base>, and in a credential_process \
                                 `env AWS_PROFILE=<base> hops-credentials process`";

/// The time for its answer. A call, of which this is a part, takes 30 s.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Starts the program and reads its answer.
///
/// # Errors
/// [`Error::Unavailable`] when it fails or does not answer in time, [`Error::NotConfigured`] when it is this program, which
/// would look for its own base identity.
///
/// Source of the answer's form: AWS SDKs and tools reference guide, "Process credential provider".
pub(super) async fn run(command: &str, profile: &str, environment: &Environment) -> Result<Credentials, Error> {
    let failed = |what: String| Error::Unavailable {
        attempted: ATTEMPTED.to_owned(),
        code: 0,
        problem: format!("the credential_process of the profile {} {what}", quoted(profile)),
        remedy: "run it in a shell to see what it says".to_owned(),
        source: None,
    };
    let its_own_base = || Error::NotConfigured {
        problem: format!("{ITS_OWN_BASE}, the profile {}", quoted(profile)),
        remedy: NAME_THE_BASE.to_owned(),
        source: None,
    };
    let outer = environment.get(IN_CREDENTIAL_PROCESS).unwrap_or_default();
    if outer.lines().any(|outer| outer == profile) {
        return Err(its_own_base());
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(inherited) = environment.inherited() {
        shell.env_clear().envs(inherited);
    }
    shell.env(IN_CREDENTIAL_PROCESS, format!("{outer}\n{profile}").trim_start());
    for name in variables::names() {
        match environment.get(name) {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = match tokio::time::timeout(TIMEOUT, shell.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(format!("cannot be started: {error}"))),
        Err(_) => return Err(failed(format!("did not answer within {} s", TIMEOUT.as_secs()))),
    };
    let (answer, said) = (Zeroizing::new(output.stdout), Zeroizing::new(output.stderr));
    if String::from_utf8_lossy(&said).contains(ITS_OWN_BASE) {
        return Err(its_own_base());
    }
    if !output.status.success() {
        return Err(failed(format!("failed with {}", output.status)));
    }
    let fields = serde_json::from_slice(&answer).map_err(|_| failed("did not print a JSON object".to_owned()))?;
    credentials(&fields).map_err(failed)
}

fn credentials(fields: &Map<String, Value>) -> Result<Credentials, String> {
    let text = |name: &str| match fields.get(name).and_then(Value::as_str) {
        Some(text) if is_legible(text) && !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(format!("printed no legible {name}")),
    };
    if fields.get("Version").and_then(Value::as_u64) != Some(1) {
        return Err("printed another Version than 1".to_owned());
    }
    let token =
        fields.get("SessionToken").filter(|token| !token.is_null()).map(|_| text("SessionToken")).transpose()?;
    let expiration = match fields.get("Expiration").filter(|expiration| !expiration.is_null()) {
        Some(expiration) => {
            let expiration = expiration.as_str().and_then(parse_rfc3339);
            Some(expiration.ok_or_else(|| "printed an Expiration that is not an RFC 3339 time".to_owned())?)
        }
        None => None,
    };
    if expiration.is_some_and(|expiration| expiration <= SystemTime::now()) {
        return Err("printed credentials that have ended".to_owned());
    }
    Ok(Credentials::new(text("AccessKeyId")?, text("SecretAccessKey")?, token, expiration, "credential_process"))
}
