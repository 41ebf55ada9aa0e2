//! Many rows in one statement.

/// The parameters of one statement. The databases take tens of thousands, but SQLite looks each `$n` up in a list of all of them, so that
/// many cost more than they save.
const PARAMETERS_PER_STATEMENT: usize = 140;

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
