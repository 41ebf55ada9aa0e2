//! The table of settings: the names under which each is looked for.
//!
//! A JVM reads [`NATIVE_PATH`] and [`NATIVE_TMPDIR`] itself, in the same order, since it needs them to load this library.
//!
//! A secret has no Spark name: Spark shows its configuration in the UI and writes it to the event log.

use std::fmt;

/// One setting: the names under which it is looked for. [`fmt::Display`] names it for a person:
/// `hopsworks.restendpoint / REST_ENDPOINT`.
#[derive(Debug)]
pub struct Setting {
    spark: Option<&'static str>,
    property: Option<&'static str>,
    variables: &'static [&'static str],
    pub(super) shown: bool,
}

impl Setting {
    const fn new(spark: &'static str, property: &'static str, variable: &'static [&'static str]) -> Self {
        Self { spark: Some(spark), property: Some(property), variables: variable, shown: true }
    }

    const fn property(property: &'static str, variables: &'static [&'static str]) -> Self {
        Self { spark: None, property: Some(property), variables, shown: true }
    }

    const fn variables(variables: &'static [&'static str]) -> Self {
        Self { spark: None, property: None, variables, shown: true }
    }

    /// Its key in a SparkConf.
    pub const fn spark(&self) -> Option<&'static str> {
        self.spark
    }

    /// Its JVM system property.
    pub const fn property_name(&self) -> Option<&'static str> {
        self.property
    }

    /// Its environment variables; the first that is set counts.
    pub const fn variable_names(&self) -> &'static [&'static str] {
        self.variables
    }

    /// Whether its value is, or may hold, a secret.
    pub const fn is_secret(&self) -> bool {
        !self.shown
    }

    /// Its value is, or may hold, a secret: `Debug` of [`Settings`](super::Settings) does not show it.
    const fn hidden(mut self) -> Self {
        self.shown = false;
        self
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.property, self.variables.first().copied()) {
            (Some(property), Some(variable)) => write!(formatter, "{property} / {variable}"),
            (Some(name), None) | (None, Some(name)) => formatter.write_str(name),
            (None, None) => Ok(()),
        }
    }
}

/// Address of Hopsworks or of a role-mapping server; without it, roles come from AWS STS directly.
pub const REST_ENDPOINT: Setting =
    Setting::new("spark.hops.restendpoint", "hopsworks.restendpoint", &["REST_ENDPOINT"]);
/// Number of the project.
pub const PROJECT_ID: Setting = Setting::new("spark.hops.projectid", "hopsworks.projectid", &["HOPSWORKS_PROJECT_ID"]);
/// Name of the project, for messages and session names only.
pub const PROJECT_NAME: Setting =
    Setting::new("spark.hops.projectname", "hopsworks.projectname", &["HOPSWORKS_PROJECT_NAME"]);
/// API key of the caller; used when there is no JWT file.
pub const API_KEY: Setting = Setting::property("hopsworks.apikey", &["API_KEY"]).hidden();
/// File of the API key. Where a property names it, no other login counts; a variable yields to the JWT file.
pub const API_KEY_FILE: Setting = Setting::property("hopsworks.apikey.file", &["API_KEY_FILE"]);
/// Directory of the JWT file, `token.jwt`.
pub const SECRETS_DIR: Setting = Setting::variables(&["SECRETS_DIR"]);
/// Truststore of the Hopsworks cluster, JKS or PKCS12; read by the JVM.
pub const TRUSTSTORE: Setting =
    Setting::new("spark.hops.domain.truststore", "hopsworks.domain.truststore", &["DOMAIN_CA_TRUSTSTORE"]);
/// Password of [`TRUSTSTORE`].
pub const TRUSTSTORE_PASSWORD: Setting =
    Setting::property("hopsworks.domain.truststore.password", &["DOMAIN_CA_TRUSTSTORE_PASSWORD"]).hidden();
/// Certificates of the Hopsworks cluster's authorities, a PEM file.
pub const TRUSTSTORE_PEM: Setting = Setting::variables(&["DOMAIN_CA_TRUSTSTORE_PEM"]);
/// `true`: do not check the certificate of the Hopsworks server.
pub const INSECURE: Setting = Setting::new("spark.hops.insecure", "hopsutil.insecure", &[]);
/// `false`: do not check the certificate of the Hopsworks server.
pub const REQUESTS_VERIFY: Setting = Setting::variables(&["REQUESTS_VERIFY"]);
/// Role ARNs, separated by commas: the roles when there is no [`REST_ENDPOINT`].
pub const ROLES: Setting = Setting::new("spark.hops.cloud.roles", "hops.cloud.roles", &["HOPS_CLOUD_ROLES"]);
/// `false`: leave the static `fs.s3a.*` keys out.
pub const STATIC_KEYS: Setting = Setting::new(
    "spark.hops.credentials.static-keys",
    "hops.credentials.static-keys",
    &["HOPS_CREDENTIALS_STATIC_KEYS"],
);
/// `true`: refuse the mode whose credentials end without a refresh.
pub const REQUIRE_LIVE: Setting = Setting::new(
    "spark.hops.credentials.require-live",
    "hops.credentials.require-live",
    &["HOPS_CREDENTIALS_REQUIRE_LIVE"],
);
/// `false`: give Python workers on executors no endpoint for the credentials.
pub const WORKER_ENDPOINT: Setting = Setting::new(
    "spark.hops.credentials.worker-endpoint",
    "hops.credentials.worker-endpoint",
    &["HOPS_CREDENTIALS_WORKER_ENDPOINT"],
);
/// Path of the native library, instead of the one in the jar.
pub const NATIVE_PATH: Setting = Setting::new("spark.hops.native.path", "hops.native.path", &["HOPS_NATIVE_PATH"]);
/// Directory to which the native library is unpacked.
pub const NATIVE_TMPDIR: Setting =
    Setting::new("spark.hops.native.tmpdir", "hops.native.tmpdir", &["HOPS_NATIVE_TMPDIR"]);
/// The user as Hadoop knows it, for session names.
pub const HADOOP_USER_NAME: Setting = Setting::property("HADOOP_USER_NAME", &["HADOOP_USER_NAME"]);
/// The user of the operating system, for session names.
pub const USER_NAME: Setting = Setting::property("user.name", &["USER", "LOGNAME"]);
/// Name of the Spark application, for session names.
pub const APPLICATION_NAME: Setting =
    Setting { spark: Some("spark.app.name"), property: Some("spark.app.name"), variables: &[], shown: true };
/// Proxy of a JVM for https.
pub const JVM_HTTPS_PROXY_HOST: Setting = Setting::property("https.proxyHost", &[]);
/// Port of [`JVM_HTTPS_PROXY_HOST`].
pub const JVM_HTTPS_PROXY_PORT: Setting = Setting::property("https.proxyPort", &[]);
/// User at [`JVM_HTTPS_PROXY_HOST`].
pub const JVM_HTTPS_PROXY_USER: Setting = Setting::property("https.proxyUser", &[]);
/// Password of [`JVM_HTTPS_PROXY_USER`].
pub const JVM_HTTPS_PROXY_PASSWORD: Setting = Setting::property("https.proxyPassword", &[]).hidden();
/// Proxy of a JVM for http.
pub const JVM_HTTP_PROXY_HOST: Setting = Setting::property("http.proxyHost", &[]);
/// Port of [`JVM_HTTP_PROXY_HOST`].
pub const JVM_HTTP_PROXY_PORT: Setting = Setting::property("http.proxyPort", &[]);
/// User at [`JVM_HTTP_PROXY_HOST`].
pub const JVM_HTTP_PROXY_USER: Setting = Setting::property("http.proxyUser", &[]);
/// Password of [`JVM_HTTP_PROXY_USER`].
pub const JVM_HTTP_PROXY_PASSWORD: Setting = Setting::property("http.proxyPassword", &[]).hidden();
/// Hosts which a JVM reaches without a proxy, separated by `|`; for http and https.
pub const JVM_NON_PROXY_HOSTS: Setting = Setting::property("http.nonProxyHosts", &[]);
/// Truststore of a JVM; read by the JVM.
pub const JVM_TRUSTSTORE: Setting = Setting::property("javax.net.ssl.trustStore", &[]);
/// Password of [`JVM_TRUSTSTORE`].
pub const JVM_TRUSTSTORE_PASSWORD: Setting = Setting::property("javax.net.ssl.trustStorePassword", &[]).hidden();
/// Type of [`JVM_TRUSTSTORE`].
pub const JVM_TRUSTSTORE_TYPE: Setting = Setting::property("javax.net.ssl.trustStoreType", &[]);
/// Proxy for https. It may hold a password.
pub const HTTPS_PROXY: Setting = Setting::variables(&["HTTPS_PROXY", "https_proxy"]).hidden();
/// Proxy for http. It may hold a password.
pub const HTTP_PROXY: Setting = Setting::variables(&["HTTP_PROXY", "http_proxy"]).hidden();
/// Hosts reached without a proxy, separated by commas.
pub const NO_PROXY: Setting = Setting::variables(&["NO_PROXY", "no_proxy"]);
/// Certificates of further authorities for AWS, a PEM file.
pub const AWS_CA_BUNDLE: Setting = Setting::variables(&["AWS_CA_BUNDLE"]);

/// Every setting above.
pub(super) const TABLE: [&Setting; 36] = [
    &REST_ENDPOINT,
    &PROJECT_ID,
    &PROJECT_NAME,
    &API_KEY,
    &API_KEY_FILE,
    &SECRETS_DIR,
    &TRUSTSTORE,
    &TRUSTSTORE_PASSWORD,
    &TRUSTSTORE_PEM,
    &INSECURE,
    &REQUESTS_VERIFY,
    &ROLES,
    &STATIC_KEYS,
    &REQUIRE_LIVE,
    &WORKER_ENDPOINT,
    &NATIVE_PATH,
    &NATIVE_TMPDIR,
    &HADOOP_USER_NAME,
    &USER_NAME,
    &APPLICATION_NAME,
    &JVM_HTTPS_PROXY_HOST,
    &JVM_HTTPS_PROXY_PORT,
    &JVM_HTTPS_PROXY_USER,
    &JVM_HTTPS_PROXY_PASSWORD,
    &JVM_HTTP_PROXY_HOST,
    &JVM_HTTP_PROXY_PORT,
    &JVM_HTTP_PROXY_USER,
    &JVM_HTTP_PROXY_PASSWORD,
    &JVM_NON_PROXY_HOSTS,
    &JVM_TRUSTSTORE,
    &JVM_TRUSTSTORE_PASSWORD,
    &JVM_TRUSTSTORE_TYPE,
    &HTTPS_PROXY,
    &HTTP_PROXY,
    &NO_PROXY,
    &AWS_CA_BUNDLE,
];

/// Every setting.
pub const fn table() -> &'static [&'static Setting] {
    &TABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_named_as_people_write_it() {
        assert_eq!(REST_ENDPOINT.to_string(), "hopsworks.restendpoint / REST_ENDPOINT");
        assert_eq!(SECRETS_DIR.to_string(), "SECRETS_DIR");
        assert_eq!(INSECURE.to_string(), "hopsutil.insecure");
    }
}
