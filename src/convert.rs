//! Java's classes that natives take and return, and their values in the core.
//!
//! `null`, `""` and a duration of 0 become `None` and the default here, and nowhere else.

use std::time::{Duration, SystemTime};

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::error;
use hops_credentials_core::request::{AssumeRole, Extras, SessionDuration};
use hops_credentials_core::role::{RoleArn, RoleMapping};
use hops_credentials_core::settings::{Setting, Settings};
use jni::objects::{JObjectArray, JString};
use jni::refs::IntoAuto;
use jni::sys::jlong;
use jni::{Env, bind_java_type};

use crate::throw::NativeError;

bind_java_type! {
    pub JInstant => java.time.Instant,
    methods {
        static fn of_epoch_second(seconds: jlong, nanoseconds: jlong) -> JInstant,
        fn to_epoch_milli() -> jlong,
    },
}

bind_java_type! {
    pub JCredentials => io.hops.util.cloud.Credentials,
    type_map = { JInstant => java.time.Instant },
    constructors {
        fn new(access_key_id: JString, secret_access_key: JString, session_token: JString, expiration: JInstant,
            role_arn: JString),
    },
    methods {
        fn get_access_key_id() -> JString,
        fn get_secret_access_key() -> JString,
        fn get_session_token() -> JString,
        fn get_expiration() -> JInstant,
    },
}

bind_java_type! {
    pub JFetched => io.hops.util.internal.Fetched,
    type_map = { JCredentials => io.hops.util.cloud.Credentials },
    constructors { fn new(credentials: JCredentials, valid_for_millis: jlong, refresh_after_millis: jlong, session_name: JString) },
}

bind_java_type! {
    pub JRoleMapping => io.hops.util.cloud.RoleMapping,
    constructors { fn new(id: jint, role_arn: JString, project_role: JString, is_default: jboolean) },
}

bind_java_type! {
    pub JSetting => io.hops.util.internal.Setting,
    constructors { fn new(spark: JString, property: JString, variables: JString[]) },
}

bind_java_type! {
    pub JJvmSettings => io.hops.util.internal.JvmSettings,
    fields {
        spark: JString[],
        properties: JString[],
        domain_certificates: JString,
        jvm_certificates: JString,
        base: JString[],
    },
}

bind_java_type! {
    pub JWritten => io.hops.util.internal.WrittenEnvironment,
    constructors { fn new(record: JString[], undo: JString[]) },
    fields { undo: JString[] },
}

bind_java_type! {
    pub JTrustStore => io.hops.util.internal.TrustStore,
    constructors { fn new(path: JString, setting: JString, password: JString, password_setting: JString, kind: JString) },
}

bind_java_type! {
    pub JRoleRequest => io.hops.util.internal.RoleRequest,
    fields {
        role_arn: JString,
        session_name: JString,
        duration_seconds: jint,
        external_id: JString,
        policy: JString,
        policy_arns: JString[],
        tags: JString[],
        source_identity: JString,
    },
}

/// Reads the settings that Java collected.
pub fn to_settings(env: &mut Env, settings: &JJvmSettings) -> Result<Settings, NativeError> {
    let spark = settings.spark(env)?;
    let properties = settings.properties(env)?;
    let domain = settings.domain_certificates(env)?;
    let jvm = settings.jvm_certificates(env)?;
    Ok(Settings::new(pairs(env, &spark)?, pairs(env, &properties)?).with_trust(text(env, domain)?, text(env, jvm)?))
}

/// Reads the variables of the base identity, as they were before we wrote any.
pub fn to_base(env: &mut Env, settings: &JJvmSettings) -> Result<Environment, NativeError> {
    let base = settings.base(env)?;
    Ok(Environment::from_pairs(pairs(env, &base)?))
}

/// Reads credentials. How long they are valid is not known any more, and does not matter to whoever gets them from the environment.
pub fn to_credentials(env: &mut Env, credentials: &JCredentials) -> Result<Credentials, NativeError> {
    let access_key_id = credentials.get_access_key_id(env)?.try_to_string(env)?;
    let secret_access_key = credentials.get_secret_access_key(env)?.try_to_string(env)?;
    let session_token = credentials.get_session_token(env)?.try_to_string(env)?;
    let expiration = from_millis(credentials.get_expiration(env)?.to_epoch_milli(env)?);
    let expiration = SystemTime::UNIX_EPOCH + expiration;
    Ok(Credentials::new(access_key_id, secret_access_key, session_token, expiration, Duration::ZERO, None))
}

/// Reads and parses a request of a caller that renews or not.
///
/// # Errors
/// `InvalidArgument` for a text that is not legal, such as a role ARN.
pub fn to_request(env: &mut Env, request: &JRoleRequest, renews: bool) -> Result<AssumeRole, NativeError> {
    let role = request.role_arn(env)?;
    let session_name = request.session_name(env)?;
    let external_id = request.external_id(env)?;
    let policy = request.policy(env)?;
    let policy_arns = request.policy_arns(env)?;
    let tags = request.tags(env)?;
    let source_identity = request.source_identity(env)?;
    let duration = match request.duration_seconds(env)? {
        0 => SessionDuration::default(),
        seconds => SessionDuration::from_seconds(seconds.into())?,
    };
    Ok(AssumeRole {
        role: text(env, role)?.map(|text| text.parse()).transpose()?,
        session_name: text(env, session_name)?.map(|text| text.parse()).transpose()?,
        duration,
        extras: Extras {
            external_id: text(env, external_id)?,
            policy: text(env, policy)?,
            policy_arns: require_all(strings(env, &policy_arns)?, "policy ARN")?,
            tags: paired(require_all(strings(env, &tags)?, "session tag")?),
            source_identity: text(env, source_identity)?,
        },
        renews,
    })
}

/// Reads a number of milliseconds. A negative one counts as zero.
pub fn from_millis(millis: jlong) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Returns whole milliseconds.
pub fn to_millis(duration: Duration) -> jlong {
    jlong::try_from(duration.as_millis()).unwrap_or(jlong::MAX)
}

/// Makes Java's `Credentials`. Without a role, its role ARN is `null`.
pub fn new_credentials<'local>(
    env: &mut Env<'local>,
    credentials: &Credentials,
) -> Result<JCredentials<'local>, NativeError> {
    let since_epoch = credentials
        .expiration()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("credentials that are good for some time expire after 1970");
    let seconds = i64::try_from(since_epoch.as_secs()).expect("AWS gives twelve hours at most");
    let expiration = JInstant::of_epoch_second(env, seconds, since_epoch.subsec_nanos().into())?;
    let access_key_id = env.new_string(credentials.access_key_id())?;
    let secret_access_key = env.new_string(credentials.secret_access_key())?;
    let session_token = env.new_string(credentials.session_token())?;
    let role = new_text(env, credentials.role().map(RoleArn::as_str))?;
    Ok(JCredentials::new(env, &access_key_id, &secret_access_key, &session_token, &expiration, &role)?)
}

/// Makes Java's `RoleMapping`.
///
/// # Errors
/// `BadAnswer` for an id that is larger than Java's `int`.
pub fn new_role_mapping<'local>(
    env: &mut Env<'local>,
    mapping: &RoleMapping,
) -> Result<JRoleMapping<'local>, NativeError> {
    let id = i32::try_from(mapping.id).map_err(|_| error::Error::BadAnswer {
        attempted: "listing the role mappings".to_owned(),
        code: 0,
        problem: format!("the id {} is larger than Java's int", mapping.id),
        remedy: "ask the administrator of the role mappings for smaller ids".to_owned(),
        source: None,
    })?;
    let role = env.new_string(mapping.role.as_str())?;
    let project_role = env.new_string(mapping.project_role.display_name())?;
    Ok(JRoleMapping::new(env, id, &role, &project_role, mapping.is_default)?)
}

/// Makes Java's `Setting`, with `null` for a name that the setting lacks.
pub fn new_setting<'local>(env: &mut Env<'local>, setting: &Setting) -> Result<JSetting<'local>, NativeError> {
    let spark = new_text(env, setting.spark())?;
    let property = new_text(env, setting.property_name())?;
    let variables = new_strings(env, &setting.variable_names().iter().map(Some).collect::<Vec<_>>())?;
    Ok(JSetting::new(env, &spark, &property, &variables)?)
}

/// Makes a Java string; `null` for `None`.
pub fn new_text<'local>(env: &mut Env<'local>, text: Option<&str>) -> Result<JString<'local>, NativeError> {
    match text {
        Some(text) => Ok(env.new_string(text)?),
        None => Ok(JString::null()),
    }
}

/// Makes an array of Java strings, with `null` for each `None`.
pub fn new_strings<'local>(
    env: &mut Env<'local>,
    texts: &[Option<impl AsRef<str>>],
) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
    let array = JObjectArray::<JString>::new(env, texts.len(), JString::null())?;
    for (index, text) in texts.iter().enumerate() {
        let Some(text) = text else { continue };
        let text = env.new_string(text)?.auto();
        array.set_element(env, index, &text)?;
    }
    Ok(array)
}

/// Reads an array of Java strings, with `None` for each `null`.
pub fn strings(env: &mut Env, array: &JObjectArray<JString>) -> Result<Vec<Option<String>>, NativeError> {
    (0..array.len(env)?)
        .map(|index| {
            let element = array.get_element(env, index)?.auto();
            if element.is_null() { Ok(None) } else { Ok(Some(element.try_to_string(env)?)) }
        })
        .collect()
}

/// Reads name, value, name, value, … as pairs.
pub fn pairs(env: &mut Env, array: &JObjectArray<JString>) -> Result<Vec<(String, String)>, NativeError> {
    Ok(paired(require_all(strings(env, array)?, "setting")?))
}

fn paired(texts: Vec<String>) -> Vec<(String, String)> {
    let mut texts = texts.into_iter();
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

/// Refuses a list that holds null.
pub fn require_all(texts: Vec<Option<String>>, field: &'static str) -> Result<Vec<String>, error::Error> {
    let all: Option<Vec<String>> = texts.into_iter().collect();
    all.ok_or_else(|| error::Error::InvalidArgument { field, reason: "it is null".to_owned() })
}

fn text(env: &Env, text: JString) -> Result<Option<String>, NativeError> {
    if text.is_null() { Ok(None) } else { Ok(Some(text.try_to_string(env)?).filter(|text| !text.is_empty())) }
}
