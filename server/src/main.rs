//! The role-mapping server: maps AWS roles to projects and project roles, and issues temporary credentials of those roles.
//!
//! | module | noun |
//! |---|---|
//! | `app` | what every handler may use |
//! | `command_line` | its options, and what each command does and prints |
//! | `http` | the socket, who calls, and what happens around each request |
//! | `api` | the REST interface |
//! | `pages`, `browser_session` | the pages; who is signed in to them |
//! | `identity` | who the users are: those of this database, or of a Hopsworks cluster |
//! | `user`, `api_key`, `project`, `member`, `mapping` | the nouns: rules and SQL |
//! | `audit` | who got which role, and who changed what |
//! | `database` | SQLite or PostgreSQL with the same SQL; migrations |
//! | `issuer` | credentials from STS, each used again while nearly all of its time is left |
//! | `sts_budget` | how often STS is called, and who goes first |
//! | `like` | patterns of texts that contain another one |
//! | `fair_map` | a bounded memory in which nobody takes the places of others |
//! | `wrong_keys` | how many wrong keys each address has sent |
//! | `log` | lines on stderr, written by a thread of its own |
//! | `metrics` | what the server counts |
//! | `random` | random text that nobody can guess |
//! | `error` | why the server refuses or fails |

mod api;
mod api_key;
mod app;
mod audit;
mod browser_session;
mod command_line;
mod database;
mod error;
mod fair_map;
mod http;
mod identity;
mod issuer;
mod like;
mod log;
mod mapping;
mod member;
mod metrics;
mod pages;
mod project;
mod random;
mod sts_budget;
mod user;
mod wrong_keys;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tokio::runtime::Runtime;

use crate::command_line::options::{Command, CommandLine};
use crate::command_line::remedy::remedy;
use crate::error::with_sources;

fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let address = match command.database().address() {
        Ok(address) => address,
        Err(problem) => wrong_usage(problem),
    };
    if let Command::Serve(serve) = &command
        && let Err(problem) = serve.check()
    {
        wrong_usage(problem);
    }
    let runtime = Runtime::new().expect("the system gives threads and an event queue");
    let outcome = runtime.block_on(command_line::commands::run(command, &address));
    // This does not wait for what cannot be cancelled, such as the look-up of a host name.
    runtime.shutdown_background();
    let is_log_read = log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if is_log_read {
                // Where stderr takes nothing, the exit code tells it alone.
                let _ = writeln!(std::io::stderr(), "{}{}", with_sources(&error), remedy(&error));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints the problem as clap does, and exits with 2.
fn wrong_usage(problem: String) -> ! {
    CommandLine::command().error(ErrorKind::ValueValidation, problem).exit()
}
