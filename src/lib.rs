//! The JVM binding: converts, calls the core, converts back. It holds no rule, no retry and no default.
//!
//! | module | noun |
//! |---|---|
//! | `natives` | the natives of `io.hops.util.internal.Native`, which Java calls |
//! | `convert` | Java's classes that natives take and return, and their values in the core |
//! | `throw` | Java exceptions for errors and panics |
//! | `environment` | the environment variables of this process |
//!
//! Calls run on the Java thread that made them. No thread is ever attached, and nothing of a call outlives it.

mod convert;
mod environment;
mod natives;
mod throw;

use std::ffi::c_void;

use jni::refs::{LoaderContext, Reference};
use jni::strings::JNIString;
use jni::sys::{JNI_ERR, JNI_VERSION_1_8, jint};
use jni::{Env, JavaVM, jni_str};

/// Finds our classes, keeps them and registers the natives. The JVM calls it when it loads the library.
///
/// A jar of another version than the library fails here with a sentence, and not at its first call.
///
/// # Safety
/// `vm` is the pointer that the JVM passes.
#[expect(unsafe_code, reason = "the JVM looks for this symbol and hands over a raw pointer")]
#[unsafe(no_mangle)]
pub unsafe extern "system" fn JNI_OnLoad(vm: *mut jni::sys::JavaVM, _reserved: *mut c_void) -> jint {
    // SAFETY: the caller is the JVM, and the pointer is its own.
    let vm = unsafe { JavaVM::from_raw(vm) };
    let registered = vm.with_local_frame(16, |env| -> jni::errors::Result<()> {
        register(env).or_else(|error| {
            // A pending exception wins over JNI_ERR, so its text is what the caller reads.
            let text = JNIString::new(format!(
                "the jar and the native library are of different versions or one of their classes was relocated: {error}"
            ));
            env.throw_new(jni_str!("java/lang/UnsatisfiedLinkError"), text)
        })
    });
    match registered {
        Ok(()) => JNI_VERSION_1_8,
        Err(_) => JNI_ERR,
    }
}

/// Looks up our classes once, through the loader that loads the library. Spark's context class loader may know other classes
/// of the same names.
fn register(env: &mut Env) -> jni::errors::Result<()> {
    let loader = env.find_class(jni_str!("io/hops/util/internal/Native"))?.get_class_loader(env)?;
    let context = LoaderContext::Loader(&loader);
    throw::JCloudCredentialException::lookup_class(env, &context)?;
    convert::JInstant::lookup_class(env, &context)?;
    convert::JCredentials::lookup_class(env, &context)?;
    convert::JFetched::lookup_class(env, &context)?;
    convert::JRoleMapping::lookup_class(env, &context)?;
    convert::JSetting::lookup_class(env, &context)?;
    convert::JJvmSettings::lookup_class(env, &context)?;
    convert::JTrustStore::lookup_class(env, &context)?;
    convert::JRoleRequest::lookup_class(env, &context)?;
    natives::JNative::lookup_class(env, &context)?;
    Ok(())
}
