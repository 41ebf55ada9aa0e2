//! `process`: the answer of a credential_process.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::private_file;
use crate::runtime_dir::RuntimeDir;
use crate::serve::ServedAt;
use crate::{Failure, RoleOption, print, request, say};
use hops_credentials_core::base_identity::IN_PROCESS;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error::Error;
use hops_credentials_core::renewal;
use hops_credentials_core::retry::random;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::text::rfc3339;

/// For a `serve` on this machine to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an AWS SDK reads.
///
/// Source: AWS SDKs and tools reference guide, "Process credential provider".
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    version: u8,
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Zeroizing<String>,
    expiration: String,
}

/// The answer, and until when it is given again.
#[derive(Serialize, Deserialize)]
struct Kept {
    answer: Answer,
    /// Seconds since 1970.
    refresh_at: u64,
    /// Seconds since 1970.
    expires_at: u64,
}

pub(crate) fn run(settings: &Settings, option: &RoleOption) -> Result<(), Failure> {
    if std::env::var_os(IN_PROCESS).is_some() {
        return Err(Failure::Error(Error::NotConfigured {
            problem: "the profile whose credential_process this is would be its own base identity".to_owned(),
            remedy: "name another profile: credential_process = env AWS_PROFILE=<base> hops-credentials process"
                .to_owned(),
            source: None,
        }));
    }
    let Some(place) = RuntimeDir::open(settings, option) else { return answer(&fetch(settings, option)?) };
    if let Some(served) = served(&place) {
        return answer(&served);
    }
    // Programs that start together ask together.
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(place.lock());
    let _held: Option<File> = lock.ok().filter(|lock| lock.lock().is_ok());
    let kept = std::fs::read(place.kept()).ok().map(Zeroizing::new);
    let kept: Option<Kept> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let now = seconds(SystemTime::now());
    if let Some(kept) = &kept
        && now < kept.refresh_at
    {
        return answer(&kept.answer);
    }
    match (fetch(settings, option), kept) {
        (Ok(fetched), _) => answer(&fetched),
        // Never worse: what is still good is given again.
        (Err(error), Some(kept)) if error.is_retryable() && now + 1 < kept.expires_at => answer(&kept.answer),
        (Err(error), _) => Err(error.into()),
    }
}

fn fetch(settings: &Settings, option: &RoleOption) -> Result<Answer, Error> {
    let credentials =
        Source::ask(settings, say, async |source| source.assume_role(&request(source, option).await?).await)?;
    let answer = Answer {
        version: 1,
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: Zeroizing::new(credentials.secret_access_key().to_owned()),
        session_token: Zeroizing::new(credentials.session_token().to_owned()),
        expiration: rfc3339(credentials.expiration()),
    };
    let Some(place) = RuntimeDir::open(settings, option) else { return Ok(answer) };
    let kept = keep(answer, &credentials);
    let text = Zeroizing::new(serde_json::to_string(&kept).expect("texts and numbers are JSON"));
    // Without it the next call fetches again.
    let _ = private_file::replace(&place.kept(), text.as_bytes());
    Ok(kept.answer)
}

fn keep(answer: Answer, credentials: &Credentials) -> Kept {
    let refresh_at = SystemTime::now() + renewal::refresh_after(credentials.valid_for(), random());
    Kept { answer, refresh_at: seconds(refresh_at), expires_at: seconds(credentials.expiration()) }
}

fn served(place: &RuntimeDir) -> Option<Answer> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct OfEndpoint {
        access_key_id: String,
        secret_access_key: Zeroizing<String>,
        token: Zeroizing<String>,
        expiration: String,
    }
    let served: ServedAt = serde_json::from_slice(&std::fs::read(place.served()).ok()?).ok()?;
    let found = hops_credentials_core::blocking::block_on(async {
        let client = hops_credentials_core::network::loopback_client(PATIENCE)?;
        let request = client.get(served.url).header("authorization", served.token.as_str());
        let answer = async { request.send().await?.error_for_status()?.json::<OfEndpoint>().await };
        Ok(answer.await.ok())
    });
    let found = found.ok()??;
    Some(Answer {
        version: 1,
        access_key_id: found.access_key_id,
        secret_access_key: found.secret_access_key,
        session_token: found.token,
        expiration: found.expiration,
    })
}

fn answer(answer: &Answer) -> Result<(), Failure> {
    let text = Zeroizing::new(serde_json::to_string(answer).expect("texts are JSON"));
    print(&text)
}

fn seconds(instant: SystemTime) -> u64 {
    instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
