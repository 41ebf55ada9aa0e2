//! `env`: shell commands that put the credentials of a role into the environment.

use clap::Args;
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::variables;
use serde_json::Value;

use crate::ask::assume_role;
use crate::output::{Failure, print, say};
use crate::role_option::RoleOption;
use crate::shell::Shell;

/// Print shell commands that put the credentials of a role into the environment
#[derive(Debug, Args)]
pub(crate) struct Env {
    #[command(flatten)]
    option: RoleOption,
    /// The shell that evaluates them
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
}

pub(crate) fn run(settings: &Settings, env: &Env, json: bool) -> Result<(), Failure> {
    let credentials = assume_role(settings, &env.option)?;
    let environment = Environment::now(&[]);
    let effects = block_on(async { Ok(variables::for_credentials(&credentials, &environment).await) })?;
    effects.warnings.iter().for_each(say);
    let changes = effects.changes;
    if json {
        let object = changes.iter().map(|(name, value)| {
            ((*name).to_owned(), value.as_ref().map_or(Value::Null, |value| Value::from(value.as_str())))
        });
        return print(&Value::Object(object.collect()).to_string());
    }
    print(&env.shell.commands(&changes))
}
