//! The role-mapping server: maps AWS roles to projects and project roles, and hands out their temporary credentials.
//!
//! | module | noun |
//! |---|---|
//! | `cli` | the command line |
//! | `commands` | what each command does and prints |
//! | `database` | SQLite or PostgreSQL, one set of SQL texts; migrations |
//! | `user`, `project`, `mapping` | the nouns: rules and SQL |
//! | `mapping_change` | how role mappings change, on record |
//! | `mapping_file`, `import` | role mappings in git; those of another server |
//! | `audit` | what is on record |
//! | `auth` | who calls and what they may do: extractors |
//! | `api`, `session_token` | the REST interface |
//! | `flights` | one call for all who ask for the same at once |
//! | `login`, `identity` | what somebody brings; who the users are: those of this database, or of a cluster |
//! | `cluster`, `answers` | a Hopsworks cluster that is asked who somebody is; its answers, for some seconds |
//! | `pages`, `browser_session`, `sealed_login` | the pages; who is signed in to them |
//! | `parameters`, `listing` | query and path; which part of a list |
//! | `listen`, `request_log` | the socket; what happens around each request |
//! | `failures` | which addresses come with wrong keys |
//! | `probes`, `metrics` | what the machinery around the server asks |
//! | `error` | why the server said no |

mod answers;
mod api;
mod audit;
mod auth;
mod browser_session;
mod cli;
mod cluster;
mod commands;
mod database;
mod error;
mod failures;
mod flights;
mod identity;
mod import;
mod listen;
mod listing;
mod login;
mod mapping;
mod mapping_change;
mod mapping_file;
mod metrics;
mod pages;
mod parameters;
mod probes;
mod project;
mod random;
mod request_log;
mod sealed_login;
mod session_token;
mod user;

use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::sts::{Issued, Sts};
use tokio::runtime::Runtime;

use crate::browser_session::Cookie;
use crate::cli::{Command, CommandLine};
use crate::database::Database;
use crate::failures::Failures;
use crate::flights::{Flights, SameCredentials};
use crate::identity::Identity;
use crate::metrics::Metrics;

/// What every handler may use.
#[derive(Debug, Clone)]
pub struct App {
    /// Users, projects, members, role mappings, audit.
    pub database: Database,
    /// STS with the base identity of this machine; one for all requests.
    pub sts: Arc<Sts>,
    /// The calls of STS that several requests may share.
    pub flights: Arc<Flights<SameCredentials, Result<Issued, Arc<CoreError>>>>,
    /// Who the users are.
    pub identity: Identity,
    /// The wrong keys of each address.
    pub failures: Failures,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// Whether the last hop of `X-Forwarded-For` is the client's address.
    pub is_behind_proxy: bool,
    /// The cookie of the pages.
    pub cookie: Cookie,
}

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
    let outcome = runtime.block_on(commands::run(command, &address));
    // Does not wait for what cannot be cancelled, such as the look-up of a host name.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.with_sources());
            ExitCode::FAILURE
        }
    }
}

/// Says so as clap does and ends with 2.
fn wrong_usage(problem: String) -> ! {
    CommandLine::command().error(ErrorKind::ValueValidation, problem).exit()
}
