//! `exec`: one command with the credentials of a role.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use clap::Args;
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::variables::{self, Change};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::ask::{aloud, assume_role};
use crate::credentials_endpoint::ANY_PORT;
use crate::output::{Failure, say};
use crate::renewing_endpoint::RenewingEndpoint;
use crate::role_option::RoleOption;
use crate::signals;
use crate::token_file::TokenFile;

/// Run a command whose AWS SDKs find the credentials of a role
#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    option: RoleOption,
    /// Give the command an endpoint that renews the credentials for as long as it runs
    #[arg(long)]
    refresh: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn run(settings: &Settings, exec: &Exec) -> Result<(), Failure> {
    let mut command = Command::new(&exec.command[0]);
    command.args(&exec.command[1..]);
    if exec.refresh {
        run_with_endpoint(settings, exec, command)
    } else {
        let credentials = assume_role(settings, &exec.option)?;
        let environment = Environment::now(&[]);
        let effects = block_on(async { Ok(variables::for_credentials(&credentials, &environment).await) })?;
        effects.warnings.iter().for_each(say);
        change_environment(&mut command, &effects.changes);
        Err(report_not_started(exec, &command.exec()))
    }
}

/// Runs the command beside an endpoint that ends with it.
fn run_with_endpoint(settings: &Settings, exec: &Exec, mut command: Command) -> Result<(), Failure> {
    let status = block_on(async {
        let environment = Environment::now(&[]);
        let source = Source::from_settings(settings, &environment)?;
        let request = aloud(exec.option.to_request(&source)).await?;
        let renewing = RenewingEndpoint::start(source, request, ANY_PORT, TokenFile::create_for_command).await?;
        let endpoint = renewing.endpoint();
        let (url, token, token_path) = (endpoint.url(), endpoint.token(), renewing.token_path());
        let effects = variables::for_endpoint(url, token, &token_path, &environment).await?;
        effects.warnings.iter().for_each(say);
        change_environment(&mut command, &effects.changes);
        let serving = tokio::spawn(renewing.run());
        let status = run_to_end(&mut command).await;
        serving.abort();
        Ok(status)
    })?;
    match status {
        Err(error) => Err(report_not_started(exec, &error)),
        Ok(status) => match status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1) {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        },
    }
}

/// Runs the command to its end, and passes on the signals that reach this process meanwhile.
async fn run_to_end(command: &mut Command) -> io::Result<ExitStatus> {
    let mut signals = signals::for_command()?;
    let mut child = command.spawn()?;
    let process = child.id();
    // It is not waited for before the last signal was sent, so its id is not another process's by then.
    let mut ended = tokio::task::spawn_blocking(move || {
        let id = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    });
    loop {
        tokio::select! {
            waited = &mut ended => {
                let waited = waited.map_err(io::Error::other)?;
                waited.map_err(|error| io::Error::from_raw_os_error(error.raw_os_error()))?;
                return child.wait();
            }
            Some(signal) = signals.recv() => signals::send(signal, process),
        }
    }
}

fn change_environment(command: &mut Command, changes: &[Change]) {
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value.as_str()),
            None => command.env_remove(name),
        };
    }
}

/// Says why the command did not start.
///
/// Source of the codes: POSIX, Shell Command Language, "Exit Status for Commands".
fn report_not_started(exec: &Exec, error: &io::Error) -> Failure {
    say(format_args!("{:?} cannot be started: {error}", exec.command[0]));
    Failure::Code(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
}
