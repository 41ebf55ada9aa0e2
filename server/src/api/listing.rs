//! The part of a list of role mappings that a request wants: `filter_by`, then `sort_by`, then `offset` and `limit`.
//!
//! A project has a handful of mappings and a cluster some thousands, so they are filtered and sorted here and not in SQL.

use std::str::FromStr;

use hops_credentials_core::role::ProjectRole;

use crate::error::Error;
use crate::http::parameters::{Parameters, illegal};
use crate::mapping::Mapping;
use crate::mapping::order::{self, Direction, Key};

/// The part of a list that a request wants.
#[derive(Debug)]
pub struct Listing {
    filters: Vec<Filter>,
    order: Vec<(Key, Direction)>,
    offset: usize,
    limit: Option<usize>,
}

/// A page of a list of role mappings.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of mappings that passed the filters, before paging.
    pub count: usize,
    /// The mappings of this page.
    pub mappings: Vec<Mapping>,
}

#[derive(Debug)]
enum Filter {
    ProjectId(i64),
    ProjectRole(ProjectRole),
    CloudRole(String),
}

impl Listing {
    /// Reads `filter_by` (each one narrows the list), `sort_by` (separated by commas), `offset` and `limit` (absent: all).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the parameter.
    pub fn from_parameters(parameters: &Parameters) -> Result<Self, Error> {
        Ok(Self {
            filters: parameters.all("filter_by").map(str::parse).collect::<Result<_, _>>()?,
            order: parameters
                .all("sort_by")
                .flat_map(|value| value.split(','))
                .map(parse_order)
                .collect::<Result<_, _>>()?,
            offset: parameters.one("offset")?.unwrap_or(0),
            limit: parameters.one("limit")?,
        })
    }

    /// Picks the page out of all mappings, which are in the order of their ids.
    pub fn page(&self, mut mappings: Vec<Mapping>) -> Page {
        mappings.retain(|mapping| self.filters.iter().all(|filter| filter.passes(mapping)));
        order::sort(&mut mappings, &self.order);
        let count = mappings.len();
        let mappings = mappings.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect();
        Page { count, mappings }
    }
}

impl Filter {
    fn passes(&self, mapping: &Mapping) -> bool {
        match self {
            Filter::ProjectId(id) => mapping.project.id == *id,
            Filter::ProjectRole(project_role) => mapping.project_role == *project_role,
            Filter::CloudRole(role) => mapping.role.as_str() == role,
        }
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("project_id", id)) => id
                .parse()
                .map(Filter::ProjectId)
                .map_err(|_| illegal("filter_by", &format_args!("{id:?} in project_id:{id} is not a number"))),
            Some(("project_role", role)) => role
                .parse()
                .map(Filter::ProjectRole)
                .map_err(|error: hops_credentials_core::error::Error| illegal("filter_by", &error)),
            Some(("cloud_role", role)) => Ok(Filter::CloudRole(role.to_owned())),
            Some(_) | None => Err(illegal(
                "filter_by",
                &format_args!("{text:?} is not project_id:<id>, project_role:<name> or cloud_role:<ARN>"),
            )),
        }
    }
}

fn parse_order(text: &str) -> Result<(Key, Direction), Error> {
    let (field, direction) = text.split_once(':').unwrap_or((text, "asc"));
    let key = match field {
        "id" => Key::Id,
        "project_id" => Key::ProjectId,
        "project_role" => Key::ProjectRole,
        "cloud_role" => Key::Role,
        _ => return Err(not_an_order(text)),
    };
    match direction {
        "asc" => Ok((key, Direction::Ascending)),
        "desc" => Ok((key, Direction::Descending)),
        _ => Err(not_an_order(text)),
    }
}

fn not_an_order(text: &str) -> Error {
    illegal(
        "sort_by",
        &format_args!("{text:?} is not id, project_id, project_role or cloud_role, with or without :asc or :desc"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    fn mappings() -> Vec<Mapping> {
        [
            (1, 120, ProjectRole::DataOwner, "b"),
            (2, 119, ProjectRole::DataScientist, "c"),
            (3, 119, ProjectRole::All, "a"),
            (4, 119, ProjectRole::DataScientist, "d"),
        ]
        .into_iter()
        .map(|(id, project_id, project_role, name)| Mapping {
            id,
            project: Project { id: project_id, name: "churn".to_owned() },
            project_role,
            role: format!("arn:aws:iam::123456789012:role/{name}").parse().expect("a role ARN"),
            is_default: false,
            external_id: None,
            source_identity: false,
        })
        .collect()
    }

    fn check(query: &str, count: usize, ids: &[i64]) {
        let page = Listing::from_parameters(&Parameters::from_query(query)).expect("legal").page(mappings());
        let found: Vec<i64> = page.mappings.iter().map(|mapping| mapping.id).collect();
        assert_eq!((page.count, found.as_slice()), (count, ids), "{query}");
    }

    #[test]
    fn each_filter_narrows_the_list() {
        check("", 4, &[1, 2, 3, 4]);
        check("filter_by=project_id:119", 3, &[2, 3, 4]);
        check("filter_by=project_id:119&filter_by=project_role:DATA_SCIENTIST", 2, &[2, 4]);
        check("filter_by=project_role:Data%20scientist", 2, &[2, 4]);
        check("filter_by=cloud_role:arn:aws:iam::123456789012:role/c", 1, &[2]);
        check("filter_by=cloud_role:arn:aws:iam::123456789012:role/x", 0, &[]);
    }

    #[test]
    fn sorting_uses_each_field_in_turn() {
        check("sort_by=cloud_role:asc", 4, &[3, 1, 2, 4]);
        check("sort_by=id:desc", 4, &[4, 3, 2, 1]);
        check("sort_by=project_id:asc,id:desc", 4, &[4, 3, 2, 1]);
        check("sort_by=project_role,cloud_role:desc", 4, &[3, 1, 4, 2]);
    }

    #[test]
    fn the_count_ignores_paging_and_a_limit_of_zero_gives_no_items() {
        check("offset=1&limit=2", 4, &[2, 3]);
        check("limit=0", 4, &[]);
        check("offset=9", 4, &[]);
        check("limit=9", 4, &[1, 2, 3, 4]);
    }

    #[test]
    fn an_unknown_field_or_an_illegal_number_is_refused() {
        for query in [
            "filter_by=colour:red",
            "filter_by=project_id",
            "filter_by=project_id:x",
            "filter_by=project_role:boss",
            "sort_by=colour",
            "sort_by=id:up",
            "limit=-1",
            "limit=x",
            "offset=-1",
            "offset=1.5",
        ] {
            assert_eq!(
                Listing::from_parameters(&Parameters::from_query(query)).expect_err(query).code(),
                120_001,
                "{query}"
            );
        }
    }
}
