//! What STS gave and refused a short while ago, and who gets it again: in memory only, for a bounded number of keys. Credentials are zeroed
//! when they go.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock, SystemTime};

use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::request::SessionDuration;
use hops_credentials_core::sts::IssuedCredentials;

use super::CredentialsKey;
use crate::audit::withdrawn::Withdrawn;
use crate::fair_map::FairMap;

/// The number of keys whose credentials, or whose refusals by STS, are remembered, and of those the most of one member.
const MAX_REMEMBERED: usize = 10_000;
const MAX_OF_MEMBER: usize = 500;

/// The refusals of STS after which it is asked again at once: whoever mends a trust policy wants to see it work.
const FREE_REFUSALS: u32 = 3;

/// The time for which the next one is given to others. It doubles with each further one, up to the second value.
const FIRST_REFUSED_FOR: Duration = Duration::from_secs(1);
const LAST_REFUSED_FOR: Duration = Duration::from_secs(15);

/// Whether a caller comes back before its credentials expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renews {
    /// It says so.
    Yes,
    /// It does not: it may use what it gets to the end, and must not get half of an hour.
    Unknown,
}

impl Renews {
    /// Whether credentials with so much time left are as good as new for the caller. A client of ours renews with a third left at the
    /// latest, so half is enough for it.
    ///
    /// What counts as new is the requested duration, or what STS gives instead: a base identity that is itself a role gets at most an hour.
    fn accepts(self, left: Duration, requested: SessionDuration, valid_for: Duration) -> bool {
        let new = valid_for.min(Duration::from_secs(requested.seconds().into()));
        match self {
            Renews::Yes => left >= new / 2,
            Renews::Unknown => left >= new / 10 * 9,
        }
    }
}

/// The memory of an issuer.
#[derive(Debug)]
pub struct Memory {
    granted: FairMap<Granted>,
    refused: FairMap<Refused>,
}

#[derive(Debug)]
struct Granted {
    /// What STS gave; `None` once nobody gets it any more: then the key tells only who renews.
    issued: Option<IssuedCredentials>,
    /// The end of its validity by the clock of this machine that is never set.
    until: Clock,
    /// When the request was authorised that asked for it, in milliseconds since 1970.
    authorised_at: i64,
}

#[derive(Debug)]
struct Refused {
    error: Arc<CoreError>,
    until: Clock,
    /// How many there were in a row.
    number: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            granted: FairMap::new(MAX_REMEMBERED, MAX_OF_MEMBER),
            refused: FairMap::new(MAX_REMEMBERED, MAX_OF_MEMBER),
        }
    }
}

impl Memory {
    /// What STS gave for this key, if it is as good as new for the caller.
    pub fn find(&self, key: &CredentialsKey, renews: Renews) -> Option<IssuedCredentials> {
        let Granted { issued, until, .. } = self.granted.get(key)?;
        let issued = issued.as_ref()?;
        let left = until.saturating_duration_since(Clock::now());
        // A clock that was set must not make credentials look fresher than they are.
        let by_clock = issued.credentials.expiration().duration_since(SystemTime::now()).unwrap_or_default();
        let is_accepted = renews.accepts(left.min(by_clock), key.duration, issued.credentials.valid_for());
        is_accepted.then(|| IssuedCredentials { warnings: Vec::new(), ..issued.clone() })
    }

    /// Why STS refused this key, while the same reason is given to others.
    pub fn find_refusal(&self, key: &CredentialsKey) -> Option<Arc<CoreError>> {
        let refused = self.refused.get(key).filter(|refused| Clock::now() < refused.until)?;
        Some(refused.error.clone())
    }

    /// Whether STS gave credentials for this key that are still valid, even if nobody gets them any more.
    pub fn has_granted(&self, key: &CredentialsKey) -> bool {
        self.granted.get(key).is_some()
    }

    /// Whether it knows of no credentials.
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty()
    }

    /// Remembers what STS gave for this key to a request that was authorised at this instant, in milliseconds since 1970.
    pub fn remember(&mut self, key: &CredentialsKey, issued: &IssuedCredentials, authorised_at: i64) {
        let until = Clock::now() + issued.credentials.valid_for();
        self.refused.remove(key);
        self.granted.insert(key.clone(), Granted { issued: Some(issued.clone()), until, authorised_at });
    }

    /// Remembers why STS refused this key.
    pub fn remember_refusal(&mut self, key: &CredentialsKey, error: &Arc<CoreError>) {
        let number = self.refused.get(key).map_or(0, |refused| refused.number) + 1;
        let lasts = match number.checked_sub(FREE_REFUSALS + 1) {
            Some(further) => FIRST_REFUSED_FOR.saturating_mul(2_u32.saturating_pow(further)).min(LAST_REFUSED_FOR),
            None => Duration::ZERO,
        };
        self.refused.insert(key.clone(), Refused { error: error.clone(), until: Clock::now() + lasts, number });
    }

    /// Forgets what STS refused this role mapping, for all members.
    pub fn forget_refusals(&mut self, mapping_id: i64) {
        self.refused.retain(|key, _| key.mapping_id != mapping_id);
    }

    /// Forgets the credentials of a member in a project.
    pub fn forget_member(&mut self, member: &str, project_id: i64) {
        self.granted.retain_of(member, |key, _| key.project_id != project_id);
    }

    /// Forgets the credentials that the same member got in the same project with another project role.
    pub fn forget_other_project_roles(&mut self, key: &CredentialsKey) {
        self.granted.retain_of(&key.member, |other, _| {
            other.project_id != key.project_id || other.project_role == key.project_role
        });
    }

    /// Forgets the credentials of requests that were authorised by what has been taken away since.
    pub fn forget_withdrawn(&mut self, withdrawn: &Withdrawn) {
        self.granted.retain(|key, granted| {
            let prefix = key.key_prefix.as_deref();
            let last = withdrawn.last(key.project_id, &key.member, key.mapping_id, prefix);
            last.is_none_or(|last| last < granted.authorised_at)
        });
    }

    /// Drops credentials that nobody gets any more, so that they do not stay in memory, and what is out of date.
    pub fn sweep(&mut self) {
        let now = Clock::now();
        self.granted.retain(|key, old| {
            old.issued.take_if(|issued| {
                let left = old.until.saturating_duration_since(now);
                !Renews::Yes.accepts(left, key.duration, issued.credentials.valid_for())
            });
            now < old.until
        });
        self.refused.retain(|_, refused| now < refused.until + LAST_REFUSED_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_tenths_of_the_time_are_as_good_as_new_and_half_for_a_caller_that_renews() {
        let accepts = |renews: Renews, minutes: u64, requested: u32, given: u64| {
            let requested = SessionDuration::from_seconds(i64::from(requested) * 60).expect("legal");
            renews.accepts(Duration::from_secs(minutes * 60), requested, Duration::from_secs(given * 60))
        };
        assert!(accepts(Renews::Unknown, 54, 60, 60) && !accepts(Renews::Unknown, 53, 60, 60));
        assert!(accepts(Renews::Yes, 30, 60, 60) && !accepts(Renews::Yes, 29, 60, 60));
        // STS gives a chained role at most an hour, and somebody's STS may give more than was asked for.
        assert!(accepts(Renews::Unknown, 54, 120, 60) && !accepts(Renews::Unknown, 53, 120, 60));
        assert!(accepts(Renews::Unknown, 18, 20, 60) && !accepts(Renews::Unknown, 17, 20, 60));
    }
}
