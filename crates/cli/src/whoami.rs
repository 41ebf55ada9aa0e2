//! `whoami`: where roles come from, and who the caller is there.

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::error::Error;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::sts::Sts;

use crate::output::{Failure, print_facts, say};

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let environment = Environment::now(&[]);
    let facts = Source::ask(settings, &environment, say, async |source| {
        let mut facts = vec![("source", source.to_string())];
        match source {
            Source::Hopsworks(_) => facts.push(("defaultRole", default_role(source).await?)),
            Source::Sts(_) => {
                let identity = Sts::new(settings, &environment)?.base_identity().await?;
                facts.push(("arn", identity.arn));
                facts.push(("account", identity.account));
                facts.push(("provider", identity.provider.to_string()));
            }
        }
        Ok(facts)
    })?;
    print_facts(&facts, json)
}

/// The ARN of the default role, or `none`: a caller without a default role is still a valid caller.
async fn default_role(source: &Source) -> Result<String, Error> {
    match source.role_mapping(None).await {
        Ok(mapping) => Ok(mapping.role.to_string()),
        Err(Error::Refused { code: 380_003, .. }) => Ok("none".to_owned()),
        Err(error) => Err(error),
    }
}
