//! The command line: its options, and what each command does and prints.

pub mod commands;
mod import;
pub mod options;
pub mod remedy;
