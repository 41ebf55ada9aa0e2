//! The environment variables of this process.
//!
//! A JVM process has two copies: the map behind `System.getenv()`, and the C library's. Children inherit the C library's
//! unless somebody called `ProcessBuilder.environment()`, so both are written. Java offers no way to write its own;
//! JNI is not bound by the module system, so the private field behind the unmodifiable view can be read without flags.
//!
//! The first write adds four names, every later one only overwrites them: readers on other threads then find the map's
//! structure unchanged. Callers hold one lock for the whole JVM.

use std::sync::{Mutex, OnceLock};

use hops_credentials_core::base_identity::{ACCESS_KEY_ID, Environment, ISSUED, SECRET_ACCESS_KEY, SESSION_TOKEN};
use hops_credentials_core::error;
use hops_credentials_core::variables::Written;
use jni::objects::{JMap, JString};
use jni::{Env, jni_sig, jni_str};

use crate::throw::NativeError;

const NAMES: [&str; 4] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, ISSUED];

/// Values in the order of the variables: access key id, secret access key, session token, access key id issued.
pub type Values = [Option<String>; NAMES.len()];

/// What this copy of the library wrote.
static WRITTEN: Mutex<Vec<Written>> = Mutex::new(Vec::new());
/// The variables that another copy of the library, which may have written some, handed over.
static ADOPTED: OnceLock<Environment> = OnceLock::new();

/// The variables that decide the base identity.
pub fn base() -> Environment {
    match ADOPTED.get() {
        Some(adopted) => adopted.clone(),
        None => Environment::now(&WRITTEN.lock().expect("no holder panics")),
    }
}

/// Takes over what another copy of the library returned as [`base`].
pub fn adopt(saved: Vec<(String, String)>) {
    ADOPTED.get_or_init(|| Environment::from_pairs(saved));
}

/// Sets the variables, removes those without a value, and returns what Java saw before.
///
/// # Errors
/// When nothing has been written: a value that no variable can hold, or a JVM that keeps its environment differently.
pub fn replace(env: &mut Env, values: &Values) -> Result<Values, NativeError> {
    if values.iter().flatten().any(|value| value.contains('\0')) {
        // Java's own message would show the value.
        return Err(not_configured("an environment variable cannot hold a NUL character", "ask for new credentials"));
    }
    let map = live_map(env)?;
    let mut before = Values::default();
    for (name, before) in NAMES.iter().zip(&mut before) {
        let name = env.new_string(name)?;
        if let Some(value) = map.get(env, &name)? {
            *before = Some(env.cast_local::<JString>(value)?.try_to_string(env)?);
        }
    }
    note(values, &before);
    for (name, value) in NAMES.iter().zip(values) {
        let java_name = env.new_string(name)?;
        match value {
            Some(value) => {
                let java_value = env.new_string(value)?;
                map.put(env, &java_name, &java_value)?;
            }
            None => {
                map.remove(env, &java_name)?;
            }
        }
        set(name, value.as_deref());
    }
    Ok(before)
}

/// Notes what is written, and forgets what is given back.
fn note(values: &Values, before: &Values) {
    let mut written = WRITTEN.lock().expect("no holder panics");
    for ((name, value), before) in NAMES.iter().zip(values).zip(before) {
        let earlier = written.iter().find(|one| one.name == *name).map(|one| one.before.clone());
        let before = earlier.unwrap_or_else(|| before.clone().map(Into::into));
        let ours = value.clone().map(Into::into);
        written.retain(|one| one.name != *name);
        if before != ours {
            written.push(Written { name, before, ours });
        }
    }
}

/// The map that `System.getenv()` shows read-only.
fn live_map<'local>(env: &mut Env<'local>) -> Result<JMap<'local>, NativeError> {
    let view =
        env.call_static_method(jni_str!("java/lang/System"), jni_str!("getenv"), jni_sig!("()Ljava/util/Map;"), &[])?;
    match env.get_field(view.l()?, jni_str!("m"), jni_sig!("Ljava/util/Map;")) {
        Ok(map) => Ok(env.cast_local::<JMap>(map.l()?)?),
        Err(_) => {
            env.exception_clear();
            Err(not_configured(
                "this JVM keeps its environment in a way that is not known",
                "use OpenJDK 8 to 25, or report the name and version of this JVM",
            ))
        }
    }
}

#[expect(unsafe_code, reason = "the C library's environment is shared with every thread")]
fn set(name: &str, value: Option<&str>) {
    // SAFETY: POSIX lets no other thread read the environment meanwhile, which no library in a JVM can promise. The C
    // library does not free a value that was replaced, so a reader sees the old text or the new one; the names are added
    // once, early, on the caller's thread.
    match value {
        Some(value) => unsafe { std::env::set_var(name, value) },
        None => unsafe { std::env::remove_var(name) },
    }
}

fn not_configured(problem: &str, remedy: &str) -> NativeError {
    error::Error::NotConfigured { problem: problem.to_owned(), remedy: remedy.to_owned(), source: None }.into()
}
