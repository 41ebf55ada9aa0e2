//! The natives of `io.hops.util.internal.Native`, which Java calls.

use std::time::{Duration, SystemTime};

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::doctor::{self, Finding};
use hops_credentials_core::error;
use hops_credentials_core::renewal::{self, Clocks};
use hops_credentials_core::settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::variables::{self, Plan};
use jni::objects::{JObjectArray, JString};
use jni::sys::{jboolean, jdouble, jint, jlong};
use jni::{Env, bind_java_type};

use crate::convert::{
    JCredentials, JFetched, JJvmSettings, JRoleMapping, JRoleRequest, JSetting, JTrustStore, JWritten, from_millis,
    new_credentials, new_role_mapping, new_setting, new_strings, new_text, require_all, strings, to_base,
    to_credentials, to_millis, to_request, to_settings,
};
use crate::environment;
use crate::throw::{NativeError, Throw};

bind_java_type! {
    pub JNative => io.hops.util.internal.Native,
    type_map = {
        JRoleRequest => io.hops.util.internal.RoleRequest,
        JJvmSettings => io.hops.util.internal.JvmSettings,
        JCredentials => io.hops.util.cloud.Credentials,
        JFetched => io.hops.util.internal.Fetched,
        JRoleMapping => io.hops.util.cloud.RoleMapping,
        JSetting => io.hops.util.internal.Setting,
        JTrustStore => io.hops.util.internal.TrustStore,
        JWritten => io.hops.util.internal.WrittenEnvironment,
    },
    methods { static fn warn(text: JString) },
    native_methods_export = false,
    native_methods_error_policy = Throw,
    native_methods {
        fn settings() -> JSetting[],
        fn show(settings: JJvmSettings) -> JString,
        fn has_static_keys(settings: JJvmSettings) -> jboolean,
        fn requires_live(settings: JJvmSettings) -> jboolean,
        fn endpoint_variables(settings: JJvmSettings) -> JString[],
        fn trust_stores(settings: JJvmSettings) -> JTrustStore[],
        fn role_mappings(settings: JJvmSettings) -> JRoleMapping[],
        fn role(settings: JJvmSettings, id: jint) -> JString,
        fn default_role(settings: JJvmSettings) -> JString,
        fn assume_role(settings: JJvmSettings, request: JRoleRequest, renews: jboolean, chance: jdouble) -> JFetched,
        fn source(settings: JJvmSettings) -> JString,
        fn examine(settings: JJvmSettings, found: JString[]) -> JString,
        fn retry_after_millis(failures: jlong, left_millis: jlong, valid_for_millis: jlong, chance: jdouble) -> jlong,
        fn due_millis(since_millis: jlong, span_millis: jlong, passed_millis: jlong, now_millis: jlong) -> jlong,
        fn wait_millis(since_millis: jlong, span_millis: jlong, passed_millis: jlong, now_millis: jlong) -> jlong,
        fn left_millis(since_millis: jlong, valid_for_millis: jlong, expiration_millis: jlong, passed_millis: jlong,
            now_millis: jlong) -> jlong,
        fn environment_base(record: JString[]) -> JString[],
        fn environment_put(credentials: JCredentials, record: JString[]) -> JWritten,
        fn environment_renew(credentials: JCredentials, record: JString[]) -> JWritten,
        fn environment_release(record: JString[]),
        fn environment_undo(written: JWritten),
    },
}

impl JNativeNativeInterface for JNativeAPI {
    type Error = NativeError;

    fn settings<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
    ) -> Result<JObjectArray<'local, JSetting<'local>>, NativeError> {
        let table = settings::table();
        let array = JObjectArray::<JSetting>::new(env, table.len(), JSetting::null())?;
        for (index, setting) in table.iter().enumerate() {
            env.with_local_frame(8, |env| -> Result<(), NativeError> {
                let setting = new_setting(env, setting)?;
                Ok(array.set_element(env, index, &setting)?)
            })?;
        }
        Ok(array)
    }

    fn show<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<JString<'local>, NativeError> {
        let settings = to_settings(env, &settings)?;
        Ok(env.new_string(format!("{settings:?}"))?)
    }

    fn has_static_keys<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<jboolean, NativeError> {
        Ok(to_settings(env, &settings)?.has_static_keys()?)
    }

    fn requires_live<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<jboolean, NativeError> {
        Ok(to_settings(env, &settings)?.requires_live()?)
    }

    fn endpoint_variables<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
        let has_endpoint = to_settings(env, &settings)?.has_worker_endpoint()?;
        let changes = has_endpoint.then(variables::changes_for_workers).into_iter().flatten();
        let texts: Vec<_> =
            changes.flat_map(|(name, change)| [Some(name.to_owned()), Some(change.to_string())]).collect();
        new_strings(env, &texts)
    }

    fn trust_stores<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<JObjectArray<'local, JTrustStore<'local>>, NativeError> {
        let settings = to_settings(env, &settings)?;
        let domain = settings.get(&settings::REST_ENDPOINT).and(settings.get(&settings::TRUSTSTORE));
        // Java writes "NONE" for "no file", and has a store of its own where nothing is written.
        let jvm = settings.get(&settings::JVM_TRUSTSTORE);
        let jvm = (jvm != Some("NONE")).then_some(jvm);
        let kind = settings.get(&settings::JVM_TRUSTSTORE_TYPE);
        let stores = [
            (domain.map(Some), &settings::TRUSTSTORE, &settings::TRUSTSTORE_PASSWORD, None),
            (jvm, &settings::JVM_TRUSTSTORE, &settings::JVM_TRUSTSTORE_PASSWORD, kind),
        ];
        let array = JObjectArray::<JTrustStore>::new(env, stores.len(), JTrustStore::null())?;
        for (index, (path, setting, password_setting, kind)) in stores.into_iter().enumerate() {
            let Some(path) = path else { continue };
            env.with_local_frame(8, |env| -> Result<(), NativeError> {
                let path = new_text(env, path)?;
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
        settings: JJvmSettings<'local>,
    ) -> Result<JObjectArray<'local, JRoleMapping<'local>>, NativeError> {
        let mappings = ask(env, &settings, async |source| source.role_mappings().await)?;
        let array = JObjectArray::<JRoleMapping>::new(env, mappings.len(), JRoleMapping::null())?;
        for (index, mapping) in mappings.iter().enumerate() {
            env.with_local_frame(4, |env| -> Result<(), NativeError> {
                let mapping = new_role_mapping(env, mapping)?;
                Ok(array.set_element(env, index, &mapping)?)
            })?;
        }
        Ok(array)
    }

    fn role<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
        id: jint,
    ) -> Result<JString<'local>, NativeError> {
        let id = u32::try_from(id).map_err(|_| error::Error::InvalidArgument {
            field: "role id",
            reason: format!("{id} is negative; ids begin at 1"),
        })?;
        find_role(env, &settings, Some(id))
    }

    fn default_role<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<JString<'local>, NativeError> {
        find_role(env, &settings, None)
    }

    fn assume_role<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
        request: JRoleRequest<'local>,
        renews: jboolean,
        chance: jdouble,
    ) -> Result<JFetched<'local>, NativeError> {
        let (request, first_session_name) = to_request(env, &request, renews)?;
        let credentials = ask(env, &settings, async |source| {
            let request = source.with_first_session_name(request, first_session_name);
            let request = source.with_default_role(request).await?;
            source.assume_role(&request).await
        })?;
        let java_credentials = new_credentials(env, &credentials)?;
        let session_name = match credentials.session_name() {
            Some(name) => env.new_string(name.as_str())?,
            None => JString::null(),
        };
        let valid_for = credentials.valid_for();
        let refresh_after = renewal::refresh_after(valid_for, chance);
        Ok(JFetched::new(env, &java_credentials, to_millis(valid_for), to_millis(refresh_after), &session_name)?)
    }

    fn source<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<JString<'local>, NativeError> {
        let base = to_base(env, &settings)?;
        let settings = to_settings(env, &settings)?;
        Ok(env.new_string(Source::from_settings(&settings, &base)?.to_string())?)
    }

    fn examine<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
        found: JObjectArray<'local, JString<'local>>,
    ) -> Result<JString<'local>, NativeError> {
        let base = to_base(env, &settings)?;
        let settings = to_settings(env, &settings)?;
        let found = require_all(strings(env, &found)?, "finding")?;
        let mut findings = block_on(async { Ok(doctor::examine(&settings, &base).await) })?;
        findings.extend(found.chunks_exact(3).map(|triple| Finding {
            check: triple[0].clone(),
            is_good: triple[1] == "true",
            text: triple[2].clone(),
        }));
        Ok(env.new_string(doctor::report(&findings))?)
    }

    fn retry_after_millis<'local>(
        _env: &mut Env<'local>,
        _this: JNative<'local>,
        failures: jlong,
        left_millis: jlong,
        valid_for_millis: jlong,
        chance: jdouble,
    ) -> Result<jlong, NativeError> {
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        Ok(to_millis(renewal::retry_after(failures, from_millis(left_millis), from_millis(valid_for_millis), chance)))
    }

    fn due_millis<'local>(
        _env: &mut Env<'local>,
        _this: JNative<'local>,
        since_millis: jlong,
        span_millis: jlong,
        passed_millis: jlong,
        now_millis: jlong,
    ) -> Result<jlong, NativeError> {
        let (since, now) = clocks(since_millis, passed_millis, now_millis);
        Ok(to_millis(renewal::due(since, from_millis(span_millis), now)))
    }

    fn wait_millis<'local>(
        _env: &mut Env<'local>,
        _this: JNative<'local>,
        since_millis: jlong,
        span_millis: jlong,
        passed_millis: jlong,
        now_millis: jlong,
    ) -> Result<jlong, NativeError> {
        let (since, now) = clocks(since_millis, passed_millis, now_millis);
        Ok(to_millis(renewal::wait(since, from_millis(span_millis), now)))
    }

    fn left_millis<'local>(
        _env: &mut Env<'local>,
        _this: JNative<'local>,
        since_millis: jlong,
        valid_for_millis: jlong,
        expiration_millis: jlong,
        passed_millis: jlong,
        now_millis: jlong,
    ) -> Result<jlong, NativeError> {
        let (since, now) = clocks(since_millis, passed_millis, now_millis);
        let expiration = SystemTime::UNIX_EPOCH + from_millis(expiration_millis);
        Ok(to_millis(renewal::left(since, from_millis(valid_for_millis), expiration, now)))
    }

    fn environment_base<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        record: JObjectArray<'local, JString<'local>>,
    ) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
        let saved = Environment::now(&environment::record(env, &record)?).saved();
        let flat: Vec<_> = saved.iter().flat_map(|(name, value)| [Some(name.as_str()), Some(value.as_str())]).collect();
        new_strings(env, &flat)
    }

    fn environment_put<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        credentials: JCredentials<'local>,
        record: JObjectArray<'local, JString<'local>>,
    ) -> Result<JWritten<'local>, NativeError> {
        let credentials = to_credentials(env, &credentials)?;
        let record = environment::record(env, &record)?;
        let base = Environment::now(&record);
        let effects = block_on(async { Ok(variables::for_credentials(&credentials, &base).await) })?;
        let seen = environment::read(env, variables::names())?;
        let plan = variables::plan(effects.changes, &record, |name| seen.get(name).cloned());
        let result = new_written(env, &plan)?;
        // A handler of logs may throw, and what is written must be on record.
        warn(env, effects.warnings)?;
        environment::write(env, &plan.writes)?;
        Ok(result)
    }

    fn environment_renew<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        credentials: JCredentials<'local>,
        record: JObjectArray<'local, JString<'local>>,
    ) -> Result<JWritten<'local>, NativeError> {
        let credentials = to_credentials(env, &credentials)?;
        let record = environment::record(env, &record)?;
        let seen = environment::read(env, variables::names())?;
        let Some(plan) = variables::plan_renewal(&credentials, &record, |name| seen.get(name).cloned()) else {
            return Ok(JWritten::null());
        };
        let result = new_written(env, &plan)?;
        environment::write(env, &plan.writes)?;
        Ok(result)
    }

    fn environment_release<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        record: JObjectArray<'local, JString<'local>>,
    ) -> Result<(), NativeError> {
        let record = environment::record(env, &record)?;
        let seen = environment::read(env, variables::names())?;
        environment::write(env, &variables::plan_release(&record, |name| seen.get(name).cloned()))
    }

    fn environment_undo<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        written: JWritten<'local>,
    ) -> Result<(), NativeError> {
        let undo = written.undo(env)?;
        let texts = strings(env, &undo)?;
        let changes: Vec<(String, Option<String>)> =
            texts.chunks_exact(2).filter_map(|pair| Some((pair[0].clone()?, pair[1].clone()))).collect();
        environment::write(env, &changes)
    }
}

/// Reads the clocks of the JVM, which count from the reading that `since` stands for.
fn clocks(since_millis: jlong, passed_millis: jlong, now_millis: jlong) -> (Clocks, Clocks) {
    let at = |monotonic: Duration, wall: jlong| Clocks { monotonic, wall: SystemTime::UNIX_EPOCH + from_millis(wall) };
    (at(Duration::ZERO, since_millis), at(from_millis(passed_millis), now_millis))
}

/// Makes what Java keeps of a plan.
fn new_written<'local>(env: &mut Env<'local>, plan: &Plan) -> Result<JWritten<'local>, NativeError> {
    let record = environment::new_record(env, &plan.written)?;
    let undo = environment::new_changes(env, &plan.undo)?;
    Ok(JWritten::new(env, &record, &undo)?)
}

/// Finds a role by the id of its mapping, or the caller's default role.
fn find_role<'local>(
    env: &mut Env<'local>,
    settings: &JJvmSettings,
    id: Option<u32>,
) -> Result<JString<'local>, NativeError> {
    let mapping = ask(env, settings, async |source| source.role_mapping(id).await)?;
    Ok(env.new_string(mapping.role.as_str())?)
}

/// Asks the source that the settings name, and passes its warnings on whatever the answer is.
fn ask<T>(
    env: &mut Env,
    settings: &JJvmSettings,
    question: impl AsyncFnOnce(&Source) -> Result<T, error::Error>,
) -> Result<T, NativeError> {
    let base = to_base(env, settings)?;
    let settings = to_settings(env, settings)?;
    let mut warnings = Vec::new();
    let answer = Source::ask(&settings, &base, |warning| warnings.push(warning), question);
    warn(env, warnings)?;
    Ok(answer?)
}

/// Logs warnings, each once.
fn warn(env: &mut Env, warnings: Vec<String>) -> Result<(), NativeError> {
    for warning in warnings {
        let text = env.new_string(warning)?;
        JNative::warn(env, &text)?;
    }
    Ok(())
}
