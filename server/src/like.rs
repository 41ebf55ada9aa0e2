//! Patterns of `like ... escape '!'`, for columns in lower case: texts that contain another one literally, in any case.

/// The longest text that a search takes: nothing that a search looks at is longer than a role ARN.
const MAX_CHARACTERS: usize = 2048;

/// Makes the pattern of the texts that contain this one. For a text that no column can contain it is the empty pattern, which matches
/// nothing: PostgreSQL refuses NUL in a text, and SQLite a long pattern.
pub fn contains(text: &str) -> String {
    if text.contains('\0') || text.chars().count() > MAX_CHARACTERS {
        return String::new();
    }
    let mut pattern = String::from("%");
    for character in text.to_lowercase().chars() {
        if "!%_".contains(character) {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_searched_literally() {
        assert_eq!(contains(""), "%%");
        assert_eq!(contains("ASIA_1%!"), "%asia!_1!%!!%");
    }

    #[test]
    fn a_text_that_no_column_can_contain_matches_nothing() {
        assert_eq!(contains("a\0"), "");
        assert_eq!(contains(&"_".repeat(2049)), "");
        assert_eq!(contains(&"_".repeat(2048)).len(), 2 * 2048 + 2);
    }
}
