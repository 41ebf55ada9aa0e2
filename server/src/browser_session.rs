//! Sessions of the users who are signed in to the pages: behind a cookie, in the database, so that every server on it knows them.
//!
//! A session starts with an API key. It ends when the user signs out, when the key is replaced, after half an hour without a
//! request, and after twelve hours in any case. It never authenticates the REST interface, which takes nothing but the header
//! `Authorization`.

pub mod cookie;
mod sealed_login;
pub mod session;
mod session_id;
