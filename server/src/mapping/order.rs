//! The order of a list of role mappings, for the REST interface and for the table of the pages.
//!
//! The order does not depend on the collation of a database: it compares texts byte by byte.

use std::cmp::Ordering;

use crate::mapping::Mapping;

/// A value to sort by.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// The id of the mapping.
    Id,
    /// The id of the project.
    ProjectId,
    /// The name of the project.
    ProjectName,
    /// The name of the project role.
    ProjectRole,
    /// The ARN of the role.
    Role,
}

/// A direction to sort in.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    /// The smallest value first.
    Ascending,
    /// The largest value first.
    Descending,
}

/// Sorts by each key in turn. Mappings that are equal in all keys stay in their order.
pub fn sort(mappings: &mut [Mapping], keys: &[(Key, Direction)]) {
    mappings.sort_by(|left, right| {
        keys.iter().fold(Ordering::Equal, |order, (key, direction)| {
            order.then_with(|| match direction {
                Direction::Ascending => compare(*key, left, right),
                Direction::Descending => compare(*key, right, left),
            })
        })
    });
}

fn compare(key: Key, left: &Mapping, right: &Mapping) -> Ordering {
    match key {
        Key::Id => left.id.cmp(&right.id),
        Key::ProjectId => left.project.id.cmp(&right.project.id),
        Key::ProjectName => left.project.name.cmp(&right.project.name),
        Key::ProjectRole => left.project_role.query_name().cmp(right.project_role.query_name()),
        Key::Role => left.role.as_str().cmp(right.role.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;
    use hops_credentials_core::role::ProjectRole::{All, DataOwner, DataScientist};

    #[test]
    fn each_key_decides_only_where_the_keys_before_it_are_equal() {
        let mut mappings: Vec<Mapping> =
            [(1, 120, "churn", DataScientist, "b"), (2, 119, "fraud", All, "c"), (3, 120, "churn", DataOwner, "a")]
                .into_iter()
                .map(|(id, project_id, name, project_role, role)| Mapping {
                    id,
                    project: Project { id: project_id, name: name.to_owned() },
                    project_role,
                    role: format!("arn:aws:iam::123456789012:role/{role}").parse().expect("a role ARN"),
                    is_default: false,
                    external_id: None,
                    source_identity: false,
                })
                .collect();
        let mut sorted = |keys: &[(Key, Direction)]| -> Vec<i64> {
            sort(&mut mappings, keys);
            mappings.iter().map(|mapping| mapping.id).collect()
        };
        use Direction::{Ascending, Descending};
        assert_eq!(sorted(&[(Key::Id, Descending)]), [3, 2, 1]);
        assert_eq!(sorted(&[(Key::ProjectId, Ascending)]), [2, 3, 1]);
        assert_eq!(sorted(&[(Key::ProjectName, Descending), (Key::Id, Descending)]), [2, 3, 1]);
        assert_eq!(sorted(&[(Key::ProjectName, Ascending), (Key::Id, Ascending)]), [1, 3, 2]);
        assert_eq!(sorted(&[(Key::ProjectRole, Ascending)]), [2, 3, 1]);
        assert_eq!(sorted(&[(Key::Role, Ascending)]), [3, 1, 2]);
    }
}
