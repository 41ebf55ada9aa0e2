//! Turns errors and panics into Java exceptions. The errors below an error become its causes.
//!
//! | kind | exception |
//! |---|---|
//! | [`error::Error::InvalidArgument`] | `IllegalArgumentException` |
//! | every other kind of [`error::Error`] | `CloudCredentialException`, with the name of its constant of `Kind` |
//! | an error below it | `CloudCredentialException` |
//! | a failed JNI call, a panic | `RuntimeException` |

use std::any::Any;
use std::error::Error as StdError;

use hops_credentials_core::error;
use jni::errors::ErrorPolicy;
use jni::exceptions::{JIllegalArgumentException, JRuntimeException};
use jni::objects::JThrowable;
use jni::{Env, bind_java_type};

bind_java_type! {
    pub JCloudCredentialException => io.hops.util.exceptions.CloudCredentialException,
    is_instance_of = { throwable: JThrowable },
    constructors {
        fn new(message: JString, cause: JThrowable, code: jint, kind: JString, is_retryable: jboolean,
            is_withdrawal: jboolean),
        fn below(message: JString, cause: JThrowable, code: jint),
    },
}

/// The reason why a native method did not return.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The core has no answer.
    #[error(transparent)]
    Core(#[from] error::Error),
    /// The JVM did not do what it was asked; a Java exception may be pending.
    #[error(transparent)]
    Jni(#[from] jni::errors::Error),
}

/// The policy of every native: throw, and return the default, which Java never sees.
pub enum Throw {}

impl<T: Default> ErrorPolicy<T, NativeError> for Throw {
    type Captures<'a: 'b, 'b> = ();

    fn on_error<'a: 'b, 'b>(env: &mut Env<'a>, _: &mut (), error: NativeError) -> jni::errors::Result<T> {
        throw_error(env, &error)?;
        Ok(T::default())
    }

    fn on_panic<'a: 'b, 'b>(env: &mut Env<'a>, _: &mut (), payload: Box<dyn Any + Send>) -> jni::errors::Result<T> {
        throw_panic(env, payload.as_ref())?;
        Ok(T::default())
    }
}

// Not in the policy, which the compiler repeats for each type that a native returns.
fn throw_error(env: &mut Env, error: &NativeError) -> jni::errors::Result<()> {
    if !env.exception_check() {
        let throwable = throwable(env, error)?;
        // jni returns Err(JavaException) once an exception is thrown, which is what we want.
        let _ = env.throw(throwable);
    }
    Ok(())
}

fn throw_panic(env: &mut Env, payload: &(dyn Any + Send)) -> jni::errors::Result<()> {
    if !env.exception_check() {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        let message = env.new_string(format!("panic in native code: {text}"))?;
        let throwable = JRuntimeException::new(env, &message)?;
        let _ = env.throw(JThrowable::from(throwable));
    }
    Ok(())
}

fn throwable<'local>(env: &mut Env<'local>, error: &NativeError) -> jni::errors::Result<JThrowable<'local>> {
    let message = env.new_string(error.to_string())?;
    let core = match error {
        NativeError::Core(core) => core,
        NativeError::Jni(_) => return JRuntimeException::new(env, &message).map(Into::into),
    };
    let kind = match core {
        error::Error::InvalidArgument { .. } => {
            return JIllegalArgumentException::new(env, &message).map(Into::into);
        }
        error::Error::NotConfigured { .. } => "NOT_CONFIGURED",
        error::Error::Refused { .. } => "REFUSED",
        error::Error::Unavailable { .. } => "UNAVAILABLE",
        error::Error::BadAnswer { .. } => "BAD_ANSWER",
    };
    let kind = env.new_string(kind)?;
    let cause = causes(env, core.source())?;
    let code = i32::try_from(core.code()).expect("codes have six digits at most");
    JCloudCredentialException::new(env, &message, &cause, code, &kind, core.is_retryable(), core.withdraws())
        .map(Into::into)
}

/// Turns the errors below one of ours into a chain of Java causes; null when there are none.
fn causes<'local>(
    env: &mut Env<'local>,
    source: Option<&(dyn StdError + 'static)>,
) -> jni::errors::Result<JThrowable<'local>> {
    let Some(source) = source else { return Ok(JThrowable::null()) };
    let cause = causes(env, source.source())?;
    let message = env.new_string(source.to_string())?;
    JCloudCredentialException::below(env, &message, &cause, 0).map(Into::into)
}
