//! The environment variables of this process.
//!
//! A JVM process has two copies: the map behind `System.getenv()`, and the C library's. Children inherit the C library's
//! unless somebody called `ProcessBuilder.environment()`, so both are written. Java offers no way to write its own;
//! JNI is not bound by the module system, so the private field behind the unmodifiable view can be read without flags.
//!
//! What to write, and in which order, is the core's: [`hops_credentials_core::variables`]. Java keeps the record of it, for all
//! copies of this library in its JVM, and holds one lock for the whole JVM while it calls. A refresh only overwrites values:
//! readers on other threads then find the map's structure unchanged.

use std::collections::HashMap;

use hops_credentials_core::error;
use hops_credentials_core::variables::{Change, Written};
use jni::objects::{JMap, JObjectArray, JString};
use jni::refs::IntoAuto;
use jni::{Env, jni_sig, jni_str};

use crate::convert::{new_strings, strings};
use crate::throw::NativeError;

/// Reads a record as Java keeps it: name, value before us and value of ours, and so on.
pub fn record(env: &mut Env, texts: &JObjectArray<JString>) -> Result<Vec<Written>, NativeError> {
    let mut texts = strings(env, texts)?.into_iter();
    let triples = std::iter::from_fn(|| Some((texts.next()?, texts.next()?, texts.next()?)));
    Ok(triples.filter_map(|(name, before, ours)| Written::new(&name?, before, ours)).collect())
}

/// Makes a record as Java keeps it.
pub fn new_record<'local>(
    env: &mut Env<'local>,
    written: &[Written],
) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
    let texts: Vec<Option<&str>> = written
        .iter()
        .flat_map(|one| {
            [Some(one.name), one.before.as_ref().map(|text| &***text), one.ours.as_ref().map(|text| &***text)]
        })
        .collect();
    new_strings(env, &texts)
}

/// Makes changes as Java keeps them: name, value, and so on.
pub fn new_changes<'local>(
    env: &mut Env<'local>,
    changes: &[Change],
) -> Result<JObjectArray<'local, JString<'local>>, NativeError> {
    let texts: Vec<Option<&str>> =
        changes.iter().flat_map(|(name, value)| [Some(*name), value.as_ref().map(|text| &***text)]).collect();
    new_strings(env, &texts)
}

/// Reads the variables that Java sees.
pub fn read(env: &mut Env, names: impl Iterator<Item = &'static str>) -> Result<HashMap<String, String>, NativeError> {
    let map = live_map(env)?;
    let mut found = HashMap::new();
    for name in names {
        let java_name = env.new_string(name)?.auto();
        if let Some(value) = map.get(env, &java_name)? {
            let value = env.cast_local::<JString>(value)?.auto();
            found.insert(name.to_owned(), value.try_to_string(env)?);
        }
    }
    Ok(found)
}

/// Sets the variables, and removes those without a value, in order.
///
/// # Errors
/// When nothing has been written: a value that no variable can hold, or a JVM that keeps its environment differently.
pub fn write(env: &mut Env, changes: &[(impl AsRef<str>, Option<impl AsRef<str>>)]) -> Result<(), NativeError> {
    if changes.iter().filter_map(|(_, value)| value.as_ref()).any(|value| value.as_ref().contains('\0')) {
        // Java's own message would show the value.
        return Err(not_configured("an environment variable cannot hold a NUL character", "ask for new credentials"));
    }
    let map = live_map(env)?;
    for (name, value) in changes {
        let java_name = env.new_string(name)?.auto();
        let replaced = match value {
            Some(value) => {
                let java_value = env.new_string(value)?.auto();
                map.put(env, &java_name, &java_value)?
            }
            None => map.remove(env, &java_name)?,
        };
        // A native may hold few references at a time.
        drop(replaced.map(IntoAuto::auto));
        set(name.as_ref(), value.as_ref().map(AsRef::as_ref));
    }
    Ok(())
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
    // library does not free a value that was replaced, so a reader sees the old text or the new one; names come and
    // go with a role only, on the caller's thread.
    match value {
        Some(value) => unsafe { std::env::set_var(name, value) },
        None => unsafe { std::env::remove_var(name) },
    }
}

fn not_configured(problem: &str, remedy: &str) -> NativeError {
    error::Error::NotConfigured { problem: problem.to_owned(), remedy: remedy.to_owned(), source: None }.into()
}
