//! What the JVM binding does when Rust panics, in a JVM inside this process. Takes the classes from the jar that
//! `gradle jar` or `make test` builds, and the JVM from `JAVA_HOME`.

use std::path::Path;

use hops_credentials::jvm::JNI_OnLoad;
use jni::objects::JThrowable;
use jni::{Env, InitArgsBuilder, JNIVersion, JValue, JavaVM, jni_sig, jni_str};

fn jvm() -> JavaVM {
    let jar = format!("{}/build/libs/hops-credentials-{}.jar", env!("CARGO_MANIFEST_DIR"), env!("CARGO_PKG_VERSION"));
    assert!(Path::new(&jar).exists(), "there is no {jar}: run `gradle jar` first");
    let arguments = InitArgsBuilder::new()
        .version(JNIVersion::V1_8)
        .option("-Xcheck:jni")
        .option(format!("-Djava.class.path={jar}"))
        .build()
        .expect("legal options");
    JavaVM::new(arguments).expect("JAVA_HOME names a JDK")
}

/// Asks for the role mappings, from within a runtime: the natives then cannot start one of their own.
fn role_mappings(env: &mut Env) -> jni::errors::Result<()> {
    let class = jni_str!("io/hops/util/internal/Native");
    let native =
        env.call_static_method(class, jni_str!("loaded"), jni_sig!("()Lio/hops/util/internal/Native;"), &[])?;
    let configuration = env
        .call_static_method(
            jni_str!("io/hops/util/internal/Configuration"),
            jni_str!("read"),
            jni_sig!("()Lio/hops/util/internal/Configuration;"),
            &[],
        )?
        .l()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        env.call_method(
            native.l()?,
            jni_str!("roleMappings"),
            jni_sig!("(Lio/hops/util/internal/Configuration;)[Lio/hops/util/cloud/RoleMapping;"),
            &[JValue::Object(&configuration)],
        )
    })?;
    Ok(())
}

#[test]
#[expect(unsafe_code, reason = "the test stands for the JVM, which calls JNI_OnLoad")]
fn a_panic_is_an_unchecked_exception_with_its_text() {
    jvm()
        .attach_current_thread(|env| -> jni::errors::Result<()> {
            // The jar has brought its own copy of the library; from here on its natives are those of this process.
            // SAFETY: the pointer is that of the JVM just made.
            let registered = unsafe { JNI_OnLoad(env.get_java_vm()?.get_raw(), std::ptr::null_mut()) };
            assert_eq!(registered, jni::sys::JNI_VERSION_1_8);
            role_mappings(env).expect_err("a runtime within a runtime");
            let exception: JThrowable = env.exception_occurred().expect("pending");
            env.exception_clear();
            assert!(env.is_instance_of(&exception, jni_str!("java/lang/RuntimeException"))?);
            let message = exception.get_message(env)?.try_to_string(env)?;
            assert!(
                message.starts_with("panic in native code: Cannot start a runtime from within a runtime"),
                "{message}"
            );
            Ok(())
        })
        .expect("no other exception");
}
