//! `whoami`: where roles come from, and with which role or identity the caller begins there.

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::error::Error;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::sts::Sts;

use crate::ask::ask;
use crate::output::{Failure, print_facts};

pub(crate) fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let facts = ask(settings, async |source| {
        let mut facts = vec![("source", Some(source.to_string()))];
        match source {
            Source::Hopsworks(_) => facts.push(("defaultRole", default_role(source).await?)),
            Source::Sts(_) => {
                let identity = Sts::new(settings, &Environment::now(&[]))?.base_identity().await?;
                facts.push(("arn", Some(identity.arn)));
                facts.push(("account", Some(identity.account)));
                facts.push(("provider", Some(identity.provider.to_string())));
            }
        }
        Ok(facts)
    })?;
    print_facts(&facts, json)
}

/// The ARN of the default role: a caller without one is still a valid caller.
async fn default_role(source: &Source) -> Result<Option<String>, Error> {
    match source.role_mapping(None).await {
        Ok(mapping) => Ok(Some(mapping.role.to_string())),
        Err(Error::Refused { code: 380_003, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
