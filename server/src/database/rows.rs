//! Many rows in one statement.

/// The parameters of one statement. SQLite takes 32 766 and PostgreSQL 65 535, but SQLite looks each `$n` up in a list of all those before
/// it: with 14 000 of them, a statement takes a second.
const PARAMETERS_PER_STATEMENT: usize = 600;

/// Returns the number of rows of this many columns that one statement should have.
pub const fn rows_per_statement(columns: usize) -> usize {
    PARAMETERS_PER_STATEMENT / columns
}

/// Writes the placeholders of `rows` rows of `columns` values: `($1,$2),($3,$4)`.
pub fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let values: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", values.join(","))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_row_by_row() {
        assert_eq!(placeholders(1, 3), "($1,$2,$3)");
        assert_eq!(placeholders(2, 2), "($1,$2),($3,$4)");
    }
}
