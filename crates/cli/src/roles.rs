//! `roles`: the role mappings of the project.

use hops_credentials_core::settings::Settings;
use serde_json::{Value, json};

use crate::ask::ask;
use crate::output::{Failure, print};

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let mappings = ask(settings, async |source| source.role_mappings().await)?;
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
