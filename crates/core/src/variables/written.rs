//! What we wrote into the environment of a running process, and how it is replaced and given back.
//!
//! Pure functions: a host keeps the record, reads variables and applies the writes in their order. Nothing is given back
//! that somebody else has written since.

use std::fmt;

use zeroize::Zeroizing;

use super::{Change, credentials_values};
use crate::base_identity::{
    ACCESS_KEY_ID, CONTAINER_URL, CREDENTIAL_EXPIRATION, Environment, ISSUED, SECRET_ACCESS_KEY, SECURITY_TOKEN,
    SESSION_TOKEN,
};
use crate::credentials::Credentials;

/// The variables whose values [`ISSUED`] marks as ours.
const MARKED: [&str; 2] = [ACCESS_KEY_ID, CONTAINER_URL];

/// One variable that we wrote: what it held before us, and what we wrote last. `None` is unset. `Debug` shows the name.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: &'static str,
    /// The value before our first write.
    pub before: Option<Zeroizing<String>>,
    /// The value that we wrote last.
    pub ours: Option<Zeroizing<String>>,
    /// What tells one set of ours from another: the values that we wrote before that. A host that does not keep the record in this
    /// form loses them.
    earlier: Vec<Zeroizing<String>>,
}

impl Written {
    /// Takes a record back from a host; `None` for a name that we do not write.
    pub fn new(name: &str, before: Option<String>, ours: Option<String>) -> Option<Self> {
        let name = super::names().find(|known| *known == name)?;
        Some(Self { name, before: before.map(Zeroizing::new), ours: ours.map(Zeroizing::new), earlier: Vec::new() })
    }

    /// Notes a newer value of ours.
    fn replace(&mut self, ours: Option<Zeroizing<String>>) {
        let earlier = std::mem::replace(&mut self.ours, ours);
        if MARKED.contains(&self.name) {
            self.earlier.extend(earlier);
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Written").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The writes that a host makes, and the record that it keeps.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The writes, in order.
    pub writes: Vec<Change>,
    /// The writes, in order, that undo them when a later step fails.
    pub undo: Vec<Change>,
    /// The record to keep once they are made; after `undo`, the earlier one counts again.
    pub written: Vec<Written>,
}

/// Plans `changes` in a process in which we wrote `written`: what they do not name is given back. `get` reads a variable.
pub fn plan(changes: Vec<Change>, written: &[Written], get: impl Fn(&str) -> Option<String>) -> Plan {
    let get = |name: &str| get(name).map(Zeroizing::new);
    let returned = given_back(written, still_ours(written, &get));
    let mut plan = Plan::default();
    for (name, value) in changes {
        let value = if name == ISSUED { marked(get(name), value) } else { value };
        let before = match returned.iter().find(|(returned, _)| *returned == name) {
            Some((_, before)) => before.clone(),
            None => get(name),
        };
        let known = written.iter().find(|one| one.name == name).cloned();
        let mut one = known.unwrap_or(Written { name, before: None, ours: None, earlier: Vec::new() });
        one.before = before;
        one.replace(value.clone());
        plan.written.push(one);
        plan.writes.push((name, value));
    }
    // Somebody may fall back to what is given back, so the new values come first.
    let is_planned = |name: &str| plan.written.iter().any(|one| one.name == name);
    let rest: Vec<Change> = returned.into_iter().filter(|(name, _)| !is_planned(name)).collect();
    plan.writes.extend(rest);
    plan.writes.sort_by_key(|(name, _)| *name == CREDENTIAL_EXPIRATION);
    plan.undo = plan.writes.iter().rev().map(|(name, _)| (*name, get(name))).collect();
    plan
}

/// Plans newer credentials where we wrote credentials; values only, nothing is removed. `None` when somebody else has
/// replaced the keys since: then nothing is written, and nothing is renewed here any more.
pub fn plan_renewal(
    credentials: &Credentials,
    written: &[Written],
    get: impl Fn(&str) -> Option<String>,
) -> Option<Plan> {
    let get = |name: &str| get(name).map(Zeroizing::new);
    let still_ours = still_ours(written, &get);
    let is_ours = |name: &str| {
        let one = written.iter().find(|one| one.name == name);
        one.is_some_and(|one| one.ours.is_some() && still_ours(one))
    };
    if ![ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN].into_iter().all(is_ours) {
        return None;
    }
    let mut plan = Plan { written: written.to_vec(), ..Plan::default() };
    for (name, value) in credentials_values(credentials) {
        let value = if name == ISSUED { marked(get(name), Some(value)) } else { Some(value) };
        match plan.written.iter_mut().find(|one| one.name == name) {
            Some(one) => one.replace(value.clone()),
            None => {
                plan.written.push(Written { name, before: get(name), ours: value.clone(), earlier: Vec::new() });
            }
        }
        plan.writes.push((name, value));
    }
    plan.undo = plan.writes.iter().rev().map(|(name, _)| (*name, get(name))).collect();
    Some(plan)
}

/// The writes, in order, that give everything back at the end.
pub fn plan_release(written: &[Written], get: impl Fn(&str) -> Option<String>) -> Vec<Change> {
    given_back(written, still_ours(written, |name| get(name).map(Zeroizing::new)))
}

/// Tells whether a variable still holds what we wrote: last, or earlier, as the mark beside it says. Whoever puts the
/// environment back as it stood under us, as `unittest.mock.patch.dict` does at its end, has not replaced our values.
fn still_ours(written: &[Written], get: impl Fn(&str) -> Option<Zeroizing<String>>) -> impl Fn(&Written) -> bool {
    let marked = [&[ISSUED], &MARKED[..]].concat();
    let pairs = marked.into_iter().filter_map(|name| Some((name.to_owned(), get(name)?.to_string())));
    let now = Environment::from_pairs(pairs);
    let is_earlier = written.iter().any(|one| {
        let held = now.get_raw(one.name);
        now.is_inherited(one.name) && one.earlier.iter().any(|earlier| held == Some(earlier.as_str()))
    });
    move |one| get(one.name) == one.ours || is_earlier && now.is_inherited(one.name)
}

/// The variables that are still ours, the last written first, with the values that they take when they are given back.
///
/// Where somebody has replaced the key, the rest of the earlier credentials does not come back beside it. Nor does the
/// expiration of keys: with it, a client that was made for the role would go on with those keys.
pub(crate) fn given_back(written: &[Written], is_ours: impl Fn(&Written) -> bool) -> Vec<Change> {
    let key = written.iter().find(|one| one.name == ACCESS_KEY_ID);
    let is_key_ours = key.is_none_or(&is_ours);
    let had_key = key.is_some_and(|key| key.before.is_some());
    let returned = written.iter().rev().filter(|one| is_ours(one)).map(|one| {
        let comes_back = match one.name {
            SECRET_ACCESS_KEY | SESSION_TOKEN | SECURITY_TOKEN => is_key_ours,
            CREDENTIAL_EXPIRATION => is_key_ours && !had_key,
            _ => true,
        };
        (one.name, one.before.clone().filter(|_| comes_back))
    });
    returned.collect()
}

/// The mark for `value` while the environment may still hold an earlier one: a program that starts between two
/// writes must know both.
fn marked(now: Option<Zeroizing<String>>, value: Option<Zeroizing<String>>) -> Option<Zeroizing<String>> {
    let earlier = now.as_deref().and_then(|now| now.rsplit(',').next()).filter(|earlier| !earlier.is_empty());
    match (earlier, value) {
        (Some(earlier), Some(value)) if earlier != value.as_str() => {
            Some(Zeroizing::new(format!("{earlier},{}", *value)))
        }
        (_, value) => value,
    }
}
