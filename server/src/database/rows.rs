//! Many rows in one statement.

/// The rows of one statement, of 16 columns at most: SQLite takes 32 766 parameters, PostgreSQL 65 535.
pub const ROWS_PER_STATEMENT: usize = 2000;

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
