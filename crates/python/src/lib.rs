//! The module that Python calls: `hops.credentials_provider._native`.
//!
//! This module only converts. A question to a source runs on a thread of its own that never touches Python; the caller waits
//! for a file descriptor instead. So Ctrl-C ends a wait, and no native frame of ours stands on a Python thread when the
//! interpreter ends. Settings and environment are read while Python's lock is held, since Python writes the environment
//! under the same lock.

mod endpoint;
mod environment;

use std::error::Error as StdError;
use std::ffi::OsString;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

use hops_credentials_cli as cli;
use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::credentials::Credentials;
use hops_credentials_core::doctor;
use hops_credentials_core::error::Error;
use hops_credentials_core::renewal::{self, Clocks};
use hops_credentials_core::request::{AssumeRole, Extras, SessionDuration};
use hops_credentials_core::role::RoleMapping;
use hops_credentials_core::settings::Settings;
use hops_credentials_core::source::Source;
use hops_credentials_core::variables;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// The native half of `hops.credentials_provider`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::endpoint::Endpoint;
    #[pymodule_export]
    use super::environment::{Plan, plan_credentials, plan_release, plan_renewal, values_without_us};
    #[pymodule_export]
    use super::{
        Call, assume_role, command_line, due, examine, explain, left, refresh_after, retry_after, role_mapping,
        role_mappings, wait,
    };
}

/// A question under way. The caller waits until its descriptor is readable, then takes the result.
#[pyclass(frozen, module = "hops.credentials_provider._native")]
struct Call {
    ended: Arc<PipeReader>,
    thread: Mutex<Option<JoinHandle<Outcome>>>,
}

/// The outcome of a call: the answer, and warnings for the user.
struct Outcome {
    answer: Result<Answer, Error>,
    warnings: Vec<String>,
}

enum Answer {
    Findings(Vec<doctor::Finding>),
    Mappings(Vec<RoleMapping>),
    Credentials(Box<Credentials>),
}

impl Call {
    fn begin(question: impl AsyncFnOnce(&Source) -> Result<Answer, Error> + Send + 'static) -> PyResult<Self> {
        Self::begin_job(move |settings, environment| {
            let mut warnings = Vec::new();
            let answer = Source::ask(settings, environment, |warning| warnings.push(warning), question);
            Outcome { answer, warnings }
        })
    }

    fn begin_job(job: impl FnOnce(&Settings, &Environment) -> Outcome + Send + 'static) -> PyResult<Self> {
        // Read with the lock held under which this package writes.
        let environment = environment::base();
        let settings = Settings::from_environment();
        let (ended, writer) = pipe()?;
        let ended = Arc::new(ended);
        let end = End { writer, _reader: ended.clone() };
        let ask = move || {
            let _end = end;
            job(&settings, &environment)
        };
        let thread = Builder::new().name("hops-credentials".to_owned()).spawn(ask)?;
        Ok(Self { ended, thread: Mutex::new(Some(thread)) })
    }
}

/// Tells who waits for a call that its thread ends, also when it panics: by a byte. The end of the pipe would tell them
/// nothing while a child that was forked meanwhile holds a copy of it.
struct End {
    writer: PipeWriter,
    /// Where nobody waits any longer, writing would raise SIGPIPE.
    _reader: Arc<PipeReader>,
}

impl Drop for End {
    fn drop(&mut self) {
        // An empty pipe takes a byte.
        let _ = self.writer.write_all(&[1]);
    }
}

#[pymethods]
impl Call {
    /// Returns the descriptor that is readable once there is a result.
    fn fileno(&self) -> RawFd {
        self.ended.as_raw_fd()
    }

    /// Returns the answer, or the exception to raise, and warnings for the user. May be called once.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Vec<String>)> {
        let thread = self.thread.lock().expect("no holder panics").take();
        let thread = thread.ok_or_else(|| PyRuntimeError::new_err("the result has been taken"))?;
        let outcome = thread.join().map_err(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
            PyRuntimeError::new_err(format!("panic in native code: {text}"))
        })?;
        let answer = match outcome.answer {
            Err(error) => exception(py, &error).into_value(py).into_bound(py).into_any(),
            Ok(Answer::Mappings(mappings)) => {
                let rows = mappings.iter().map(|mapping| {
                    (mapping.id, mapping.role.as_str(), mapping.project_role.display_name(), mapping.is_default)
                });
                rows.collect::<Vec<_>>().into_pyobject(py)?
            }
            Ok(Answer::Findings(findings)) => {
                let rows = findings.iter().map(|finding| (&finding.check, finding.is_good, &finding.text));
                (rows.collect::<Vec<_>>(), doctor::report(&findings)).into_pyobject(py)?.into_any()
            }
            Ok(Answer::Credentials(credentials)) => tuple(py, &credentials)?.into_any(),
        };
        Ok((answer, outcome.warnings))
    }
}

/// Returns access key id, secret access key, session token, expiration in seconds since 1970, role ARN or None, and the
/// seconds for which they are valid.
fn tuple<'py>(py: Python<'py>, credentials: &Credentials) -> PyResult<Bound<'py, PyTuple>> {
    let since_epoch = credentials
        .expiration()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("credentials that are good for some time expire after 1970");
    (
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token(),
        since_epoch.as_secs_f64(),
        credentials.role().map(|role| role.as_str()),
        credentials.valid_for().as_secs_f64(),
    )
        .into_pyobject(py)
}

#[pyfunction]
fn role_mappings() -> PyResult<Call> {
    Call::begin(async |source: &Source| Ok(Answer::Mappings(source.role_mappings().await?)))
}

/// Asks for the findings (check, whether it is good, text), and for the report that people read.
#[pyfunction]
fn examine() -> PyResult<Call> {
    Call::begin_job(|settings, environment| Outcome {
        answer: block_on(async { Ok(Answer::Findings(doctor::examine(settings, environment).await)) }),
        warnings: Vec::new(),
    })
}

/// Says whose credentials a reader in this process finds.
#[pyfunction]
fn explain(py: Python<'_>) -> PyResult<String> {
    block_on(variables::explain(&Environment::now(&[])))
        .map(|found| found.to_string())
        .map_err(|error| exception(py, &error))
}

/// Runs the command line with these arguments, the first of which is its name. Returns the exit code.
#[pyfunction]
fn command_line(py: Python<'_>, arguments: Vec<OsString>) -> i32 {
    py.detach(|| cli::run(arguments))
}

/// Asks for a role mapping; without an id, for the caller's default.
#[pyfunction]
fn role_mapping(py: Python<'_>, id: Option<i64>) -> PyResult<Call> {
    let id = id.map(|id| {
        u32::try_from(id).map_err(|_| Error::InvalidArgument {
            field: "role id",
            reason: format!("{id} is not the id of a role mapping; these begin at 1"),
        })
    });
    let id = id.transpose().map_err(|error| exception(py, &error))?;
    Call::begin(async move |source: &Source| Ok(Answer::Mappings(vec![source.role_mapping(id).await?])))
}

/// Asks for credentials, which the caller renews or not. Empty text counts as None, and so does a duration of 0.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the fields of AssumeRole")]
fn assume_role(
    py: Python<'_>,
    role: Option<String>,
    session_name: Option<String>,
    duration_seconds: i64,
    external_id: Option<String>,
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<(String, String)>,
    source_identity: Option<String>,
    renews: bool,
) -> PyResult<Call> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let request = || {
        Ok(AssumeRole {
            role: filled(role).map(|text| text.parse()).transpose()?,
            session_name: filled(session_name).map(|text| text.parse()).transpose()?,
            duration: match duration_seconds {
                0 => SessionDuration::default(),
                seconds => SessionDuration::from_seconds(seconds)?,
            },
            extras: Extras {
                external_id: filled(external_id),
                policy: filled(policy),
                policy_arns,
                tags,
                source_identity: filled(source_identity),
            },
            renews,
        })
    };
    let request = request().map_err(|error| exception(py, &error))?;
    Call::begin(async move |source: &Source| {
        let request = source.with_default_role(request).await?;
        Ok(Answer::Credentials(Box::new(source.assume_role(&request).await?)))
    })
}

/// Returns the seconds from the answer until the next fetch.
#[pyfunction]
fn refresh_after(valid_for: f64, chance: f64) -> f64 {
    renewal::refresh_after(seconds(valid_for), chance).as_secs_f64()
}

/// Returns the seconds until the next try after the `failures`-th failure in a row.
#[pyfunction]
fn retry_after(failures: u32, left: f64, valid_for: f64, chance: f64) -> f64 {
    renewal::retry_after(failures, seconds(left), seconds(valid_for), chance).as_secs_f64()
}

/// Returns the seconds until `span` has passed since `since`.
#[pyfunction]
fn due(since: (f64, f64), span: f64, now: (f64, f64)) -> f64 {
    renewal::due(clocks(since), seconds(span), clocks(now)).as_secs_f64()
}

/// Returns the seconds after which to look again.
#[pyfunction]
fn wait(since: (f64, f64), span: f64, now: (f64, f64)) -> f64 {
    renewal::wait(clocks(since), seconds(span), clocks(now)).as_secs_f64()
}

/// Returns the seconds for which credentials are good.
#[pyfunction]
fn left(since: (f64, f64), valid_for: f64, expiration: f64, now: (f64, f64)) -> f64 {
    renewal::left(clocks(since), seconds(valid_for), instant(expiration), clocks(now)).as_secs_f64()
}

/// Converts one reading of both clocks.
fn clocks((monotonic, wall): (f64, f64)) -> Clocks {
    Clocks { monotonic: seconds(monotonic), wall: instant(wall) }
}

/// Converts seconds since 1970.
fn instant(since_epoch: f64) -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(since_epoch)
}

/// Credentials as Python hands them over: access key id, secret access key, session token, the instant at which they
/// expire, the seconds until then by both clocks, and the ARN of their role.
type Values = (String, String, String, f64, f64, Option<String>);

fn new_credentials((access_key_id, secret_access_key, session_token, expiration, left, role): Values) -> Credentials {
    let role = role.and_then(|role| role.parse().ok());
    Credentials::new(access_key_id, secret_access_key, session_token, instant(expiration), seconds(left), role)
}

/// Converts seconds. A negative number counts as 0.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

/// Makes the exception of a kind of error, with the errors below it as its causes.
fn exception(py: Python<'_>, error: &Error) -> PyErr {
    if let Error::InvalidArgument { .. } = error {
        return PyValueError::new_err(error.to_string());
    }
    let exception = new_exception(py, &format!("{}Error", error.kind()), &error.to_string(), error.code());
    exception.set_cause(py, error.source().map(|source| cause(py, source)));
    if error.withdraws() {
        // The attribute has a default, which stays if this fails.
        let _ = exception.value(py).setattr("_withdraws", true);
    }
    exception
}

fn cause(py: Python<'_>, source: &(dyn StdError + 'static)) -> PyErr {
    let exception = new_exception(py, "CloudCredentialError", &source.to_string(), 0);
    exception.set_cause(py, source.source().map(|source| cause(py, source)));
    exception
}

fn new_exception(py: Python<'_>, class: &str, message: &str, code: u32) -> PyErr {
    let made = py
        .import("hops.credentials_provider._errors")
        .and_then(|errors| errors.getattr(PyString::new(py, class)))
        .and_then(|class| class.call1((message, code)));
    made.map_or_else(|error| error, |exception| PyErr::from_value(exception))
}
