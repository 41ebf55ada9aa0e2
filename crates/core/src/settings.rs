//! Settings: the sources they come from, and the one table of their names.
//!
//! Order, the first that is not blank wins: argument > `spark.hops.<name>` of the active SparkConf > JVM system property >
//! environment variable. The arguments stand in [`AssumeRole`](crate::request::AssumeRole); the rest is here. A binding
//! hands over the values that its host has for the names of the [`table()`]; the environment is read once, when [`Settings`]
//! are made.

mod table;

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;

pub use table::*;

/// The settings of one call. `Debug` shows no secret.
#[derive(Clone)]
pub struct Settings {
    spark: HashMap<String, Zeroizing<String>>,
    properties: HashMap<String, Zeroizing<String>>,
    environment: HashMap<String, Zeroizing<String>>,
    brings_login: bool,
    hopsworks_pem: Option<String>,
    jvm_pem: Option<String>,
}

impl Settings {
    /// Takes what the host language knows and, of the process's environment, the variables of the table.
    pub fn new(
        spark: impl IntoIterator<Item = (String, String)>,
        properties: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let environment = TABLE
            .iter()
            .flat_map(|setting| setting.variable_names())
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
        Self {
            spark: collected(spark),
            properties: collected(properties),
            environment: collected(environment),
            brings_login: false,
            hopsworks_pem: None,
            jvm_pem: None,
        }
    }

    /// The settings of a process without a JVM.
    pub fn from_environment() -> Self {
        Self::new([], [])
    }

    /// These variables instead of the process's.
    pub fn with_environment(mut self, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = collected(environment);
        self
    }

    /// These variables instead of the process's, from a file that names a server and brings the login for it: the token
    /// of the working directory, which is for the server of the environment, does not count.
    pub fn with_file(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.brings_login = true;
        self.with_environment(variables)
    }

    /// Whether the login of the working directory is for another server than these settings name.
    pub(crate) fn brings_login(&self) -> bool {
        self.brings_login
    }

    /// The certificates, as PEM, that the JVM's `KeyStore` read from [`TRUSTSTORE`] and from [`JVM_TRUSTSTORE`].
    pub fn with_trust(mut self, hopsworks_pem: Option<String>, jvm_pem: Option<String>) -> Self {
        self.hopsworks_pem = hopsworks_pem;
        self.jvm_pem = jvm_pem;
        self
    }

    /// The value that counts. A blank value counts as unset.
    pub fn get(&self, setting: &Setting) -> Option<&str> {
        let from_environment = || setting.variable_names().iter().find_map(|name| filled(&self.environment, name));
        self.property(setting).or_else(from_environment)
    }

    /// The value of a setting in Spark or in a property, whose names are ours alone. A variable may be another program's.
    pub(crate) fn property(&self, setting: &Setting) -> Option<&str> {
        let from_spark = setting.spark().and_then(|name| filled(&self.spark, name));
        let from_property = || setting.property_name().and_then(|name| filled(&self.properties, name));
        from_spark.or_else(from_property)
    }

    /// Whether the static `fs.s3a.*` keys are written, see [`STATIC_KEYS`].
    ///
    /// # Errors
    /// [`Error::NotConfigured`] for a value that is neither `true` nor `false`.
    pub fn has_static_keys(&self) -> Result<bool, Error> {
        self.is_on(&STATIC_KEYS, true)
    }

    /// Whether credentials that end without a refresh are refused, see [`REQUIRE_LIVE`].
    ///
    /// # Errors
    /// [`Error::NotConfigured`] for a value that is neither `true` nor `false`.
    pub fn requires_live(&self) -> Result<bool, Error> {
        self.is_on(&REQUIRE_LIVE, false)
    }

    /// Whether Python workers on executors get an endpoint, see [`WORKER_ENDPOINT`].
    ///
    /// # Errors
    /// [`Error::NotConfigured`] for a value that is neither `true` nor `false`.
    pub fn has_worker_endpoint(&self) -> Result<bool, Error> {
        self.is_on(&WORKER_ENDPOINT, true)
    }

    /// Whether the certificate of the Hopsworks server goes unchecked, see [`INSECURE`] and [`REQUESTS_VERIFY`].
    ///
    /// # Errors
    /// [`Error::NotConfigured`] for a value that is neither `true` nor `false`.
    pub(crate) fn is_insecure(&self) -> Result<bool, Error> {
        let is_verified = self.is_on(&REQUESTS_VERIFY, true)?;
        self.is_on(&INSECURE, !is_verified)
    }

    /// Refuses a switch whose value is neither `true` nor `false`, in every host, whether or not the host reads it.
    ///
    /// # Errors
    /// [`Error::NotConfigured`] for the first such switch.
    pub(crate) fn check_switches(&self) -> Result<(), Error> {
        self.has_static_keys()?;
        self.requires_live()?;
        self.has_worker_endpoint()?;
        self.is_insecure()?;
        Ok(())
    }

    /// A switch that is mistyped must not count as unset: its operator relies on it.
    fn is_on(&self, switch: &Setting, default: bool) -> Result<bool, Error> {
        let Some(value) = self.get(switch).map(str::trim) else { return Ok(default) };
        if value.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if value.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err(Error::NotConfigured {
                problem: format!("{switch} is \"{value}\""),
                remedy: "set it to true or false".to_owned(),
                source: None,
            })
        }
    }

    /// The certificates that [`Settings::with_trust`] was given for the Hopsworks server.
    pub(crate) fn hopsworks_pem(&self) -> Option<&str> {
        self.hopsworks_pem.as_deref()
    }

    /// The certificates that [`Settings::with_trust`] was given for every server.
    pub(crate) fn jvm_pem(&self) -> Option<&str> {
        self.jvm_pem.as_deref()
    }
}

fn collected(pairs: impl IntoIterator<Item = (String, String)>) -> HashMap<String, Zeroizing<String>> {
    pairs.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect()
}

fn filled<'values>(values: &'values HashMap<String, Zeroizing<String>>, name: &str) -> Option<&'values str> {
    values.get(name).map(|value| value.as_str()).filter(|value| !value.trim().is_empty())
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_map();
        for setting in TABLE {
            match self.get(setting) {
                Some(value) if setting.shown => shown.entry(&format_args!("{setting}"), &value),
                Some(_) => shown.entry(&format_args!("{setting}"), &format_args!("***")),
                None => &mut shown,
            };
        }
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn settings(spark: &[(&str, &str)], properties: &[(&str, &str)], environment: &[(&str, &str)]) -> Settings {
        Settings::new(pairs(spark), pairs(properties)).with_environment(pairs(environment))
    }

    #[test]
    fn spark_wins_over_the_property_and_the_property_over_the_variable() {
        let (spark, property, variable) =
            (("spark.hops.projectid", "1"), ("hopsworks.projectid", "2"), ("HOPSWORKS_PROJECT_ID", "3"));
        assert_eq!(settings(&[spark], &[property], &[variable]).get(&PROJECT_ID), Some("1"));
        assert_eq!(settings(&[], &[property], &[variable]).get(&PROJECT_ID), Some("2"));
        assert_eq!(settings(&[], &[], &[variable]).get(&PROJECT_ID), Some("3"));
        assert_eq!(settings(&[], &[], &[]).get(&PROJECT_ID), None);
    }

    #[test]
    fn a_blank_value_counts_as_unset() {
        let found = settings(&[("spark.hops.projectid", "")], &[("hopsworks.projectid", " \n")], &[]);
        assert_eq!(found.get(&PROJECT_ID), None);
        let found = settings(&[("spark.hops.projectid", "")], &[], &[("HOPSWORKS_PROJECT_ID", "3")]);
        assert_eq!(found.get(&PROJECT_ID), Some("3"));
    }

    #[test]
    fn a_variable_is_found_in_lower_case_where_that_is_the_custom() {
        assert_eq!(settings(&[], &[], &[("no_proxy", "a")]).get(&NO_PROXY), Some("a"));
        assert_eq!(settings(&[], &[], &[("no_proxy", "a"), ("NO_PROXY", "b")]).get(&NO_PROXY), Some("b"));
    }

    #[test]
    fn no_secret_has_a_spark_name() {
        for setting in TABLE.iter().filter(|setting| !setting.shown) {
            assert_eq!(setting.spark(), None, "{setting}");
        }
        let found = settings(&[("spark.hops.apikey", "key")], &[], &[]);
        assert_eq!(found.get(&API_KEY), None);
    }

    #[test]
    fn every_setting_is_read_in_each_of_its_places_and_in_their_order() {
        for setting in table() {
            let spark = setting.spark().map(|name| (name, "of Spark"));
            let property = setting.property_name().map(|name| (name, "of the property"));
            for variable in setting.variable_names().iter().map(|name| Some((*name, "of the variable"))).chain([None]) {
                let mut places: Vec<_> = [spark, property, variable].into_iter().flatten().collect();
                while let Some((_, value)) = places.first() {
                    let here = |place: Option<(&'static str, &'static str)>| -> Vec<_> {
                        place.into_iter().filter(|place| places.contains(place)).collect()
                    };
                    let found = settings(&here(spark), &here(property), &here(variable));
                    assert_eq!(found.get(setting), Some(*value), "{setting} in {places:?}");
                    places.remove(0);
                }
            }
            assert_eq!(settings(&[], &[], &[]).get(setting), None, "{setting}");
        }
    }

    #[test]
    fn a_switch_is_true_or_false_and_nothing_else() {
        let switched = |value: &str| settings(&[], &[], &[("HOPS_CREDENTIALS_REQUIRE_LIVE", value)]);
        for (value, is_on) in
            [("true", true), ("True", true), (" TRUE\n", true), ("false", false), ("", false), (" ", false)]
        {
            assert_eq!(switched(value).requires_live().expect(value), is_on, "{value:?}");
            assert!(switched(value).check_switches().is_ok(), "{value:?}");
        }
        for value in ["yes", "1", "tru", "on"] {
            let refused = switched(value).requires_live().expect_err(value);
            assert_eq!(
                refused.to_string(),
                format!(
                    "hops.credentials.require-live / HOPS_CREDENTIALS_REQUIRE_LIVE is \"{value}\"; set it to true or false"
                )
            );
            assert!(switched(value).check_switches().is_err(), "{value:?}");
            for setting in [&STATIC_KEYS, &REQUIRE_LIVE, &WORKER_ENDPOINT, &INSECURE, &REQUESTS_VERIFY] {
                let names = setting.property_name().into_iter().map(|name| settings(&[], &[(name, value)], &[]));
                let names =
                    names.chain(setting.variable_names().iter().map(|name| settings(&[], &[], &[(name, value)])));
                for settings in names {
                    let refused = settings.check_switches().expect_err(value);
                    assert_eq!(refused.to_string(), format!("{setting} is \"{value}\"; set it to true or false"));
                }
            }
        }
        assert!(settings(&[], &[], &[]).has_static_keys().expect("unset"));
        assert!(!settings(&[], &[], &[("HOPS_CREDENTIALS_STATIC_KEYS", "false")]).has_static_keys().expect("false"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let found = settings(
            &[],
            &[("javax.net.ssl.trustStorePassword", "canary-1"), ("hopsworks.domain.truststore.password", "canary-2")],
            &[("API_KEY", "canary-3"), ("HTTPS_PROXY", "http://me:canary-4@proxy:3128"), ("REST_ENDPOINT", "hops")],
        );
        assert_eq!(
            format!("{found:?}"),
            "{hopsworks.restendpoint / REST_ENDPOINT: \"hops\", hopsworks.apikey / API_KEY: ***, \
             hopsworks.domain.truststore.password / DOMAIN_CA_TRUSTSTORE_PASSWORD: ***, \
             javax.net.ssl.trustStorePassword: ***, HTTPS_PROXY: ***}"
        );
    }
}
