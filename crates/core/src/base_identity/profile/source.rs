//! The profiles from which the active one takes its credentials (`source_profile`).

use aws_config::profile::Profile;

use super::{CREDENTIAL_PROPERTIES, Profiles};
use crate::error::Error;
use crate::text::quoted;

impl Profiles {
    /// The program that gives the credentials of the active profile, or of its source, and the name of that profile.
    ///
    /// Source: the order of the AWS SDKs within a profile.
    pub fn credential_process(&self) -> Option<(&str, &str)> {
        let mut seen = Vec::new();
        let mut name = self.name.as_str();
        while !seen.contains(&name) {
            seen.push(name);
            let profile = self.set.get_profile(name)?;
            let has = |property| profile.get(property).is_some();
            if has("web_identity_token_file") || has("credential_source") {
                return None;
            }
            match profile.get("source_profile").filter(|_| has("role_arn")) {
                Some(source) => name = source,
                None if ["sso_session", "sso_start_url", "login_session"].into_iter().any(has) => return None,
                None => return Some((name, profile.get("credential_process")?)),
            }
        }
        None
    }

    /// Refuses an active profile whose source has no credentials: the AWS SDK would go on to the next provider, which is
    /// another identity.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], which names the source.
    pub fn check_source(&self) -> Result<(), Error> {
        let mut seen = vec![self.name.as_str()];
        let mut profile = self.set.get_profile(&self.name);
        let properties =
            |profile: &Profile| CREDENTIAL_PROPERTIES.into_iter().filter(|name| profile.get(name).is_some()).collect();
        if profile.map_or_else(Vec::new, properties) == ["source_profile"] {
            return Err(Error::NotConfigured {
                problem: format!("the profile {} has a source_profile and no role_arn", quoted(&self.name)),
                remedy: "add the role_arn, or take source_profile out".to_owned(),
                source: None,
            });
        }
        while let Some(source) = profile.and_then(|profile| profile.get("role_arn").and(profile.get("source_profile")))
        {
            if seen.contains(&source) {
                return Ok(());
            }
            seen.push(source);
            profile = self.set.get_profile(source);
            let has_credentials =
                |profile: &Profile| CREDENTIAL_PROPERTIES.iter().any(|name| profile.get(name).is_some());
            if !profile.is_some_and(has_credentials) {
                return Err(Error::NotConfigured {
                    problem: format!(
                        "the profile {} has the source_profile {}, which {}",
                        quoted(seen[seen.len() - 2]),
                        quoted(source),
                        if profile.is_some() { "has no credentials" } else { "does not exist" }
                    ),
                    remedy: "correct source_profile".to_owned(),
                    source: None,
                });
            }
        }
        Ok(())
    }

    /// Whether the active profile has the machine's role as its source.
    pub fn uses_metadata_service(&self) -> bool {
        let mut seen = Vec::new();
        let mut next = Some(self.name.as_str());
        while let Some(name) = next.filter(|name| !seen.contains(name)) {
            seen.push(name);
            let Some(profile) = self.set.get_profile(name) else { return false };
            if profile.get("credential_source").is_some_and(|source| source.eq_ignore_ascii_case("Ec2InstanceMetadata"))
            {
                return true;
            }
            next = profile.get("source_profile");
        }
        false
    }
}
