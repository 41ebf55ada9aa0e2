//! What Java calls: the natives of `io.hops.util.internal.Native`, and the classes they take and return.
//!
//! `null`, `""` and a duration of 0 become `None` and the default here, and nowhere else.

use std::time::{Duration, SystemTime};

use jni::objects::{JObjectArray, JString};
use jni::refs::IntoAuto;
use jni::sys::{jdouble, jint, jlong};
use jni::{Env, bind_java_type};

use super::environment::{self, Values};
use super::throw::{Error, Throw};
use crate::base::Environment;
use crate::block::block_on;
use crate::credentials::Credentials;
use crate::doctor::{self, Finding};
use crate::error;
use crate::request::{AssumeRole, Extras, SessionDuration};
use crate::role::{RoleArn, RoleMapping};
use crate::session;
use crate::settings::{self, Settings};
use crate::source::Source;

bind_java_type! {
    pub JInstant => java.time.Instant,
    methods { static fn of_epoch_second(seconds: jlong, nanoseconds: jlong) -> JInstant },
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
    },
}

bind_java_type! {
    pub JFetched => io.hops.util.internal.Fetched,
    type_map = { JCredentials => io.hops.util.cloud.Credentials },
    constructors { fn new(credentials: JCredentials, life_millis: jlong, session_name: JString) },
}

bind_java_type! {
    pub JRoleMapping => io.hops.util.cloud.RoleMapping,
    constructors { fn new(id: jint, role_arn: JString, project_role: JString, is_default: jboolean) },
}

bind_java_type! {
    pub JConfiguration => io.hops.util.internal.Configuration,
    fields {
        spark: JString[],
        properties: JString[],
        domain_certificates: JString,
        jvm_certificates: JString,
    },
}

bind_java_type! {
    pub JTrustStore => io.hops.util.internal.TrustStore,
    constructors { fn new(path: JString, setting: JString, password: JString, password_setting: JString, kind: JString) },
}

bind_java_type! {
    pub JAssumeRoleRequest => "io.hops.util.CredentialsProvider$AssumeRoleRequest",
    fields {
        role_arn: JString,
        role_session_name: JString,
        duration_seconds: jint,
        external_id: JString,
        policy: JString,
        policy_arns: JString[],
        tags: JString[],
        source_identity: JString,
    },
}

bind_java_type! {
    pub JNative => io.hops.util.internal.Native,
    type_map = {
        JAssumeRoleRequest => "io.hops.util.CredentialsProvider$AssumeRoleRequest",
        JConfiguration => io.hops.util.internal.Configuration,
        JCredentials => io.hops.util.cloud.Credentials,
        JFetched => io.hops.util.internal.Fetched,
        JRoleMapping => io.hops.util.cloud.RoleMapping,
        JTrustStore => io.hops.util.internal.TrustStore,
    },
    methods { static fn warn(text: JString) },
    native_methods_export = false,
    native_methods_error_policy = Throw,
    native_methods {
        fn property_names() -> JString[],
        fn trust_stores(configuration: JConfiguration) -> JTrustStore[],
        fn role_mappings(configuration: JConfiguration) -> JRoleMapping[],
        fn role(configuration: JConfiguration, id: jint) -> JString,
        fn default_role(configuration: JConfiguration) -> JString,
        fn assume_role(configuration: JConfiguration, request: JAssumeRoleRequest) -> JFetched,
        fn source(configuration: JConfiguration) -> JString,
        fn examine(configuration: JConfiguration, found: JString[]) -> JString,
        fn refresh_after_millis(life_millis: jlong, chance: jdouble) -> jlong,
        fn retry_after_millis(failures: jlong, left_millis: jlong, life_millis: jlong, chance: jdouble) -> jlong,
        fn environment_put(credentials: JCredentials) -> JString[],
        fn environment_restore(before: JString[]),
        fn base_environment() -> JString[],
        fn adopt_base_environment(variables: JString[]),
    },
}

impl JNativeNativeInterface for JNativeAPI {
    type Error = Error;

    fn property_names<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
    ) -> Result<JObjectArray<'local, JString<'local>>, Error> {
        new_strings(env, &settings::property_names().into_iter().map(Some).collect::<Vec<_>>())
    }

    fn trust_stores<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
    ) -> Result<JObjectArray<'local, JTrustStore<'local>>, Error> {
        let settings = settings_of(env, &configuration)?;
        let domain = settings.get(&settings::REST_ENDPOINT).and(settings.get(&settings::TRUSTSTORE));
        // Java's own word for "no file".
        let jvm = settings.get(&settings::JVM_TRUSTSTORE).filter(|path| *path != "NONE");
        let kind = settings.get(&settings::JVM_TRUSTSTORE_TYPE);
        let stores = [
            (domain, &settings::TRUSTSTORE, &settings::TRUSTSTORE_PASSWORD, None),
            (jvm, &settings::JVM_TRUSTSTORE, &settings::JVM_TRUSTSTORE_PASSWORD, kind),
        ];
        let array = JObjectArray::<JTrustStore>::new(env, stores.len(), JTrustStore::null())?;
        for (index, (path, setting, password_setting, kind)) in stores.into_iter().enumerate() {
            let Some(path) = path else { continue };
            env.with_local_frame(8, |env| -> Result<(), Error> {
                let path = env.new_string(path)?;
                let setting = env.new_string(setting.to_string())?;
                let password = new_text(env, settings.get(password_setting))?;
                let password_setting = env.new_string(password_setting.to_string())?;
                let kind = new_text(env, kind)?;
                let store = JTrustStore::new(env, &path, &setting, &password, &password_setting, &kind)?;
                Ok(array.set_element(env, index, &store)?)
            })?;
        }
        Ok(array)
    }

    fn role_mappings<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
    ) -> Result<JObjectArray<'local, JRoleMapping<'local>>, Error> {
        let mappings = ask(env, &configuration, async |source| source.role_mappings().await)?;
        let array = JObjectArray::<JRoleMapping>::new(env, mappings.len(), JRoleMapping::null())?;
        for (index, mapping) in mappings.iter().enumerate() {
            env.with_local_frame(4, |env| -> Result<(), Error> {
                let mapping = new_role_mapping(env, mapping)?;
                Ok(array.set_element(env, index, &mapping)?)
            })?;
        }
        Ok(array)
    }

    fn role<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
        id: jint,
    ) -> Result<JString<'local>, Error> {
        let id = u32::try_from(id).map_err(|_| error::Error::InvalidArgument {
            field: "role id",
            reason: format!("{id} is negative; ids begin at 1"),
        })?;
        let mapping = ask(env, &configuration, async |source| source.role_mapping(Some(id)).await)?;
        Ok(env.new_string(mapping.role.as_str())?)
    }

    fn default_role<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
    ) -> Result<JString<'local>, Error> {
        let mapping = ask(env, &configuration, async |source| source.role_mapping(None).await)?;
        Ok(env.new_string(mapping.role.as_str())?)
    }

    fn assume_role<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
        request: JAssumeRoleRequest<'local>,
    ) -> Result<JFetched<'local>, Error> {
        let request = request_of(env, &request)?;
        let credentials = ask(env, &configuration, async |source| {
            let request = source.named(request).await?;
            source.assume_role(&request).await
        })?;
        let java_credentials = new_credentials(env, &credentials)?;
        let session_name = match credentials.session_name() {
            Some(name) => env.new_string(name.as_str())?,
            None => JString::null(),
        };
        Ok(JFetched::new(env, &java_credentials, millis(credentials.life()), &session_name)?)
    }

    fn source<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
    ) -> Result<JString<'local>, Error> {
        let settings = settings_of(env, &configuration)?;
        Ok(env.new_string(Source::from_settings(&settings)?.to_string())?)
    }

    fn examine<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        configuration: JConfiguration<'local>,
        found: JObjectArray<'local, JString<'local>>,
    ) -> Result<JString<'local>, Error> {
        let settings = settings_of(env, &configuration)?;
        let found = all(strings(env, &found)?, "finding")?;
        let mut findings = block_on(async { Ok(doctor::examine(&settings).await) })?;
        findings.extend(found.chunks_exact(3).map(|triple| Finding {
            check: triple[0].clone(),
            is_good: triple[1] == "true",
            text: triple[2].clone(),
        }));
        Ok(env.new_string(doctor::report(&findings))?)
    }

    fn refresh_after_millis<'local>(
        _env: &mut Env<'local>,
        _this: JNative<'local>,
        life_millis: jlong,
        chance: jdouble,
    ) -> Result<jlong, Error> {
        Ok(millis(session::refresh_after(duration(life_millis), chance)))
    }

    fn retry_after_millis<'local>(
        _env: &mut Env<'local>,
        _this: JNative<'local>,
        failures: jlong,
        left_millis: jlong,
        life_millis: jlong,
        chance: jdouble,
    ) -> Result<jlong, Error> {
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        Ok(millis(session::retry_after(failures, duration(left_millis), duration(life_millis), chance)))
    }

    fn environment_put<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        credentials: JCredentials<'local>,
    ) -> Result<JObjectArray<'local, JString<'local>>, Error> {
        let access_key_id = credentials.get_access_key_id(env)?.try_to_string(env)?;
        let secret_access_key = credentials.get_secret_access_key(env)?.try_to_string(env)?;
        let session_token = credentials.get_session_token(env)?.try_to_string(env)?;
        let values = [Some(access_key_id.clone()), Some(secret_access_key), Some(session_token), Some(access_key_id)];
        let before = environment::replace(env, &values)?;
        new_strings(env, &before)
    }

    fn environment_restore<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        before: JObjectArray<'local, JString<'local>>,
    ) -> Result<(), Error> {
        let before: Values = strings(env, &before)?.try_into().expect("environmentPut returned one value per variable");
        environment::replace(env, &before)?;
        Ok(())
    }

    fn base_environment<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
    ) -> Result<JObjectArray<'local, JString<'local>>, Error> {
        let saved = Environment::at_first_use().saved();
        let flat: Vec<_> = saved.iter().flat_map(|(name, value)| [Some(name.as_str()), Some(value.as_str())]).collect();
        new_strings(env, &flat)
    }

    fn adopt_base_environment<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        variables: JObjectArray<'local, JString<'local>>,
    ) -> Result<(), Error> {
        Environment::adopt(pairs(env, &variables)?);
        Ok(())
    }
}

/// Asks the source that the settings name, and passes its warnings on whatever the answer is.
fn ask<T>(
    env: &mut Env,
    configuration: &JConfiguration,
    question: impl AsyncFnOnce(&Source) -> Result<T, error::Error>,
) -> Result<T, Error> {
    let settings = settings_of(env, configuration)?;
    let mut warnings = Vec::new();
    let answer = block_on(async {
        let source = Source::from_settings(&settings)?;
        let answer = question(&source).await;
        warnings = source.take_warnings();
        answer
    });
    for warning in warnings {
        let text = env.new_string(warning)?;
        JNative::warn(env, &text)?;
    }
    Ok(answer?)
}

fn settings_of(env: &mut Env, configuration: &JConfiguration) -> Result<Settings, Error> {
    let spark = configuration.spark(env)?;
    let properties = configuration.properties(env)?;
    let domain = configuration.domain_certificates(env)?;
    let jvm = configuration.jvm_certificates(env)?;
    Ok(Settings::new(pairs(env, &spark)?, pairs(env, &properties)?).with_trust(text(env, domain)?, text(env, jvm)?))
}

fn request_of(env: &mut Env, request: &JAssumeRoleRequest) -> Result<AssumeRole, Error> {
    let role = request.role_arn(env)?;
    let session_name = request.role_session_name(env)?;
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
            policy_arns: all(strings(env, &policy_arns)?, "policy ARN")?,
            tags: paired(all(strings(env, &tags)?, "session tag")?),
            source_identity: text(env, source_identity)?,
        },
    })
}

/// What has passed already counts as no time at all.
fn duration(millis: jlong) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn millis(duration: Duration) -> jlong {
    jlong::try_from(duration.as_millis()).unwrap_or(jlong::MAX)
}

fn new_credentials<'local>(env: &mut Env<'local>, credentials: &Credentials) -> Result<JCredentials<'local>, Error> {
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

fn new_role_mapping<'local>(env: &mut Env<'local>, mapping: &RoleMapping) -> Result<JRoleMapping<'local>, Error> {
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

fn new_text<'local>(env: &mut Env<'local>, text: Option<&str>) -> Result<JString<'local>, Error> {
    match text {
        Some(text) => Ok(env.new_string(text)?),
        None => Ok(JString::null()),
    }
}

fn new_strings<'local>(
    env: &mut Env<'local>,
    texts: &[Option<impl AsRef<str>>],
) -> Result<JObjectArray<'local, JString<'local>>, Error> {
    let array = JObjectArray::<JString>::new(env, texts.len(), JString::null())?;
    for (index, text) in texts.iter().enumerate() {
        let Some(text) = text else { continue };
        let text = env.new_string(text)?.auto();
        array.set_element(env, index, &text)?;
    }
    Ok(array)
}

fn strings(env: &mut Env, array: &JObjectArray<JString>) -> Result<Vec<Option<String>>, Error> {
    (0..array.len(env)?)
        .map(|index| {
            let element = array.get_element(env, index)?.auto();
            match element.is_null() {
                true => Ok(None),
                false => Ok(Some(element.try_to_string(env)?)),
            }
        })
        .collect()
}

/// Name, value, name, value, … as pairs.
fn pairs(env: &mut Env, array: &JObjectArray<JString>) -> Result<Vec<(String, String)>, Error> {
    Ok(paired(all(strings(env, array)?, "setting")?))
}

fn paired(texts: Vec<String>) -> Vec<(String, String)> {
    let mut texts = texts.into_iter();
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect()
}

fn all(texts: Vec<Option<String>>, field: &'static str) -> Result<Vec<String>, error::Error> {
    let all: Option<Vec<String>> = texts.into_iter().collect();
    all.ok_or_else(|| error::Error::InvalidArgument { field, reason: "it is null".to_owned() })
}

fn text(env: &Env, text: JString) -> Result<Option<String>, Error> {
    match text.is_null() {
        true => Ok(None),
        false => Ok(Some(text.try_to_string(env)?).filter(|text| !text.is_empty())),
    }
}
