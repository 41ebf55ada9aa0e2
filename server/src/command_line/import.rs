//! `import`: takes over the role mappings of another server, or of a Hopsworks cluster that has the same endpoints.

use std::collections::HashMap;

use hops_credentials_core::settings::{API_KEY, Settings};

use crate::audit::Actor;
use crate::command_line::options::{HopsworksUrl, Import};
use crate::database::Database;
use crate::error::Error;
use crate::identity;
use crate::identity::cluster_client::{Asker, ClusterClient};
use crate::identity::login::Login;
use crate::identity::remote_mappings::{self, RemoteMapping};
use crate::mapping::apply::{self, Others, UnknownProject, Wanted};
use crate::mapping::entry::Entry;
use crate::mapping::file::Difference;
use crate::project::ProjectName;

/// Imports the role mappings, or with `--dry-run` returns what that would change.
///
/// # Errors
/// [`Error::InvalidArgument`], [`Error::Cluster`], [`Error::Database`]; then nothing has changed.
pub async fn run(database: &Database, actor: &Actor, options: &Import) -> Result<Vec<Difference>, Error> {
    let settings = Settings::from_environment();
    let Some(key) = settings.get(&API_KEY) else {
        return Err(Error::InvalidArgument(
            "the variable API_KEY is not set; set it to the API key of an administrator of that server".to_owned(),
        ));
    };
    let HopsworksUrl(url) = &options.from;
    let cluster = identity::find_cluster(database).await?;
    if let Some(cluster) = cluster.as_deref().filter(|cluster| *cluster != url.as_str()) {
        return Err(Error::InvalidArgument(format!(
            "this database serves the Hopsworks cluster {cluster}; a project is known by its id there, and {url} may give that id to \
             another project, so import from the cluster itself"
        )));
    }
    let login = Login::with_api_key(key)
        .ok_or_else(|| Error::InvalidArgument("the text in API_KEY is not a key".to_owned()))?;
    let asker = Asker { login: &login, address: None };
    let remote_mappings =
        remote_mappings::fetch(&ClusterClient::new(url, &settings)?, asker).await.map_err(|error| match error {
            Error::NotOfCluster => Error::InvalidArgument("that server does not know the key in API_KEY".to_owned()),
            Error::LoginNotAccepted => Error::InvalidArgument(
                "the key in API_KEY is not an administrator's, or lacks the scope ADMIN".to_owned(),
            ),
            other => other,
        })?;
    let mut names = HashMap::new();
    let mut entries = Vec::with_capacity(remote_mappings.len());
    for RemoteMapping { project_id, project_name, terms } in remote_mappings {
        // A database of a cluster has the ids of that cluster, which was asked. Otherwise the ids are another server's: names count.
        let project = if cluster.is_some() {
            names.insert(project_id, project_name);
            project_id.to_string()
        } else {
            let refused =
                |problem| Error::InvalidArgument(format!("the project {project_name:?} of that server: {problem}"));
            project_name.parse::<ProjectName>().map_err(refused)?.to_string()
        };
        entries.push(Entry { project, terms });
    }
    let unknown_project = if cluster.is_some() { UnknownProject::TakeOver(names) } else { UnknownProject::Add };
    let wanted = Wanted { entries, others: Others::Keep, unknown_project };
    if options.dry_run { apply::preview(database, &wanted).await } else { apply::apply(database, actor, &wanted).await }
}
