//! HTTP: the socket, who calls, and what happens around each request.

pub mod address_limit;
pub mod auth;
mod connection;
pub mod deadline;
pub mod listen;
pub mod parameters;
pub mod probes;
pub mod request_log;
mod watched;
