//! The role mappings of another server or of a cluster, for `import`: both have the same endpoint.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;
use crate::http::parameters::illegal;
use crate::identity::cluster_client::{Asker, ClusterClient, not_hopsworks};
use crate::mapping::terms::Terms;

/// Role mappings in one request.
const PAGE_SIZE: usize = 500;

/// A role mapping of another server.
#[derive(Debug)]
pub struct RemoteMapping {
    /// The project's id there.
    pub project_id: i64,
    /// Its name.
    pub project_name: String,
    /// What it says.
    pub terms: Terms,
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
                terms: Terms {
                    project_role: row.project_role.parse()?,
                    role: row.cloud_role.parse()?,
                    is_default: row.default_role,
                    external_id: match row.external_id {
                        Some(id) => Some(id.parse().map_err(|problem: &str| illegal("externalId", &problem))?),
                        None => None,
                    },
                    source_identity: row.source_identity,
                },
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
    /// A server of ours writes this if it is set, a cluster does not know it.
    external_id: Option<String>,
    #[serde(default)]
    source_identity: bool,
}
