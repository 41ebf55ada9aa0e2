//! A bounded map from credentials keys in which nobody takes the places of others by asking under ever new session names: whoever has
//! the most entries loses their oldest one to the next.

use std::collections::{BTreeSet, HashMap};

use hashlink::LinkedHashMap;

use crate::issuer::CredentialsKey;

/// The map. Each operation on one key takes about the same time at any size.
#[derive(Debug)]
pub struct FairMap<Value> {
    /// The most entries of all members together, and of one.
    limit: usize,
    limit_of_member: usize,
    /// The entries of each member who has some, in the order in which they were written.
    members: HashMap<String, LinkedHashMap<CredentialsKey, Value>>,
    /// The same members by the number of their entries.
    by_number: BTreeSet<(usize, String)>,
    len: usize,
}

impl<Value> FairMap<Value> {
    /// Makes an empty map for so many entries, and so many of one member.
    pub fn new(limit: usize, limit_of_member: usize) -> Self {
        Self { limit, limit_of_member, members: HashMap::new(), by_number: BTreeSet::new(), len: 0 }
    }

    /// The value of this key.
    pub fn get(&self, key: &CredentialsKey) -> Option<&Value> {
        self.members.get(&key.member)?.get(key)
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes a value, which is the newest one of its member. A member who has as many as one may have loses their oldest one; otherwise, if
    /// the map is full, the member who has the most loses theirs.
    pub fn insert(&mut self, key: CredentialsKey, value: Value) {
        self.remove(&key);
        if self.number_of(&key.member) >= self.limit_of_member {
            self.remove_oldest(&key.member);
        } else if self.len >= self.limit
            && let Some((_, member)) = self.by_number.last().cloned()
        {
            self.remove_oldest(&member);
        }
        self.change(&key.member.clone(), |entries| drop(entries.insert(key, value)));
    }

    /// Takes the value of this key away.
    pub fn remove(&mut self, key: &CredentialsKey) {
        if self.get(key).is_some() {
            self.change(&key.member, |entries| drop(entries.remove(key)));
        }
    }

    /// Keeps the entries for which `is_kept` holds; it may change values. It looks at each entry.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&CredentialsKey, &mut Value) -> bool) {
        let members: Vec<String> = self.members.keys().cloned().collect();
        for member in &members {
            self.retain_of(member, &mut is_kept);
        }
    }

    /// Does the same with the entries of this member.
    pub fn retain_of(&mut self, member: &str, mut is_kept: impl FnMut(&CredentialsKey, &mut Value) -> bool) {
        if self.members.contains_key(member) {
            self.change(member, |entries| entries.retain(|key, value| is_kept(key, value)));
        }
    }

    fn number_of(&self, member: &str) -> usize {
        self.members.get(member).map_or(0, LinkedHashMap::len)
    }

    fn remove_oldest(&mut self, member: &str) {
        self.change(member, |entries| drop(entries.pop_front()));
    }

    /// Changes the entries of this member, and then the numbers.
    fn change(&mut self, member: &str, change: impl FnOnce(&mut LinkedHashMap<CredentialsKey, Value>)) {
        let entries = self.members.entry(member.to_owned()).or_default();
        let before = entries.len();
        change(entries);
        let after = entries.len();
        if after == before {
            return;
        }
        self.by_number.remove(&(before, member.to_owned()));
        if after == 0 {
            self.members.remove(member);
        } else {
            self.by_number.insert((after, member.to_owned()));
        }
        self.len = self.len + after - before;
    }
}

#[cfg(test)]
mod tests {
    use hops_credentials_core::request::{Extras, SessionDuration};
    use hops_credentials_core::role::ProjectRole;

    use super::*;

    fn key(member: &str, number: usize) -> CredentialsKey {
        CredentialsKey {
            member: member.to_owned(),
            key_prefix: None,
            project_id: 1,
            project_role: ProjectRole::DataScientist,
            mapping_id: 1,
            role: "arn:aws:iam::123456789012:role/r".parse().expect("a role ARN"),
            session_name: format!("job{number}").parse().expect("a session name"),
            duration: SessionDuration::default(),
            extras: Extras::default(),
        }
    }

    /// Counts the entries of a member, and makes sure that all numbers are right.
    fn number_of<Value>(map: &FairMap<Value>, member: &str) -> usize {
        let numbers = map.members.iter().map(|(member, entries)| (entries.len(), member.clone()));
        assert_eq!(numbers.collect::<BTreeSet<_>>(), map.by_number);
        assert_eq!(map.by_number.iter().map(|(number, _)| number).sum::<usize>(), map.len);
        map.number_of(member)
    }

    #[test]
    fn whoever_comes_last_gets_a_place_and_those_with_the_most_lose_their_oldest() {
        let mut map = FairMap::new(10_000, 500);
        for member in 0..20 {
            (0..500).for_each(|number| map.insert(key(&format!("early{member}"), number), ()));
        }
        (0..100).for_each(|number| map.insert(key("late", number), ()));
        assert_eq!((number_of(&map, "late"), map.len), (100, 10_000));
        let left: Vec<usize> = (0..20).map(|member| map.number_of(&format!("early{member}"))).collect();
        assert_eq!(left, [495; 20], "each has lost the same");
        assert!(map.get(&key("early0", 4)).is_none() && map.get(&key("early0", 5)).is_some());
    }

    #[test]
    fn a_member_beyond_their_number_loses_the_entry_that_was_written_longest_ago() {
        let mut map = FairMap::new(10_000, 500);
        map.insert(key("ada", 0), 0);
        (0..500).for_each(|number| map.insert(key("eve", number), 0));
        map.insert(key("eve", 0), 1);
        // Fifty names in turn all have a place, whatever was there before.
        for turn in 0..3 {
            (1000..1050).for_each(|number| map.insert(key("eve", number), turn));
        }
        assert_eq!(number_of(&map, "eve"), 500);
        assert!((1000..1050).all(|number| map.get(&key("eve", number)) == Some(&2)));
        assert_eq!(map.get(&key("eve", 0)), Some(&1), "what is written again is the newest");
        assert!(map.get(&key("eve", 50)).is_none() && map.get(&key("eve", 51)).is_some());
        assert!(map.get(&key("ada", 0)).is_some(), "nobody loses entries to others while there are places");
    }

    #[test]
    fn what_is_taken_away_leaves_nothing() {
        let mut map = FairMap::new(10, 5);
        (0..5).for_each(|number| map.insert(key("ada", number), number));
        map.insert(key("eve", 0), 0);
        map.remove(&key("ada", 0));
        map.remove(&key("ada", 7));
        map.retain_of("ada", |_, number| *number != 1);
        map.retain_of("nobody", |_, _| false);
        assert_eq!((number_of(&map, "ada"), number_of(&map, "eve")), (3, 1));
        map.retain(|key, _| key.member == "eve");
        assert_eq!((number_of(&map, "ada"), map.members.len()), (0, 1));
        map.retain(|_, _| false);
        assert!(map.is_empty() && map.members.is_empty() && map.by_number.is_empty());
    }
}
