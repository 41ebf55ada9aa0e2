//! What this package writes into the environment of its process, and what stood there before. The core plans; Python
//! writes, since only `os.environ` tells Python, the C library and new processes.
//!
//! All of this runs with Python's lock held, and under the lock of `_environment.py`, under which Python writes.

use std::sync::{Mutex, MutexGuard};

use hops_credentials_core::base_identity::Environment;
use hops_credentials_core::blocking::block_on;
use hops_credentials_core::variables::{self, Change, Effects, Written};
use pyo3::prelude::*;

use super::{Values, exception, new_credentials};

static WRITTEN: Mutex<Vec<Written>> = Mutex::new(Vec::new());

/// The variables that decide the base identity: those of now, without what we wrote.
pub(super) fn base() -> Environment {
    Environment::now(&written())
}

fn written() -> MutexGuard<'static, Vec<Written>> {
    WRITTEN.lock().expect("no holder panics")
}

fn get(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The writes that a change of the environment takes.
#[pyclass(frozen, module = "hops.credentials_provider._native")]
pub(super) struct Plan {
    plan: variables::Plan,
    warnings: Vec<String>,
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
        self.plan.written.clone_into(&mut written());
    }
}

impl Plan {
    /// Plans that readers find what these effects lead to.
    pub(super) fn of(effects: Effects) -> Self {
        Self { plan: variables::plan(effects.changes, &written(), get), warnings: effects.warnings }
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
    Some(Plan { plan, warnings: Vec::new() })
}

/// Plans that everything is given back.
#[pyfunction]
pub(super) fn plan_release() -> Plan {
    let writes = variables::plan_release(&written(), get);
    let undo = writes.iter().rev().map(|(name, _)| (*name, get(name).map(Into::into))).collect();
    Plan { plan: variables::Plan { writes, undo, written: Vec::new() }, warnings: Vec::new() }
}

/// Returns what each variable that we wrote held before.
#[pyfunction]
pub(super) fn values_before() -> Vec<(&'static str, Option<String>)> {
    written().iter().map(|one| (one.name, one.before.as_ref().map(|value| value.to_string()))).collect()
}
