//! `import`: takes over the role mappings of another server, or of a Hopsworks cluster that has the same endpoints.

use hops_credentials_core::settings::{API_KEY, Settings};

use crate::audit::Actor;
use crate::command_line::options::{HopsworksUrl, Import};
use crate::database::Database;
use crate::error::Error;
use crate::identity;
use crate::identity::cluster_client::{Asker, ClusterClient};
use crate::identity::login::Login;
use crate::identity::remote_mappings::{self, RemoteMapping};
use crate::mapping::change::Others;
use crate::mapping::entry::Entry;
use crate::mapping::file::{self, Difference};
use crate::project::{self, Project, ProjectName};

/// Imports the role mappings, or with `--dry-run` returns what that would change.
///
/// # Errors
/// [`Error::InvalidArgument`], [`Error::Cluster`], [`Error::Database`].
pub async fn run(database: &Database, actor: &Actor, options: &Import) -> Result<Vec<Difference>, Error> {
    let settings = Settings::from_environment();
    let Some(key) = settings.get(&API_KEY) else {
        return Err(Error::InvalidArgument(
            "the variable API_KEY is not set; set it to the API key of an administrator of that server".to_owned(),
        ));
    };
    let HopsworksUrl(url) = &options.from;
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
    let is_of_cluster = identity::find_cluster(database).await?.is_some();
    // A database of a cluster has the ids of that cluster. Otherwise the ids are another server's, so only names count.
    let entry = |remote: &RemoteMapping| Entry {
        project: if is_of_cluster { remote.project_id.to_string() } else { remote.project_name.clone() },
        project_role: remote.project_role,
        role: remote.role.clone(),
        is_default: remote.is_default,
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for remote in &remote_mappings {
        let entry = entry(remote);
        let found = if is_of_cluster {
            project::find_by_id(database.pool(), remote.project_id).await
        } else {
            project::find_by_name(database.pool(), &remote.project_name).await
        };
        match found {
            Ok(_) => known.push(entry),
            Err(Error::NoSuchProject(_)) => unknown.push((remote, entry)),
            Err(error) => return Err(error),
        }
    }
    if options.dry_run {
        let mut differences = file::preview(database, actor, &known, Others::Keep).await?;
        differences.extend(unknown.into_iter().map(|(_, entry)| Difference::Added(entry)));
        return Ok(differences);
    }
    for (remote, entry) in unknown {
        if is_of_cluster {
            project::remember(database, &Project::of_cluster(remote.project_id, Some(&remote.project_name))).await?
        } else {
            let name: ProjectName = remote.project_name.parse().map_err(|problem: &str| {
                Error::InvalidArgument(format!("the project {:?} of that server: {problem}", remote.project_name))
            })?;
            match project::add(database, &actor.for_another_row(), &name).await {
                Ok(_) | Err(Error::ProjectExists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        known.push(entry);
    }
    file::apply(database, actor, &known, Others::Keep).await
}
