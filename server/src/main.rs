//! The role-mapping server.
fn main() {}
