//! The queries of a search: each reads along an index, and no more rows than its limit says.

use super::{NEWEST, Search};
use crate::audit::record::COLUMNS;

/// The range of a search. `$1` and `$2` are its first place, `$3` and `$4` the place behind it.
const RANGE: &str = "(at, id) >= ($1, $2) and (at, id) < ($3, $4)";

const NEWEST_FIRST: &str = "order by at desc, id desc";

/// The oldest of [`NEWEST`] rows.
const HORIZON: &str = "limit 1 offset $5";

impl Search {
    /// Writes the query of all wanted rows.
    pub(super) fn list_sql(&self) -> String {
        let rows = self.rows_sql();
        format!("select {COLUMNS} from audit where {rows} limit $5")
    }

    /// Writes the query of the oldest of the newest rows.
    pub(super) fn horizon_sql(&self) -> String {
        let rows = self.rows_sql();
        format!("select at, id from audit where {rows} {HORIZON}")
    }

    /// The rows of the range, those of an outcome if one is wanted, and their order.
    fn rows_sql(&self) -> String {
        if self.outcome.is_some() { rows_of_index("outcome", "$6") } else { format!("{RANGE} {NEWEST_FIRST}") }
    }

    /// Writes the query of the rows that contain a text, `$6`.
    pub(super) fn part_sql(&self) -> String {
        let contains = [
            "lower(actor)",
            "lower(project_name)",
            "lower(role_arn)",
            "lower(session_name)",
            "lower(access_key_id)",
            "lower(sts_request_id)",
            "id",
            "lower(key_prefix)",
            "lower(source_identity)",
            "client_address",
        ];
        let contains = contains.map(|column| format!("{column} like $6 escape '!'")).join(" or ");
        match self.outcome {
            Some(_) => step_sql(&rows_of_index("outcome", "$7"), &contains),
            None => {
                format!("select {COLUMNS} from audit where {RANGE} and ({contains}) {NEWEST_FIRST} limit $5")
            }
        }
    }

    /// Writes the query of the rows whose column has a value, `$6`.
    pub(super) fn exact_sql(&self, column: &str) -> String {
        let rows = rows_of_index(column, "$6");
        match self.outcome {
            Some(_) => step_sql(&rows, "outcome = $7"),
            None => format!("select {COLUMNS} from audit where {rows} limit $5"),
        }
    }
}

/// The rows of the range whose column has a value, and their order: that of the index of the column.
///
/// With `column = value` PostgreSQL would leave the column out of the order and may take the index of the times, which then has the same
/// order: it would read all rows when the wanted ones are old.
fn rows_of_index(column: &str, value: &str) -> String {
    match column {
        "id" => format!("id = {value} and {RANGE} {NEWEST_FIRST}"),
        _ => format!(
            "{column} is not null and ({column}, at) >= ({value}, $1) and ({column}, at) <= ({value}, $3) and {RANGE} \
             order by {column} desc, at desc, id desc"
        ),
    }
}

/// Finds the rows of a step that pass the filter. The step has a limit, though it has no more rows than that: without it the database would
/// filter first, and read rows outside of the step.
fn step_sql(rows: &str, filter: &str) -> String {
    format!(
        "select {COLUMNS} from (select {COLUMNS} from audit where {rows} limit {NEWEST}) as step where ({filter}) \
         {NEWEST_FIRST} limit $5"
    )
}

/// Writes the query of the oldest of the newest rows whose column has a value, `$6`, whatever their outcome.
pub(super) fn exact_horizon(column: &str) -> String {
    let rows = rows_of_index(column, "$6");
    format!("select at, id from audit where {rows} {HORIZON}")
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::audit::record::Position;
    use crate::database::address::Address;
    use crate::database::{Database, Settings};

    fn search(outcome: Option<&'static str>) -> Search {
        let before = Position { at: i64::MAX, id: String::new() };
        Search { text: String::new(), is_exact: false, outcome, from: 0, before }
    }

    /// Each kind of query, with a part of its plan on SQLite.
    fn queries() -> Vec<(String, &'static str)> {
        let (all, some) = (search(None), search(Some("refused")));
        let exact = [
            ("id", "sqlite_autoindex_audit_1 (id=?)"),
            ("access_key_id", "audit_by_access_key_id ((access_key_id,at)>(?,?) AND (access_key_id,at)<(?,?))"),
            ("actor", "audit_by_actor ((actor,at)>(?,?) AND (actor,at)<(?,?))"),
            ("role_arn", "audit_by_role ((role_arn,at)>(?,?) AND (role_arn,at)<(?,?))"),
            ("project_id", "audit_by_project ((project_id,at)>(?,?) AND (project_id,at)<(?,?))"),
        ];
        let exact = exact.iter().flat_map(|(column, index)| {
            let texts = [all.exact_sql(column), some.exact_sql(column), exact_horizon(column)];
            texts.map(|sql| (sql, *index))
        });
        let lists = [
            (all.list_sql(), "audit_by_time ((at,id)"),
            (all.horizon_sql(), "audit_by_time ((at,id)"),
            (all.part_sql(), "audit_by_time ((at,id)"),
            (some.list_sql(), "audit_by_outcome ((outcome,at)>(?,?) AND (outcome,at)<(?,?))"),
            (some.horizon_sql(), "audit_by_outcome ((outcome,at)>(?,?) AND (outcome,at)<(?,?))"),
            (some.part_sql(), "audit_by_outcome ((outcome,at)>(?,?) AND (outcome,at)<(?,?))"),
        ];
        exact.chain(lists).collect()
    }

    #[test]
    fn an_index_finds_what_a_search_reads() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let file = std::env::temp_dir().join(format!("audit-search-{}.db", std::process::id()));
        runtime.block_on(async {
            let database =
                Database::open(&Address::Sqlite(file.clone()), Settings::default()).await.expect("a database");
            for (sql, index) in queries() {
                let plan: Vec<(i64, i64, i64, String)> =
                    sqlx::query_as(AssertSqlSafe(format!("explain query plan {sql}")))
                        .fetch_all(database.pool())
                        .await
                        .expect("a plan");
                let steps: Vec<&str> = plan.iter().map(|(_, _, _, step)| step.as_str()).collect();
                let search = steps.iter().find(|step| !step.starts_with("CO-ROUTINE")).expect("a step");
                assert!(search.starts_with("SEARCH audit USING") && search.contains(index), "{sql}: {steps:?}");
                // The rows that pass the filter of a step are put in order once more.
                let is_sorted = steps.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
                assert!(!is_sorted || sql.contains(" as step "), "{sql}: {steps:?}");
            }
            database.close().await;
        });
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    }
}
