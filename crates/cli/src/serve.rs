//! `serve`: the endpoint for other programs of the same user.

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use hops_credentials_core::base_identity::CONTAINER_TOKEN;
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::error::Error;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::variables::{self, Change};
use serde_json::json;

use crate::ask::aloud;
use crate::credentials_endpoint::ANY_PORT;
use crate::output::{Failure, print, say};
use crate::renewing_endpoint::RenewingEndpoint;
use crate::role_option::RoleOption;
use crate::runtime_dir::{RuntimeDir, ServedAt};
use crate::shell::Shell;
use crate::signals;
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
    /// The shell that evaluates the commands
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
}

pub(crate) fn run(settings: &Settings, serve: &Serve, json: bool) -> Result<(), Failure> {
    let ended_before_it_served = block_on(async {
        let environment = Environment::now(&[]);
        let source = Source::from_settings(settings, &environment)?;
        let request = aloud(serve.option.to_request(&source)).await?;
        let mut end = signals::that_end().map_err(|source| Error::Unavailable {
            attempted: "starting to serve".to_owned(),
            code: 0,
            problem: source.to_string(),
            remedy: "try again".to_owned(),
            source: Some(Box::new(source)),
        })?;
        let renewing = tokio::select! {
            started = RenewingEndpoint::start(source, request, serve.listen, TokenFile::create) => started?,
            Some(signal) = end.recv() => return Ok(Some(signal)),
        };
        let (endpoint, token_path) = (renewing.endpoint(), renewing.token_path());
        let (url, token) = (endpoint.url(), endpoint.token());
        let effects = variables::for_endpoint(url, token, &token_path, &environment).await?;
        effects.warnings.iter().for_each(say);
        // Without it `process` fetches by itself.
        let _announcement = RuntimeDir::open(settings, &serve.option)
            .and_then(|runtime_dir| runtime_dir.announce(&ServedAt::new(&endpoint)).ok());
        let text = if json {
            json!({ "url": endpoint.url(), "tokenFile": token_path }).to_string()
        } else {
            format!(
                "listening on {}\n{}",
                endpoint.url(),
                commands_for_reader(serve.shell, &effects.changes, &token_path)
            )
        };
        if print(&text).is_err() {
            return Ok(None);
        }
        tokio::select! {
            ended = renewing.run() => ended.map(|()| None),
            _ = end.recv() => Ok(None),
        }
    })?;
    match ended_before_it_served {
        Some(signal) => Err(Failure::Code(128 + signal)),
        None => Ok(()),
    }
}

/// The shell commands that lead a program to the endpoint. They read the token from its file, because logs keep what a
/// service prints.
fn commands_for_reader(shell: Shell, changes: &[Change], token_file: &Path) -> String {
    let others: Vec<Change> = changes.iter().filter(|(name, _)| *name != CONTAINER_TOKEN).cloned().collect();
    format!("{}\n{}", shell.commands(&others), shell.set_from_file(CONTAINER_TOKEN, token_file))
}
