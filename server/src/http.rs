//! HTTP: the socket, who calls, and what happens around each request.

pub mod auth;
pub mod deadline;
pub mod listen;
pub mod parameters;
pub mod probes;
pub mod request_log;
