//! Tests of the built server and its command line: over HTTP on loopback, on SQLite and on PostgreSQL.

mod abuse;
mod admin;
mod apply;
mod at_once;
mod audit_search;
mod bounds;
mod browser;
mod cluster;
mod command_line;
mod delegated;
mod fairness;
mod identity;
mod log;
mod mapping_file;
mod member;
mod pages;
mod postgres;
mod probes;
mod secrets;
mod serve;
mod session_token;
mod size;
mod sts;
mod terms;
mod trouble;
mod world;
