//! The role-mapping server: maps AWS roles to projects and project roles, and hands out their temporary credentials.
//!
//! | module | noun |
//! |---|---|
//! | `app` | what every handler may use |
//! | `command_line` | its options, and what each command does and prints |
//! | `http` | the socket, who calls on it, and what happens around each request |
//! | `api` | the REST interface |
//! | `pages`, `browser_session` | the pages; who is signed in to them |
//! | `identity` | who the users are: those of this database, or of a Hopsworks cluster |
//! | `user`, `api_key`, `project`, `member`, `mapping` | the nouns: rules and SQL |
//! | `audit` | what is on record |
//! | `database` | SQLite or PostgreSQL, one set of SQL texts; migrations |
//! | `flights` | one call for all who ask for the same at once |
//! | `wrong_keys` | which addresses come with wrong keys |
//! | `metrics` | what the server counts |
//! | `random` | random text that nobody can guess |
//! | `error` | why the server said no |

mod api;
mod api_key;
mod app;
mod audit;
mod browser_session;
mod command_line;
mod database;
mod error;
mod flights;
mod http;
mod identity;
mod log;
mod mapping;
mod member;
mod metrics;
mod pages;
mod project;
mod random;
mod user;
mod wrong_keys;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tokio::runtime::Runtime;

use crate::command_line::options::{Command, CommandLine};
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
    // Does not wait for what cannot be cancelled, such as the look-up of a host name.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_sources(&error));
            ExitCode::FAILURE
        }
    }
}

/// Says so as clap does and ends with 2.
fn wrong_usage(problem: String) -> ! {
    CommandLine::command().error(ErrorKind::ValueValidation, problem).exit()
}
