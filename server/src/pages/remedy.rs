//! The page that helps after an error; the REST interface has none, and the command line its own remedies.

use super::error::sentence;
use crate::error::Error;

/// Says what is wrong, and for some errors on which page to go on, as a sentence.
pub fn problem(error: &Error) -> String {
    let remedy = if let Error::NoSuchProject(_) = error {
        "; add it under Projects first"
    } else if let Error::NoSuchUser(_) = error {
        "; add them under Users first"
    } else if let Error::UserExists(_) = error {
        "; you can create a new key for them above"
    } else {
        ""
    };
    sentence(&format!("{error}{remedy}"))
}
