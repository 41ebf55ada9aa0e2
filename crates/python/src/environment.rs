//! What this package writes into the environment of its process, and what stood there before. The core plans; Python
//! writes, since only `os.environ` tells Python, the C library and new processes.
//!
//! All of this runs with Python's lock held, and under the lock of `_environment.py`, under which Python writes.

use std::sync::{Mutex, MutexGuard};

use hops_credentials_core::base_identity::{Environment, ISSUED};
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables::{self, Change, Effects, Written};
use pyo3::prelude::*;

use super::{Values, exception, new_credentials};

static WRITTEN: Mutex<Vec<Written>> = Mutex::new(Vec::new());

/// The names of the last record by which readers found credentials, and of the last by which they found an endpoint, in the
/// order of writing. A JVM that started meanwhile holds what has been given back here.
static NAMES: Mutex<Names> = Mutex::new([Vec::new(), Vec::new()]);

type Names = [Vec<&'static str>; 2];

/// The variables that decide the base identity: those of now, without what we wrote.
pub(super) fn base() -> Environment {
    Environment::now(&written())
}

fn written() -> MutexGuard<'static, Vec<Written>> {
    WRITTEN.lock().expect("no holder panics")
}

fn names_of_records() -> MutexGuard<'static, Names> {
    NAMES.lock().expect("no holder panics")
}

/// Calls `use_names` with the names of the last record that made a mark like this one.
fn with_names<T>(mark: &str, use_names: impl FnOnce(&mut Vec<&'static str>) -> T) -> T {
    let is_url = mark.rsplit(',').next().is_some_and(|newest| newest.contains("://"));
    use_names(&mut names_of_records()[usize::from(is_url)])
}

fn get(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The writes that a change of the environment takes.
#[pyclass(frozen, module = "hops.credentials_provider._native")]
pub(super) struct Plan {
    plan: variables::Plan,
    warnings: Vec<String>,
    /// The record and the names at the time of planning.
    before: (Vec<Written>, Names),
}

#[pymethods]
impl Plan {
    /// The writes in order: name and value; None removes it.
    #[getter]
    fn writes(&self) -> Vec<(&'static str, Option<&str>)> {
        plain(&self.plan.writes)
    }

    /// The writes, in order, that undo them.
    #[getter]
    fn undo(&self) -> Vec<(&'static str, Option<&str>)> {
        plain(&self.plan.undo)
    }

    /// What the user should hear.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// Notes that the writes have been made.
    fn keep(&self) {
        let mark = self.plan.written.iter().find(|one| one.name == ISSUED).and_then(|one| one.ours.as_ref());
        if let Some(mark) = mark {
            with_names(mark, |names| *names = self.plan.written.iter().map(|one| one.name).collect());
        }
        self.plan.written.clone_into(&mut written());
    }

    /// Notes that the writes have been undone.
    fn forget(&self) {
        let (before, names) = &self.before;
        before.clone_into(&mut written());
        names.clone_into(&mut names_of_records());
    }
}

impl Plan {
    /// Plans that readers find what these effects lead to.
    pub(super) fn of(effects: Effects) -> Self {
        let plan = variables::plan(effects.changes, &written(), get);
        Self { warnings: effects.warnings, ..Self::without_warnings(plan) }
    }

    fn without_warnings(plan: variables::Plan) -> Self {
        Self { plan, warnings: Vec::new(), before: (written().clone(), names_of_records().clone()) }
    }
}

fn plain(changes: &[Change]) -> Vec<(&'static str, Option<&str>)> {
    changes.iter().map(|(name, value)| (*name, value.as_ref().map(|value| value.as_str()))).collect()
}

/// Plans that readers find the credentials themselves.
#[pyfunction]
pub(super) fn plan_credentials(py: Python<'_>, credentials: Values) -> PyResult<Plan> {
    let credentials = new_credentials(credentials);
    let effects = block_on(async { Ok(variables::for_credentials(&credentials, &base()).await) });
    Ok(Plan::of(effects.map_err(|error| exception(py, &error))?))
}

/// Plans newer credentials; None when somebody else has written since.
#[pyfunction]
pub(super) fn plan_renewal(credentials: Values) -> Option<Plan> {
    let plan = variables::plan_renewal(&new_credentials(credentials), &written(), get)?;
    Some(Plan::without_warnings(plan))
}

/// Plans that everything is given back.
#[pyfunction]
pub(super) fn plan_release() -> Plan {
    let writes = variables::plan_release(&written(), get);
    let undo = writes.iter().rev().map(|(name, _)| (*name, get(name).map(Into::into))).collect();
    Plan::without_warnings(variables::Plan { writes, undo, written: Vec::new() })
}

/// Returns what each variable holds without us that we wrote for a role with this mark: before us, or since it was given back.
#[pyfunction]
pub(super) fn values_without_us(mark: &str) -> Vec<(&'static str, Option<String>)> {
    let written = written();
    let value = |name| match written.iter().find(|one| one.name == name) {
        Some(one) => one.before.as_ref().map(|value| value.to_string()),
        None => get(name),
    };
    with_names(mark, |names| names.iter().map(|name| (*name, value(name))).collect())
}
