//! The natives of `io.hops.util.internal.Native`, which Java calls.

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::doctor::{self, Finding};
use hops_credentials_core::error;
use hops_credentials_core::renewal;
use hops_credentials_core::settings;
use hops_credentials_core::source::Source;
use jni::objects::{JObjectArray, JString};
use jni::sys::{jboolean, jdouble, jint, jlong};
use jni::{Env, bind_java_type};

use crate::convert::{
    JCredentials, JFetched, JJvmSettings, JRoleMapping, JRoleRequest, JSetting, JTrustStore, from_millis,
    new_credentials, new_role_mapping, new_setting, new_strings, new_text, pairs, require_all, strings, to_millis,
    to_request, to_settings,
};
use crate::environment::{self, Values};
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
    },
    methods { static fn warn(text: JString) },
    native_methods_export = false,
    native_methods_error_policy = Throw,
    native_methods {
        fn settings() -> JSetting[],
        fn show(settings: JJvmSettings) -> JString,
        fn has_static_keys(settings: JJvmSettings) -> jboolean,
        fn requires_live(settings: JJvmSettings) -> jboolean,
        fn trust_stores(settings: JJvmSettings) -> JTrustStore[],
        fn role_mappings(settings: JJvmSettings) -> JRoleMapping[],
        fn role(settings: JJvmSettings, id: jint) -> JString,
        fn default_role(settings: JJvmSettings) -> JString,
        fn assume_role(settings: JJvmSettings, request: JRoleRequest, renews: jboolean, chance: jdouble) -> JFetched,
        fn source(settings: JJvmSettings) -> JString,
        fn examine(settings: JJvmSettings, found: JString[]) -> JString,
        fn retry_after_millis(failures: jlong, left_millis: jlong, valid_for_millis: jlong, chance: jdouble) -> jlong,
        fn environment_put(credentials: JCredentials) -> JString[],
        fn environment_restore(before: JString[]),
        fn base_environment() -> JString[],
        fn adopt_base_environment(variables: JString[]),
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

    fn trust_stores<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
    ) -> Result<JObjectArray<'local, JTrustStore<'local>>, NativeError> {
        let settings = to_settings(env, &settings)?;
        let domain = settings.get(&settings::REST_ENDPOINT).and(settings.get(&settings::TRUSTSTORE));
        // Java writes "NONE" for "no file".
        let jvm = settings.get(&settings::JVM_TRUSTSTORE).filter(|path| *path != "NONE");
        let kind = settings.get(&settings::JVM_TRUSTSTORE_TYPE);
        let stores = [
            (domain, &settings::TRUSTSTORE, &settings::TRUSTSTORE_PASSWORD, None),
            (jvm, &settings::JVM_TRUSTSTORE, &settings::JVM_TRUSTSTORE_PASSWORD, kind),
        ];
        let array = JObjectArray::<JTrustStore>::new(env, stores.len(), JTrustStore::null())?;
        for (index, (path, setting, password_setting, kind)) in stores.into_iter().enumerate() {
            let Some(path) = path else { continue };
            env.with_local_frame(8, |env| -> Result<(), NativeError> {
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
        let request = to_request(env, &request, renews)?;
        let credentials = ask(env, &settings, async |source| {
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
        let settings = to_settings(env, &settings)?;
        Ok(env.new_string(Source::from_settings(&settings, &environment::base())?.to_string())?)
    }

    fn examine<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        settings: JJvmSettings<'local>,
        found: JObjectArray<'local, JString<'local>>,
    ) -> Result<JString<'local>, NativeError> {
        let settings = to_settings(env, &settings)?;
        let found = require_all(strings(env, &found)?, "finding")?;
        let mut findings = block_on(async { Ok(doctor::examine(&settings, &environment::base()).await) })?;
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

    fn environment_put<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        credentials: JCredentials<'local>,
    ) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
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
    ) -> Result<(), NativeError> {
        let Ok(before) = Values::try_from(strings(env, &before)?) else {
            // Without the values, which are secret.
            panic!("environmentPut returned one value per variable");
        };
        environment::replace(env, &before)?;
        Ok(())
    }

    fn base_environment<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
    ) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
        let saved = environment::base().saved();
        let flat: Vec<_> = saved.iter().flat_map(|(name, value)| [Some(name.as_str()), Some(value.as_str())]).collect();
        new_strings(env, &flat)
    }

    fn adopt_base_environment<'local>(
        env: &mut Env<'local>,
        _this: JNative<'local>,
        variables: JObjectArray<'local, JString<'local>>,
    ) -> Result<(), NativeError> {
        environment::adopt(pairs(env, &variables)?);
        Ok(())
    }
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
    let settings = to_settings(env, settings)?;
    let mut warnings = Vec::new();
    let answer = Source::ask(&settings, &environment::base(), |warning| warnings.push(warning), question);
    for warning in warnings {
        let text = env.new_string(warning)?;
        JNative::warn(env, &text)?;
    }
    Ok(answer?)
}
