//! `serve`: the endpoint for other programs of the same user.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use hops_credentials_core::base_identity::CONTAINER_TOKEN;
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::error::Error;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::variables::{self, Change};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::credentials_endpoint::{ANY_PORT, CredentialsEndpoint};
use crate::output::{Failure, print, say, shell_commands};
use crate::private_file;
use crate::renewing_endpoint::RenewingEndpoint;
use crate::role_option::RoleOption;
use crate::runtime_dir::RuntimeDir;
use crate::token_file::TokenFile;

/// Serve the credentials of a role to programs on this machine, until SIGTERM
///
/// Prints `listening on <URL>` and then the shell commands that lead a program to it. `hops-credentials process` of the
/// same user and for the same role finds it by itself.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    option: RoleOption,
    /// A loopback address and port
    #[arg(long, value_name = "ADDRESS", default_value_t = ANY_PORT)]
    listen: SocketAddr,
}

/// The URL and token of a running `serve`, as `process` reads them.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServedAt {
    /// The URL of its endpoint.
    pub(crate) url: String,
    /// The token of its endpoint. Secret.
    pub(crate) token: Zeroizing<String>,
}

pub(crate) fn run(settings: &Settings, serve: &Serve, json: bool) -> Result<(), Failure> {
    block_on(async {
        let environment = Environment::now(&[]);
        let source = Source::from_settings(settings, &environment)?;
        let request = serve.option.to_request(&source).await?;
        let no_signals = |source: std::io::Error| Error::Unavailable {
            attempted: "starting to serve".to_owned(),
            code: 0,
            problem: source.to_string(),
            remedy: "try again".to_owned(),
            source: Some(Box::new(source)),
        };
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let renewing = RenewingEndpoint::start(source, request, serve.listen).await?;
        let endpoint = renewing.endpoint();
        let token_file = TokenFile::create(&endpoint)?;
        let (url, token) = (endpoint.url(), endpoint.token());
        let effects = variables::for_endpoint(url, token, token_file.path(), &environment).await?;
        effects.warnings.iter().for_each(say);
        let _announcement = RuntimeDir::open(settings, &serve.option)
            .map(|runtime_dir| Announcement::write(runtime_dir.announcement(), &endpoint));
        let text = if json {
            json!({ "url": endpoint.url(), "tokenFile": token_file.path() }).to_string()
        } else {
            format!(
                "listening on {}\n{}",
                endpoint.url(),
                shell_commands_of_reader(&effects.changes, token_file.path())
            )
        };
        if print(&text).is_err() {
            return Ok(());
        }
        tokio::select! {
            ended = renewing.run() => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
    .map_err(Failure::from)
}

/// The shell commands that lead a program to the endpoint. They read the token from its file, because logs keep what a
/// service prints.
fn shell_commands_of_reader(changes: &[Change], token_file: &Path) -> String {
    let others: Vec<Change> = changes.iter().filter(|(name, _)| *name != CONTAINER_TOKEN).cloned().collect();
    format!("{}\nexport {CONTAINER_TOKEN}=\"$(cat '{}')\"", shell_commands(&others), token_file.display())
}

/// The file by which `process` finds a running `serve`. It is removed on drop.
struct Announcement(PathBuf);

impl Announcement {
    fn write(path: PathBuf, endpoint: &CredentialsEndpoint) -> Self {
        let served_at = ServedAt { url: endpoint.url().to_owned(), token: Zeroizing::new(endpoint.token().to_owned()) };
        let text = Zeroizing::new(serde_json::to_string(&served_at).expect("texts are JSON"));
        // Without the file `process` fetches by itself.
        let _ = private_file::replace(&path, text.as_bytes());
        Self(path)
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
