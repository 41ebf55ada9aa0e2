//! The variables that decide the base identity, as they were before we wrote anything.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use aws_types::os_shim_internal::Env;
use zeroize::Zeroizing;

use super::region;
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
/// Hosts that readers reach without a proxy; most prefer one name or the other, and read both.
pub(crate) const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The variables that decide the base identity, as they were before we wrote anything. `Debug` shows names only.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, Zeroizing<String>>,
}

impl Environment {
    /// The variables of this process now; where one still holds what we wrote, the value from before.
    ///
    /// A host that writes on another thread calls this while it keeps that thread from writing.
    pub fn now(written: &[Written]) -> Self {
        let legible = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment::from_pairs(std::env::vars_os().filter_map(legible)).before(written)
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
                let others = [ISSUED, KUBERNETES, HOME, BOTO_CONFIG, NO_PROXY[0], NO_PROXY[1]];
                name.starts_with("AWS_") || others.contains(&name.as_str())
            })
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        Self { variables }
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

    /// The value of a variable that we have not written.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_raw(name).filter(|_| !self.is_inherited(name))
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
        variables.extend(overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Env::from(variables)
    }

    /// Refuses an incomplete identity: the AWS SDK would go on to the next provider, which is another identity.
    ///
    /// # Errors
    /// [`Error::NotConfigured`], which names the variable that is missing.
    pub(super) fn check_complete(&self) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn credentials_that_we_issued_are_never_the_base() {
        let inherited = environment(&[
            (ACCESS_KEY_ID, "ASIAISSUED"),
            (SECRET_ACCESS_KEY, "canary-secret"),
            (SESSION_TOKEN, "canary-token"),
            (ISSUED, "ASIAISSUED"),
        ]);
        for name in [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN] {
            assert_eq!(inherited.get(name), None, "{name}");
            assert!(inherited.to_sdk_env(&[]).get(name).is_err(), "{name}");
        }
        assert_eq!(inherited.inherited_mark(), Some("ASIAISSUED"));
    }

    #[test]
    fn keys_that_somebody_else_set_after_us_are_the_base() {
        let own = environment(&[(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, "secret"), (ISSUED, "ASIAISSUED")]);
        assert_eq!(own.get(ACCESS_KEY_ID), Some("AKIAOWN"));
        assert_eq!(own.inherited_mark(), None);
    }

    #[test]
    fn our_own_endpoint_is_never_the_base() {
        let url = "http://127.0.0.1:40001/role";
        let inherited = environment(&[(CONTAINER_URL, url), (CONTAINER_TOKEN, "canary-token"), (ISSUED, url)]);
        assert_eq!(inherited.get(CONTAINER_URL), None);
        assert_eq!(inherited.get(CONTAINER_TOKEN), None);
        assert_eq!(inherited.inherited_mark(), Some(url));
        let own = environment(&[(CONTAINER_URL, "http://169.254.170.23/v1/credentials"), (ISSUED, url)]);
        assert_eq!(own.get(CONTAINER_URL), Some("http://169.254.170.23/v1/credentials"));
    }

    #[test]
    fn a_mark_may_name_the_last_and_the_newest() {
        for key in ["ASIAOLD", "ASIANEW"] {
            let torn = environment(&[(ACCESS_KEY_ID, key), (SECRET_ACCESS_KEY, "s"), (ISSUED, "ASIAOLD,ASIANEW")]);
            assert_eq!((torn.get(ACCESS_KEY_ID), torn.inherited_mark()), (None, Some(key)));
        }
        assert_eq!(
            environment(&[(ACCESS_KEY_ID, "ASIA"), (ISSUED, "ASIAOLD,ASIANEW")]).get(ACCESS_KEY_ID),
            Some("ASIA")
        );
    }

    fn written(name: &str, before: Option<&str>, ours: Option<&str>) -> Written {
        Written::new(name, before.map(str::to_owned), ours.map(str::to_owned)).expect("a variable that we write")
    }

    #[test]
    fn what_we_wrote_gives_way_to_what_stood_there_before() {
        let record = [
            written(ISSUED, None, Some("ASIAROLE")),
            written(ACCESS_KEY_ID, Some("AKIABASE"), Some("ASIAROLE")),
            written(SECRET_ACCESS_KEY, Some("base secret"), Some("role secret")),
            written(SESSION_TOKEN, None, Some("role token")),
            written(PROFILE[0], Some("base"), None),
        ];
        let ours = [
            (ISSUED, "ASIAROLE"),
            (ACCESS_KEY_ID, "ASIAROLE"),
            (SECRET_ACCESS_KEY, "role secret"),
            (SESSION_TOKEN, "role token"),
        ];
        let base = environment(&ours).before(&record);
        assert_eq!(base.get(ACCESS_KEY_ID), Some("AKIABASE"));
        assert_eq!(base.get(SECRET_ACCESS_KEY), Some("base secret"));
        assert_eq!((base.get(SESSION_TOKEN), base.get_raw(ISSUED), base.get(PROFILE[0])), (None, None, Some("base")));
        // The mark tells of a newer set that the record does not know yet.
        let torn = environment(&[
            (ISSUED, "ASIAROLE,ASIANEXT"),
            (ACCESS_KEY_ID, "ASIANEXT"),
            (SECRET_ACCESS_KEY, "next secret"),
            (SESSION_TOKEN, "role token"),
        ]);
        assert_eq!(torn.before(&record).saved(), base.saved());
        let later = [ours.as_slice(), &[(PROFILE[0], "prod"), ("AWS_REGION", "eu-north-1")]].concat();
        let later = environment(&later).before(&record);
        assert_eq!((later.get(PROFILE[0]), later.get("AWS_REGION")), (Some("prod"), Some("eu-north-1")));
    }

    #[test]
    fn keys_that_somebody_set_over_ours_do_not_get_the_rest_of_the_earlier_ones() {
        let record = [
            written(ISSUED, None, Some("ASIAROLE")),
            written(ACCESS_KEY_ID, Some("ASIABASE"), Some("ASIAROLE")),
            written(SECRET_ACCESS_KEY, Some("base secret"), Some("role secret")),
            written(SESSION_TOKEN, Some("base token"), Some("role token")),
        ];
        let own = environment(&[
            (ISSUED, "ASIAROLE"),
            (ACCESS_KEY_ID, "AKIAOWN"),
            (SECRET_ACCESS_KEY, "own secret"),
            (SESSION_TOKEN, "role token"),
        ]);
        let base = own.before(&record);
        assert_eq!((base.get(ACCESS_KEY_ID), base.get(SESSION_TOKEN)), (Some("AKIAOWN"), None));
    }

    #[test]
    fn an_incomplete_base_identity_is_refused() {
        let cases: [(&[(&str, &str)], &str); 3] = [
            (
                &[(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, " ")],
                "the base identity is incomplete: AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not; set \
                 AWS_SECRET_ACCESS_KEY, or remove AWS_ACCESS_KEY_ID",
            ),
            (
                &[(SECRET_ACCESS_KEY, "canary-secret")],
                "the base identity is incomplete: AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not; set \
                 AWS_ACCESS_KEY_ID, or remove AWS_SECRET_ACCESS_KEY",
            ),
            (
                &[(WEB_IDENTITY_TOKEN_FILE, "/var/run/token")],
                "the base identity is incomplete: AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not; set \
                 AWS_ROLE_ARN, or remove AWS_WEB_IDENTITY_TOKEN_FILE",
            ),
        ];
        for (variables, message) in cases {
            let error = environment(variables).check_complete().expect_err("incomplete");
            assert_eq!(error.to_string(), message);
        }
        environment(&[]).check_complete().expect("nothing is set");
        environment(&[(ACCESS_KEY_ID, "a"), (SECRET_ACCESS_KEY, "b")]).check_complete().expect("both are set");
    }

    #[test]
    fn debug_shows_names_and_no_value() {
        let shown = format!("{:?}", environment(&[(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, "canary-secret")]));
        assert_eq!(shown, "{\"AWS_ACCESS_KEY_ID\", \"AWS_SECRET_ACCESS_KEY\"}");
    }
}
