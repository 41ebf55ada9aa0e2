//! The part of a list of role mappings that a request wants: `filter_by`, then `sort_by`, then `offset` and `limit`.

use hops_credentials_core::error::Error as CoreError;
use hops_credentials_core::text::quoted;

use crate::database::Database;
use crate::error::Error;
use crate::http::parameters::{Parameters, illegal};
use crate::mapping::Mapping;
use crate::mapping::list::{self, Condition, Direction, Filter, Key, Order};
use crate::mapping::wanted::{ProjectMappings, SHORT_LIST};

/// The part of a list that a request wants.
#[derive(Debug)]
pub struct Listing {
    filter: Filter,
    order: Order,
    offset: usize,
    limit: Option<usize>,
}

/// A page of a list of role mappings.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of mappings that passed the filters, before paging.
    pub count: usize,
    /// The ids of the mappings of this page.
    pub ids: Vec<i64>,
}

impl Listing {
    /// Reads `filter_by` (each one narrows the list), `sort_by` (separated by commas), `offset` and `limit` (absent: all).
    ///
    /// # Errors
    /// [`Error::IllegalParameter`] that names the parameter.
    pub fn from_parameters(parameters: &Parameters) -> Result<Self, Error> {
        let (mut filter, mut order) = (Filter::default(), Order::default());
        for text in parameters.all("filter_by") {
            filter.add(parse_condition(text)?);
        }
        for text in parameters.all("sort_by").flat_map(|value| value.split(',')) {
            let (key, direction) = parse_order(text)?;
            order.add(key, direction);
        }
        Ok(Self { filter, order, offset: parameters.one("offset")?.unwrap_or(0), limit: parameters.one("limit")? })
    }

    /// Picks the page out of the first mappings of a project, in the order of their ids; `None` when these are not all of them, or when
    /// the database has to filter or sort them.
    pub fn pick(&self, ProjectMappings { all, damaged }: &ProjectMappings) -> Option<(usize, Vec<Mapping>)> {
        let is_short = all.len() + damaged.len() <= SHORT_LIST;
        let is_plain = self.filter.is_empty() && self.order.is_empty() && is_short;
        let page = || all.iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).cloned().collect();
        is_plain.then(|| (all.len(), page()))
    }

    /// The same part of the list of a project.
    pub fn within_project(mut self, project_id: i64) -> Self {
        self.filter.add(Condition::ProjectId(project_id));
        self
    }

    /// Finds the page in the database.
    pub async fn find(&self, database: &Database) -> Result<Page, sqlx::Error> {
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let limit = self.limit.map_or(i64::MAX, number);
        let ids = list::find_ids(database, &self.filter, &self.order, number(self.offset), limit).await?;
        let count = if self.offset == 0 && self.limit.is_none() {
            ids.len()
        } else {
            usize::try_from(list::count(database, &self.filter).await?).expect("a count is not negative")
        };
        Ok(Page { count, ids })
    }
}

fn parse_condition(text: &str) -> Result<Condition, Error> {
    match text.split_once(':') {
        Some(("project_id", id)) => id
            .parse()
            .map(Condition::ProjectId)
            .map_err(|_| illegal("filter_by", &format_args!("{} in project_id:<id> is not a number", quoted(id)))),
        Some(("project_role", role)) => {
            role.parse().map(Condition::ProjectRole).map_err(|error: CoreError| illegal("filter_by", &error))
        }
        Some(("cloud_role", role)) => Ok(Condition::Role(role.to_owned())),
        Some(_) | None => Err(illegal(
            "filter_by",
            &format_args!("{} is not project_id:<id>, project_role:<name> or cloud_role:<ARN>", quoted(text)),
        )),
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
        &format_args!(
            "{} is not id, project_id, project_role or cloud_role, with or without :asc or :desc",
            quoted(text)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
