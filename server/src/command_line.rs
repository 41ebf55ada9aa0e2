//! The command line: what may be written, and what each command does and prints.

pub mod commands;
mod import;
pub mod options;
