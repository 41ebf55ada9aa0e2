//! What a profile holds beside credentials, as variables: it is taken out, and readers need the rest of it.

use zeroize::Zeroizing;

use super::table::{Effect, TABLE};
use crate::base_identity::{Environment, PROFILE, Profiles, REGION};
use crate::text::quoted;

const SERVICE_PREFIX: &str = "AWS_ENDPOINT_URL_";
/// The one variable that does not have the name of its property.
pub(super) const OUTPUT: &str = "AWS_DEFAULT_OUTPUT";

/// What readers would miss without the profile that the environment names.
#[derive(Default)]
pub(super) struct Carried {
    /// The variables that are not set, with the value that the profile gave them.
    pub values: Vec<(&'static str, Zeroizing<String>)>,
    /// What cannot be carried.
    pub warnings: Vec<String>,
}

impl Carried {
    /// Reads the profile. Without a name in the environment none is taken out, so there is nothing to carry.
    pub async fn read(environment: &Environment) -> Self {
        let Some(name) = environment.get_first(&PROFILE) else { return Self::default() };
        let profiles = match Profiles::read(environment).await {
            Ok(profiles) => profiles,
            Err(error) => {
                let warning =
                    format!("its region and endpoints do not reach readers, who no longer see AWS_PROFILE: {error}");
                return Self { values: Vec::new(), warnings: vec![warning] };
            }
        };
        let missing = TABLE.iter().filter(|variable| {
            variable.with_credentials == Effect::Carried && environment.get(variable.name).is_none()
        });
        let values: Vec<_> = missing
            .filter_map(|variable| {
                let value = value(variable.name, environment, &profiles)?;
                Some((variable.name, Zeroizing::new(value.to_owned())))
            })
            .collect();
        let left = left_behind(&profiles);
        let warning = format!(
            "readers no longer see the profile {}, and what it says about {} has no variable: set it in the program",
            quoted(name),
            left.join(", ")
        );
        Self { values, warnings: if left.is_empty() { Vec::new() } else { vec![warning] } }
    }
}

/// What the base identity had for this variable.
fn value<'a>(name: &str, environment: &'a Environment, profiles: &'a Profiles) -> Option<&'a str> {
    if REGION.contains(&name) {
        return environment.get_first(&REGION).or_else(|| profiles.get("region"));
    }
    if let Some(service) = name.strip_prefix(SERVICE_PREFIX) {
        let (service, services) = (service.to_lowercase(), profiles.services());
        return services.into_iter().find(|(name, _)| *name == service).and_then(|(_, endpoint)| endpoint);
    }
    let property = if name == OUTPUT { "output" } else { name.strip_prefix("AWS_")? };
    profiles.get(&property.to_lowercase())
}

/// The parts of the profile that no variable can say.
fn left_behind(profiles: &Profiles) -> Vec<String> {
    let carried = |service: &str| {
        TABLE.iter().any(|variable| variable.name.strip_prefix(SERVICE_PREFIX) == Some(&service.to_uppercase()))
    };
    let services = profiles.services().into_iter().filter(|(service, _)| !carried(service));
    let mut left: Vec<String> = services.map(|(service, _)| format!("the service {service}")).collect();
    left.extend(["s3", "s3api"].iter().filter(|part| profiles.get(part).is_some()).map(|part| format!("`{part}`")));
    left
}
