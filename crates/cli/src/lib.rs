//! The program `hops-credentials`: roles and credentials for everything that starts from a shell.
//!
//! Scripts depend on it: names, standard output and exit codes are fixed. Messages for people go to standard error, and
//! hold no secret.
//!
//! | module | noun |
//! |---|---|
//! | [`credentials_endpoint`] | a container-credentials endpoint on loopback |
//! | [`token_file`] | the file in which readers find its token |
//! | `renewing_endpoint` | the same endpoint with a role whose credentials are renewed |
//! | `clocks` | the clocks of this machine |
//! | `ask` | a question to the source of roles |
//! | `kept` | what `process` keeps for programs that start later |
//! | `runtime_dir` | the directory in which `serve` and `process` of one user meet |
//! | `private_file` | files that only this user reads and writes |
//! | `role_option` | the options that name a role and the duration of its session |
//! | `signals` | the signals that reach this process while it waits for a command |
//! | `settings_file` | settings for programs whose environment holds none |
//! | `shell` | the commands of shells that change the environment |
//! | `output` | standard output and standard error |
//! | `roles`, `whoami`, `exec`, `process`, `serve`, `explain`, `doctor`, `env` | a command each |

mod ask;
mod clocks;
pub mod credentials_endpoint;
mod doctor;
mod env;
mod exec;
mod explain;
mod kept;
mod output;
mod private_file;
mod process;
mod renewing_endpoint;
mod role_option;
mod roles;
mod runtime_dir;
mod serve;
mod settings_file;
mod shell;
mod signals;
pub mod token_file;
mod whoami;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use self::output::{Failure, print};
use self::role_option::RoleOption;

/// Temporary AWS credentials for the cloud roles that are mapped to your project.
///
/// Where roles come from:
///
///   REST_ENDPOINT, HOPSWORKS_PROJECT_ID   a role-mapping server, and your project there
///   API_KEY_FILE, token.jwt in $SECRETS_DIR or API_KEY   who you are
///   HOPS_CLOUD_ROLES                      without a server: ARNs of roles that the base identity of this
///                                         machine (environment, profile, service account, instance) may assume
///
/// First steps:
///
///   hops-credentials roles                              which roles are there?
///   hops-credentials exec -- aws s3 ls s3://bucket      one command, with the default role
///   hops-credentials exec --role 2 --refresh -- train   a long one, whose SDKs renew their credentials
///   eval "$(hops-credentials env)"                      this shell, for an hour
///   hops-credentials doctor                             what is wrong, and what to do about it
///
/// For every program on this machine, in ~/.aws/config:
///
///   [profile hops]
///   credential_process = hops-credentials process --role 1
///
/// and in ~/.config/hops-credentials/settings, which counts where the environment names neither server nor roles:
///
///   REST_ENDPOINT=https://roles.example.com
///   HOPSWORKS_PROJECT_ID=119
///   API_KEY_FILE=/home/me/.config/hops-credentials/key
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 4 no identity or not configured; `exec` exits with the code
/// of its command, with 127 when there is no such command, and 126 when it cannot be started.
#[derive(Debug, Parser)]
#[command(name = "hops-credentials", version, verbatim_doc_comment)]
struct CommandLine {
    /// Print JSON, errors too, which go to standard error
    #[arg(long, global = true)]
    json: bool,
    /// A file of settings, lines NAME=VALUE; it wins over the environment
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The file of your API key
    #[arg(long, global = true, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the roles: id, ARN, for whom, and `default`; separated by tabs
    Roles,
    /// Say where roles come from, and your default role there; without a server, whose identity assumes them
    Whoami,
    /// Run a command whose AWS SDKs find the credentials of a role
    ///
    /// The command gets them in its environment, which is enough for an hour. With --refresh it gets the address of an
    /// endpoint on loopback instead, which its SDKs ask again by themselves, for as long as it runs.
    Exec(exec::Exec),
    /// Answer as a credential_process of ~/.aws/config
    ///
    /// Asks a running `hops-credentials serve` of yours when there is one for the same role. Otherwise fetches, and
    /// keeps the credentials below $XDG_RUNTIME_DIR, which only you can read; without such a directory it keeps
    /// nothing.
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
    /// Find out what is wrong, and say what to do about it; exits with 1 when something is wrong
    Doctor,
    /// Print shell commands that put the credentials of a role into the environment
    Env(env::Env),
    /// Print what lets a shell complete the words of this program
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the program with these arguments, the first of which is its name, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    match run_command(&line) {
        Ok(()) => 0,
        Err(Failure::Code(code)) => code,
        Err(Failure::Report(report)) => report.show(line.json),
    }
}

fn run_command(line: &CommandLine) -> Result<(), Failure> {
    if let Command::Completions { shell } = line.command {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut CommandLine::command(), "hops-credentials", &mut text);
        return print(String::from_utf8_lossy(&text).trim_end());
    }
    let settings = settings_file::read(line.settings.as_deref(), line.api_key_file.as_deref())?;
    match &line.command {
        Command::Roles => roles::run(&settings, line.json),
        Command::Whoami => whoami::run(&settings, line.json),
        Command::Exec(exec) => exec::run(&settings, exec),
        Command::Process(option) => process::run(&settings, option),
        Command::Serve(serve) => serve::run(&settings, serve, line.json),
        Command::Explain => explain::run(line.json),
        Command::Doctor => doctor::run(&settings, line.json),
        Command::Env(env) => env::run(&settings, env, line.json),
        Command::Completions { .. } => Ok(()),
    }
}
