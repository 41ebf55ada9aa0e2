//! What changes took away: memberships, role mappings and API keys, by their rows in the audit, whichever process made the change.

use std::collections::HashMap;

use serde_json::Value;

use crate::database::Database;

/// What changes took away, each with the last instant in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Withdrawn {
    /// The memberships that ended or got another project role, by project and e-mail address.
    members: HashMap<i64, HashMap<String, i64>>,
    /// The role mappings that were changed or removed.
    mappings: HashMap<i64, i64>,
    /// The prefixes of the API keys that were replaced.
    key_prefixes: HashMap<String, i64>,
}

impl Withdrawn {
    /// Loads what changes have taken away since this instant, in milliseconds since 1970. There is an index for it: changes are few
    /// among the rows of the audit.
    pub async fn load_since(database: &Database, since: i64) -> Result<Self, sqlx::Error> {
        let rows: Vec<(i64, Option<i64>, String)> = sqlx::query_as(
            "select at, project_id, state_before from audit where outcome = 'changed' and at >= $1 \
             and state_before is not null and (state_after is null or state_after <> state_before) order by at",
        )
        .bind(since)
        .fetch_all(database.pool())
        .await?;
        let mut withdrawn = Self::default();
        for (at, project_id, state) in rows {
            // Somebody may have edited the row: then it takes nothing away.
            let Ok(state) = serde_json::from_str(&state) else { continue };
            withdrawn.add(at, project_id, &state);
        }
        Ok(withdrawn)
    }

    fn add(&mut self, at: i64, project_id: Option<i64>, state: &Value) {
        match (state, project_id) {
            // The state of a change of role mappings lists those that it changed or removed.
            (Value::Array(mappings), _) => {
                let ids = mappings.iter().filter_map(|mapping| mapping["id"].as_i64());
                self.mappings.extend(ids.map(|id| (id, at)));
            }
            (state, Some(project_id)) => {
                if let Some(email) = state["email"].as_str() {
                    self.members.entry(project_id).or_default().insert(email.to_owned(), at);
                }
            }
            (state, None) => {
                if let Some(prefix) = state["keyPrefix"].as_str() {
                    self.key_prefixes.insert(prefix.to_owned(), at);
                }
            }
        }
    }

    /// Whether nothing was taken away.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.mappings.is_empty() && self.key_prefixes.is_empty()
    }

    /// The last instant at which a membership, a role mapping or an API key among these was taken away.
    pub fn last(&self, project_id: i64, email: &str, mapping_id: i64, key_prefix: Option<&str>) -> Option<i64> {
        let member = self.members.get(&project_id).and_then(|members| members.get(email));
        let key = key_prefix.and_then(|prefix| self.key_prefixes.get(prefix));
        [member, self.mappings.get(&mapping_id), key].into_iter().flatten().max().copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_takes_away_what_its_row_says_and_nothing_else() {
        let mut withdrawn = Withdrawn::default();
        withdrawn.add(1, Some(7), &json!({"email": "ada@example.org", "projectRole": "Data owner"}));
        withdrawn.add(2, Some(7), &json!([{"id": 3}, {"id": 4}, {"no": "id"}]));
        withdrawn.add(3, None, &json!({"email": "eve@example.org", "keyPrefix": "abc"}));
        withdrawn.add(4, None, &json!("damaged"));
        let last = |project_id, email: &str, mapping_id, prefix| withdrawn.last(project_id, email, mapping_id, prefix);
        assert_eq!(last(7, "ada@example.org", 9, None), Some(1));
        assert_eq!(last(8, "ada@example.org", 9, None), None);
        assert_eq!(last(7, "eve@example.org", 9, Some("abd")), None);
        assert_eq!(last(7, "ada@example.org", 4, None), Some(2));
        assert_eq!(last(7, "ada@example.org", 4, Some("abc")), Some(3));
    }
}
