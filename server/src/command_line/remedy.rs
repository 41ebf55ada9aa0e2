//! The command that helps after an error. Only the command line tells it: nobody else can run a command.

use crate::error::Error;

/// Returns what to type next, as the end of the sentence that the error begins; for most errors nothing.
pub fn remedy(error: &Error) -> String {
    if let Error::NoSuchProject(_) = error {
        "; add it with: role-mapping-server project add NAME".to_owned()
    } else if let Error::NoSuchUser(_) = error {
        "; add them with: role-mapping-server user add EMAIL".to_owned()
    } else if let Error::UserExists(email) = error {
        format!("; make a new key with: role-mapping-server user key {email}")
    } else if let Error::Damaged(row) = error {
        format!("; {}", row.remedy())
    } else {
        String::new()
    }
}
