//! The variables that decide the base identity, as they were before we wrote anything.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use aws_types::os_shim_internal::Env;
use zeroize::Zeroizing;

use super::error::{REMEDY_WITHOUT_BASE, illegible};
use super::process::IN_CREDENTIAL_PROCESS;
use super::region;
use crate::credentials::can_sign;
use crate::error::Error;
use crate::variables::{Written, given_back};

/// Tells a child process which variables we wrote: the bindings set it, beside `AWS_*`, to the access key id of the
/// credentials they put there, or to the URL of our own endpoint when they put that there instead ([`CONTAINER_URL`]). Two
/// of them, separated by a comma, are the last and the newest.
pub const ISSUED: &str = "HOPS_CREDENTIALS_ISSUED";

/// Access key id. Not secret.
pub const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Secret access key. Secret.
pub const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// Session token of temporary credentials. Secret.
pub const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
/// An older name of [`SESSION_TOKEN`], which boto3 prefers. Secret.
pub(crate) const SECURITY_TOKEN: &str = "AWS_SECURITY_TOKEN";
/// Expiration of the credentials in the environment. With it boto3 reads them again in time.
///
/// Source: botocore, `EnvProvider`.
pub const CREDENTIAL_EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";
/// URL of a container-credentials endpoint.
pub const CONTAINER_URL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// Token that a request to [`CONTAINER_URL`] carries as its `Authorization`. Secret.
pub const CONTAINER_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
/// File that holds [`CONTAINER_TOKEN`]; readers prefer it.
pub const CONTAINER_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Path of a container-credentials endpoint on the host that ECS provides.
pub(crate) const CONTAINER_PATH: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
/// Name of the active profile; the first that is set counts.
pub(crate) const PROFILE: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
/// Region; the first that is set counts.
pub(crate) const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// File that holds the token of a web identity.
pub(crate) const WEB_IDENTITY_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// Role that a web identity assumes.
pub(crate) const WEB_IDENTITY_ROLE: &str = "AWS_ROLE_ARN";
/// Session name of [`WEB_IDENTITY_ROLE`].
pub(crate) const WEB_IDENTITY_SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
/// Switches the instance metadata service off when `true`.
///
/// Source: AWS SDKs and Tools reference guide, "IMDS credential provider".
pub(crate) const METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
/// URL of the instance metadata service.
pub(super) const METADATA_URL: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST";
pub(super) const HOME: &str = "HOME";
/// File of boto, with credentials or without.
pub(crate) const BOTO_CONFIG: &str = "BOTO_CONFIG";
/// For each variable that leads to a base identity and that we may take out or replace, the one in which a process that
/// inherits our values finds what it held. No secret is handed on: of keys only the id, which says that there were some.
pub(crate) const HANDED_ON: [(&str, &str); 9] = [
    (ACCESS_KEY_ID, HANDED_ON_KEY),
    (PROFILE[0], "HOPS_BASE_AWS_PROFILE"),
    (PROFILE[1], "HOPS_BASE_AWS_DEFAULT_PROFILE"),
    (WEB_IDENTITY_TOKEN_FILE, "HOPS_BASE_AWS_WEB_IDENTITY_TOKEN_FILE"),
    (WEB_IDENTITY_ROLE, "HOPS_BASE_AWS_ROLE_ARN"),
    (WEB_IDENTITY_SESSION_NAME, "HOPS_BASE_AWS_ROLE_SESSION_NAME"),
    (CONTAINER_URL, "HOPS_BASE_AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    (CONTAINER_TOKEN_FILE, "HOPS_BASE_AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    (CONTAINER_PATH, "HOPS_BASE_AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
];
const HANDED_ON_KEY: &str = "HOPS_BASE_AWS_ACCESS_KEY_ID";
/// Hosts that readers reach without a proxy; most prefer one name or the other, and read both.
pub(crate) const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The variables that decide the base identity, as they were before we wrote anything. `Debug` shows names only.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, Zeroizing<String>>,
    /// All variables of this process at that moment, ours too, for programs that it starts. `None` where they were made up.
    inherited: Option<Arc<[(OsString, OsString)]>>,
}

impl Environment {
    /// The variables of this process now; where one still holds what we wrote, the value from before.
    ///
    /// A host that writes on another thread calls this while it keeps that thread from writing.
    pub fn now(written: &[Written]) -> Self {
        let all: Arc<[_]> = std::env::vars_os().collect();
        // A value that is not text leads nowhere, as a name of a profile that is not there; it is not passed over. A home
        // directory of such a name is found without the variable.
        let pair = |(name, value): &(OsString, OsString)| {
            let text = if name == HOME { value.to_str()?.into() } else { value.to_string_lossy() };
            Some((name.to_str()?.to_owned(), text.into_owned()))
        };
        let variables = Self::from_pairs(all.iter().filter_map(pair));
        Self { inherited: Some(all), ..variables }.before(written)
    }

    /// The variables of this process when the environment was read. A program gets these: another thread may change the
    /// variables meanwhile, which the C library does not allow while somebody reads them.
    pub(super) fn inherited(&self) -> Option<impl Iterator<Item = (&OsStr, &OsStr)>> {
        let inherited = self.inherited.as_deref()?;
        Some(inherited.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str())))
    }

    /// Other variables, for the same process.
    pub(super) fn with_pairs(&self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { inherited: self.inherited.clone(), ..Self::from_pairs(variables) }
    }

    /// The variables as they were before we wrote `written`, where they still hold that, or anything else that the mark
    /// says we issued.
    pub fn before(mut self, written: &[Written]) -> Self {
        let filled = |value: &str| !value.trim().is_empty();
        let is_ours = |one: &Written| {
            let ours = one.ours.as_ref().map(|ours| ours.as_str()).filter(|ours| filled(ours));
            self.get_raw(one.name) == ours || self.is_inherited(one.name)
        };
        for (name, value) in given_back(written, is_ours) {
            match value.filter(|value| filled(value)) {
                Some(value) => self.variables.insert(name.to_owned(), value),
                None => self.variables.remove(name),
            };
        }
        self
    }

    /// Keeps the variables that decide the base identity. A blank value counts as unset.
    pub fn from_pairs(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables
            .into_iter()
            .filter(|(name, _)| {
                let others = [ISSUED, KUBERNETES, HOME, BOTO_CONFIG, NO_PROXY[0], NO_PROXY[1], IN_CREDENTIAL_PROCESS];
                ["AWS_", "HOPS_BASE_", "FSSPEC_"].iter().any(|begin| name.starts_with(begin))
                    || others.contains(&name.as_str())
            })
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        Self { variables, inherited: None }
    }

    /// Returns a copy with this region where none of its partition is set.
    pub(crate) fn with_region(&self, region: &str) -> Self {
        let mut all = self.clone();
        let partition = region::partition(region);
        if self.get_first(&REGION).is_none_or(|own| region::partition(own) != partition) {
            all.variables.insert(REGION[0].to_owned(), Zeroizing::new(region.to_owned()));
        }
        all
    }

    /// Everything kept. Holds secrets.
    pub fn saved(&self) -> Vec<(String, Zeroizing<String>)> {
        self.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The mark of what we wrote and this process inherited: an access key id or the URL of our endpoint.
    pub(super) fn inherited_mark(&self) -> Option<&str> {
        [ACCESS_KEY_ID, CONTAINER_URL].into_iter().find(|name| self.is_marked(name)).and_then(|name| self.get_raw(name))
    }

    /// The value of a variable that we have not written; where the process that started this one took it out, what it
    /// held there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let own = self.get_raw(name).filter(|_| !self.is_inherited(name));
        own.or_else(|| self.handed_on().find(|(handed_on, _)| *handed_on == name).map(|(_, value)| value))
    }

    /// The variables that lead to the base identity of the process that started this one, which assumed a role. None
    /// where this process has been given one of its own.
    fn handed_on(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let counts = self.is_without_own_base();
        let led = HANDED_ON.into_iter().filter(move |(name, _)| counts && *name != ACCESS_KEY_ID);
        led.filter_map(|(name, handed_on)| Some((name, self.get_raw(handed_on)?)))
    }

    /// Whether the variables of this process lead to no base identity but that of the process that started this one.
    fn is_without_own_base(&self) -> bool {
        let is_own = |(name, handed_on): (&str, &str)| {
            self.get_raw(name).is_some_and(|value| !self.is_inherited(name) && self.get_raw(handed_on) != Some(value))
        };
        self.inherited_mark().is_some() && !HANDED_ON.into_iter().any(is_own)
    }

    /// The access key id of the base identity of the process that started this one, which this process lacks.
    pub(crate) fn handed_on_key(&self) -> Option<&str> {
        self.get_raw(HANDED_ON_KEY).filter(|_| self.is_without_own_base())
    }

    /// The first of these variables that is set.
    pub(crate) fn get_first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether this process runs in a container, where the answer of the instance metadata service needs a second hop.
    pub(super) fn is_container(&self) -> bool {
        let has_container_group = || {
            std::fs::read_to_string("/proc/1/cgroup").is_ok_and(|groups| {
                ["docker", "kubepods", "containerd", "libpod", "lxc"].iter().any(|runtime| groups.contains(runtime))
            })
        };
        self.get(KUBERNETES).is_some()
            || std::path::Path::new("/.dockerenv").exists()
            || std::path::Path::new("/run/.containerenv").exists()
            || has_container_group()
    }

    /// The variables for the AWS SDK: those that we have not written, with `overrides`.
    pub(super) fn to_sdk_env(&self, overrides: &[(&str, &str)]) -> Env {
        let mut variables: HashMap<String, String> = self
            .variables
            .iter()
            .filter(|(name, _)| !self.is_inherited(name))
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        variables.extend(self.handed_on().map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Env::from(variables)
    }

    /// Refuses an identity that is incomplete or was not handed on: the AWS SDK would go on to the next provider, which
    /// is another identity.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], which names the variable that is missing.
    pub(super) fn check_complete(&self) -> Result<(), Error> {
        if let Some(key) = self.handed_on_key() {
            return Err(Error::NotConfigured {
                problem: format!(
                    "this process has no base identity of its own: that of the process that assumed the role, access key \
                     {key}, is not handed on"
                ),
                remedy: REMEDY_WITHOUT_BASE.to_owned(),
                source: None,
            });
        }
        let [key, secret, token] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN].map(|name| self.get(name));
        // The SDK trims the token, and uses none without a key.
        let token = token.filter(|_| key.is_some()).map(str::trim);
        if !can_sign(key.unwrap_or_default(), secret.unwrap_or_default(), token) {
            return Err(illegible("environment"));
        }
        for (set, missing) in [
            (ACCESS_KEY_ID, SECRET_ACCESS_KEY),
            (SECRET_ACCESS_KEY, ACCESS_KEY_ID),
            (WEB_IDENTITY_TOKEN_FILE, WEB_IDENTITY_ROLE),
        ] {
            if self.get(set).is_some() && self.get(missing).is_none() {
                return Err(Error::NotConfigured {
                    problem: format!("the base identity is incomplete: {set} is set, {missing} is not"),
                    remedy: format!("set {missing}, or remove {set}"),
                    source: None,
                });
            }
        }
        Ok(())
    }

    /// The value of a variable, whoever wrote it.
    pub(crate) fn get_raw(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.as_str())
    }

    /// Whether the mark says that we wrote this variable, here or in the process that started this one.
    pub(crate) fn is_inherited(&self, name: &str) -> bool {
        match name {
            ISSUED => true,
            ACCESS_KEY_ID | SECRET_ACCESS_KEY | SESSION_TOKEN | CREDENTIAL_EXPIRATION => self.is_marked(ACCESS_KEY_ID),
            CONTAINER_URL | CONTAINER_TOKEN | CONTAINER_TOKEN_FILE => self.is_marked(CONTAINER_URL),
            _ => false,
        }
    }

    fn is_marked(&self, name: &str) -> bool {
        let value = self.get_raw(name);
        value.is_some() && self.get_raw(ISSUED).is_some_and(|issued| issued.split(',').any(|one| Some(one) == value))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}
