//! Text as messages and protocols write it.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// `[\w+=,.@-]`, the alphabet of role names and session names.
pub(crate) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

/// The caller's own text inside a message: quoted, without control characters, and not endless.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() { format!("{shown:?}…") } else { format!("{shown:?}") }
}

/// Two lower-case hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The instant as AWS SDKs read it: RFC 3339, UTC, whole seconds.
pub fn rfc3339(instant: SystemTime) -> String {
    let seconds = DateTime::from(instant).secs();
    DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_else(|_| "an instant out of range".to_owned())
}
