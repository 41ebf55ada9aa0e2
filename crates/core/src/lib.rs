//! Temporary AWS credentials for the roles mapped to a project.
//!
//! The core answers three questions: which roles may the caller assume, what are the credentials of one of them, and
//! when are they due to be fetched anew. It knows no JVM, no Python and no Spark; the bindings convert, call and convert
//! back.
//!
//! | module | noun |
//! |---|---|
//! | [`credentials`] | what STS hands out: access key id, secret access key, session token, expiration |
//! | [`role`] | role ARN, role mapping, project role |
//! | [`request`] | one AssumeRole request, its session name and duration |
//! | [`sts`] | AssumeRole, called with the base identity |
//! | [`base`] | the base identity: whose credentials call AssumeRole |
//! | [`settings`] | the one table of names, and which value counts |
//! | [`source`] | where role mappings and credentials come from |
//! | [`hopsworks`] | the client of the role-mapping contract |
//! | [`doctor`] | what keeps roles from being assumed |
//! | [`session`] | when credentials in use are fetched anew |
//! | [`network`] | proxies and trusted authorities |
//! | [`retry`] | trying again what may be tried again |
//! | [`block`] | one runtime per call, for the bindings |
//! | `endpoint` | a container-credentials endpoint on loopback |
//! | `variables` | what a process's environment must hold so that readers find credentials |
//! | `jvm` | what Java calls |
//! | `python` | what Python calls |
//! | `cli` | the command line |
//! | [`error`] | why there are none, and who can act on it |

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
