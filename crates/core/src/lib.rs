//! Temporary AWS credentials for the roles mapped to a project.
//!
//! The core answers three questions: which roles may the caller assume, what are the credentials of one of them, and
//! when are they due to be fetched again. It knows no JVM, no Python, no Spark, no HTTP server and no command line; the
//! hosts convert, call and convert back.
//!
//! | module | noun |
//! |---|---|
//! | [`error`] | why no credentials came back, and who can act on it |
//! | [`role`] | role ARN, role mapping, project role |
//! | [`request`] | one AssumeRole request, its session name and duration |
//! | [`credentials`] | what STS issues: access key id, secret access key, session token, expiration |
//! | [`text`] | text as messages and protocols write it |
//! | [`settings`] | the one table of setting names, and which value counts |
//! | [`network`] | proxies, trusted authorities, HTTP clients |
//! | [`retry`] | the retries of a request |
//! | [`blocking`] | one runtime per call, for hosts whose callers wait |
//! | [`base_identity`] | whose credentials call AssumeRole, and where they are found |
//! | `aws_error` | an error of STS as ours, with its remedy |
//! | [`sts`] | AssumeRole, called with the base identity |
//! | [`hopsworks`] | the client of the role-mapping contract |
//! | [`direct`] | roles that a setting lists, without a role-mapping server |
//! | [`source`] | where role mappings and credentials come from: `hopsworks` or `direct` |
//! | [`renewal`] | when credentials are fetched again, and when a failed fetch is tried again |
//! | [`doctor`] | what keeps roles from being assumed |
//! | [`variables`] | the environment variables by which readers find credentials |

mod aws_error;
pub mod base_identity;
pub mod blocking;
pub mod credentials;
pub mod direct;
pub mod doctor;
pub mod error;
pub mod hopsworks;
pub mod network;
pub mod renewal;
pub mod request;
pub mod retry;
pub mod role;
pub mod settings;
pub mod source;
pub mod sts;
pub mod text;
pub mod variables;
