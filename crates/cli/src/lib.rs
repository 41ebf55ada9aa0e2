//! The program `hops-credentials`: roles and credentials for everything that is started from a shell.
//!
//! Others script against it: names, standard output and exit codes are fixed. What people should know goes to standard
//! error, without secrets.

pub mod credentials_endpoint;
mod exec;
mod explain;
mod private_file;
mod process;
mod renewing_endpoint;
mod runtime_dir;
mod serve;

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::doctor;
use hops_credentials_core::error::Error;
use hops_credentials_core::request::{AssumeRole, Extras, SessionDuration, SessionName};
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::sts::Sts;
use hops_credentials_core::variables;

/// Temporary AWS credentials for the cloud roles that are mapped to your project.
///
/// Where roles come from:
///
///   REST_ENDPOINT, HOPSWORKS_PROJECT_ID   a role-mapping server, and your project there
///   API_KEY, or token.jwt in $SECRETS_DIR who you are
///   HOPS_CLOUD_ROLES                      without a server: ARNs of roles that the base identity of this
///                                         machine (environment, profile, service account, instance) may assume
///
/// First steps:
///
///   hops-credentials roles                              which roles are there?
///   hops-credentials exec -- aws s3 ls s3://bucket      one command, with the default role
///   hops-credentials exec --role 2 --refresh -- train   a long one, whose SDKs fetch anew by themselves
///   eval "$(hops-credentials env)"                      this shell, for an hour
///   hops-credentials doctor                             what is wrong, and what to do about it
///
/// For every program on this machine, in ~/.aws/config:
///
///   [profile hops]
///   credential_process = hops-credentials process --role 1
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 no identity or not configured; `exec` ends with the code of
/// its command.
#[derive(Debug, Parser)]
#[command(name = "hops-credentials", version, verbatim_doc_comment)]
struct CommandLine {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the roles: id, ARN, for whom, and `default`; separated by tabs
    Roles,
    /// Say where roles come from, and who you are there
    Whoami,
    /// Run a command whose AWS SDKs find the credentials of a role
    ///
    /// The command gets them in its environment, which is enough for an hour. With --refresh it is led to an endpoint on
    /// loopback instead, which its SDKs ask again by themselves, for as long as it runs.
    Exec(exec::Exec),
    /// Answer as a credential_process of ~/.aws/config
    ///
    /// Answers from a running `hops-credentials serve` of yours when there is one for the same role. Otherwise it fetches, and
    /// keeps the credentials below $XDG_RUNTIME_DIR, which only you can read; without such a directory it keeps nothing.
    ///
    /// Without a role-mapping server the profile itself cannot be the base identity; name another one:
    ///
    ///   credential_process = env AWS_PROFILE=base hops-credentials process --role 1
    #[command(verbatim_doc_comment)]
    Process(RoleOption),
    /// Serve the credentials of a role to programs on this machine, until SIGTERM
    Serve(serve::Serve),
    /// Say whose credentials a program started here would find
    Explain,
    /// Look for what is wrong, and say what to do about it; ends with 1 when something is
    Doctor,
    /// Print shell commands that put the credentials of a role into the environment
    Env(RoleOption),
}

/// Which role, and for how long.
#[derive(Debug, Args)]
struct RoleOption {
    /// The id of the role, as `roles` lists it, or its ARN; the default role without it
    #[arg(long, value_name = "ID|ARN")]
    role: Option<String>,
    /// The name under which CloudTrail shows the session; made of user and project without it
    #[arg(long, value_name = "NAME")]
    session_name: Option<SessionName>,
    /// For how many seconds the credentials shall be good: 900 to 43200, and 3600 at most when AWS chains roles
    #[arg(long, value_name = "SECONDS", value_parser = duration, default_value = "3600")]
    duration: SessionDuration,
}

fn duration(text: &str) -> Result<SessionDuration, String> {
    let seconds: i64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    SessionDuration::from_seconds(seconds).map_err(|error| error.to_string())
}

/// How a command ended that did not end well.
enum Failure {
    /// Nothing more to say.
    Code(i32),
    /// One line to say, and a code that says who can act.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

/// Runs the program with these arguments, the first of which is its name; its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    // The base identity is what this process was started with.
    Environment::at_first_use();
    let settings = Settings::from_environment();
    let done = match &line.command {
        Command::Roles => roles(&settings, line.json),
        Command::Whoami => whoami(&settings, line.json),
        Command::Exec(exec) => exec::run(&settings, exec),
        Command::Process(option) => process::run(&settings, option),
        Command::Serve(serve) => serve::run(&settings, serve, line.json),
        Command::Explain => explain::run(line.json),
        Command::Doctor => doctor(&settings, line.json),
        Command::Env(option) => env(&settings, option, line.json),
    };
    match done {
        Ok(()) => 0,
        Err(Failure::Code(code)) => code,
        Err(Failure::Error(error)) => {
            say(&error);
            exit_code(&error)
        }
    }
}

fn exit_code(error: &Error) -> i32 {
    match error {
        Error::Unavailable { .. } | Error::BadAnswer { .. } => 1,
        Error::InvalidArgument { .. } => 2,
        Error::Refused { .. } => 3,
        Error::NotConfigured { .. } => 4,
    }
}

/// A line for people.
fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "hops-credentials: {line}");
}

/// What the command was asked for. A reader that has gone away is no success.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .map_err(|_| Failure::Code(1))
}

fn roles(settings: &Settings, json: bool) -> Result<(), Failure> {
    let mappings = Source::ask(settings, say, async |source| source.role_mappings().await)?;
    if json {
        let rows = mappings.iter().map(|mapping| {
            json!({
                "id": mapping.id,
                "roleArn": mapping.role.as_str(),
                "projectRole": mapping.project_role.display_name(),
                "default": mapping.is_default,
            })
        });
        return print(&Value::from_iter(rows).to_string());
    }
    for mapping in mappings {
        let default = if mapping.is_default { "default" } else { "" };
        print(&format!("{}\t{}\t{}\t{default}", mapping.id, mapping.role, mapping.project_role))?;
    }
    Ok(())
}

fn whoami(settings: &Settings, json: bool) -> Result<(), Failure> {
    let facts = Source::ask(settings, say, async |source| {
        let mut facts = vec![("source", source.to_string())];
        match source {
            Source::Hopsworks(_) => facts.push(("defaultRole", default_role(source).await?)),
            Source::Sts(_) => {
                let identity = Sts::new(settings)?.base_identity().await?;
                facts.push(("arn", identity.arn));
                facts.push(("account", identity.account));
                facts.push(("provider", identity.provider.to_string()));
            }
        }
        Ok(facts)
    })?;
    print_facts(&facts, json)
}

/// Who has no default role is somebody all the same.
async fn default_role(source: &Source) -> Result<String, Error> {
    match source.role_mapping(None).await {
        Ok(mapping) => Ok(mapping.role.to_string()),
        Err(Error::Refused { code: 380_003, .. }) => Ok("none".to_owned()),
        Err(error) => Err(error),
    }
}

fn print_facts(facts: &[(&str, String)], json: bool) -> Result<(), Failure> {
    if json {
        let object = facts.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        return print(&Value::Object(object.collect()).to_string());
    }
    facts.iter().try_for_each(|(name, value)| print(&format!("{name}\t{value}")))
}

fn doctor(settings: &Settings, json: bool) -> Result<(), Failure> {
    let findings = block_on(async { Ok(doctor::examine(settings).await) })?;
    if json {
        let rows = findings
            .iter()
            .map(|finding| json!({ "check": finding.check, "good": finding.is_good, "text": finding.text }));
        print(&Value::from_iter(rows).to_string())?;
    } else {
        print(&doctor::report(&findings))?
    }
    if findings.iter().all(|finding| finding.is_good) { Ok(()) } else { Err(Failure::Code(1)) }
}

fn env(settings: &Settings, option: &RoleOption, json: bool) -> Result<(), Failure> {
    let credentials =
        Source::ask(settings, say, async |source| source.assume_role(&request(source, option).await?).await)?;
    let changes = variables::for_credentials(&credentials, |name| std::env::var(name).ok());
    if json {
        let object = changes.iter().map(|(name, value)| {
            ((*name).to_owned(), value.as_ref().map_or(Value::Null, |value| Value::from(value.as_str())))
        });
        return print(&Value::Object(object.collect()).to_string());
    }
    print(&shell(&changes))
}

/// Commands of a POSIX shell that make these changes.
fn shell(changes: &[variables::Change]) -> String {
    let lines = changes.iter().map(|(name, value)| match value {
        Some(value) => format!("export {name}='{}'", value.replace('\'', r"'\''")),
        None => format!("unset {name}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What the options ask for, by the ARN of the role.
async fn request(source: &Source, option: &RoleOption) -> Result<AssumeRole, Error> {
    let role = match option.role.as_deref() {
        None | Some("") => None,
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
            let id = id
                .parse()
                .map_err(|_| Error::InvalidArgument { field: "role", reason: format!("{id} is larger than any id") })?;
            Some(source.role_mapping(Some(id)).await?.role)
        }
        Some(arn) => Some(arn.parse()?),
    };
    let request = AssumeRole {
        role,
        session_name: option.session_name.clone(),
        duration: option.duration,
        extras: Extras::default(),
    };
    source.with_default_role(request).await
}

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
