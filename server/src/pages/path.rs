//! The paths of pages that links and forms lead to.

pub const HOME: &str = "/";
pub const SIGN_IN: &str = "/sign-in";
pub const SIGN_OUT: &str = "/sign-out";
pub const MAPPINGS: &str = "/admin/role-mappings";
pub const BASE_IDENTITY: &str = "/admin/base-identity";
pub const PROJECTS: &str = "/admin/projects";
pub const USERS: &str = "/admin/users";
pub const AUDIT: &str = "/admin/audit";
