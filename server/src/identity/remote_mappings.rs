//! The role mappings of another server or of a cluster, for `import`: both have the same endpoint.

use std::collections::BTreeMap;

use hops_credentials_core::role::{ProjectRole, RoleArn};
use serde::Deserialize;

use crate::error::Error;
use crate::identity::cluster_client::{Asker, ClusterClient, not_hopsworks};

/// Role mappings in one request.
const PAGE_SIZE: usize = 500;

/// A role mapping of another server.
#[derive(Debug)]
pub struct RemoteMapping {
    /// The project's id there.
    pub project_id: i64,
    /// Its name.
    pub project_name: String,
    /// The project role whose members may assume the role.
    pub project_role: ProjectRole,
    /// The role.
    pub role: RoleArn,
    /// Whether it is the mapping used when no role is named.
    pub is_default: bool,
}

/// Fetches all role mappings, for an administrator of that server.
///
/// # Errors
/// [`Error::NotOfCluster`], [`Error::LoginNotAccepted`], [`Error::Cluster`], [`Error::InvalidArgument`] for an
/// illegal role.
pub async fn fetch(client: &ClusterClient, asker: Asker<'_>) -> Result<Vec<RemoteMapping>, Error> {
    let mut mappings = BTreeMap::new();
    loop {
        let before = mappings.len();
        let path = format!("admin/cloud/role-mappings?sort_by=id:asc&offset={before}&limit={PAGE_SIZE}");
        let page: MappingPage = client.get_json(&path, asker).await?;
        for row in page.items {
            if row.project_id < 1 {
                return Err(not_hopsworks().into());
            }
            let mapping = RemoteMapping {
                project_id: row.project_id,
                project_name: row.project_name,
                project_role: row.project_role.parse()?,
                role: row.cloud_role.parse()?,
                is_default: row.default_role,
            };
            mappings.insert(row.id, mapping);
        }
        if mappings.len() >= page.count || mappings.len() == before {
            return Ok(mappings.into_values().collect());
        }
    }
}

#[derive(Deserialize)]
struct MappingPage {
    count: usize,
    #[serde(default)]
    items: Vec<MappingRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MappingRow {
    id: i64,
    project_id: i64,
    project_name: String,
    project_role: String,
    cloud_role: String,
    default_role: bool,
}
