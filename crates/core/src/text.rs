//! Text as messages and protocols write it: quoted, in hexadecimal, as a date.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// Whether a character is in `[\w+=,.@-]`, the alphabet of role names and session names.
pub fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

/// Writes the caller's own text into a message: quoted, control characters escaped, at most 100 characters.
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() { format!("{shown:?}…") } else { format!("{shown:?}") }
}

/// Writes two lower-case hexadecimal digits for each byte. Allocates once: a busy server writes ids and hashes all the time.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Writes an instant as AWS SDKs read it: RFC 3339, UTC, whole seconds.
pub fn rfc3339(instant: SystemTime) -> String {
    let seconds = DateTime::from(instant).secs();
    DateTime::from_secs(seconds).fmt(Format::DateTime).unwrap_or_else(|_| "an instant out of range".to_owned())
}

/// Reads RFC 3339 in any time zone; `None` when `text` is not such a time.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    parse_date(text, Format::DateTimeWithOffset)
}

/// Reads the date of an HTTP header; `None` when `text` is not one.
pub(crate) fn parse_http_date(text: &str) -> Option<SystemTime> {
    parse_date(text, Format::HttpDate)
}

fn parse_date(text: &str, format: Format) -> Option<SystemTime> {
    DateTime::from_str(text, format).ok()?.try_into().ok()
}
