//! `env`: shell commands that put the credentials of a role into the environment.

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::variables;
use serde_json::Value;

use crate::ask::ask;
use crate::output::{Failure, print, say, shell_commands};
use crate::role_option::RoleOption;

pub(crate) fn run(settings: &Settings, option: &RoleOption, json: bool) -> Result<(), Failure> {
    let credentials = ask(settings, async |source| source.assume_role(&option.to_request(source).await?).await)?;
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
    print(&shell_commands(&changes))
}
