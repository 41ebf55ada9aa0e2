//! The names of a cluster's projects, which the database keeps for people: rights go by ids.
//!
//! A name is written when a role is mapped to the project, and when the cluster tells another one than the database has. That is an aid for
//! readers, so a database that cannot be written is not a reason to refuse a request.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use hops_credentials_core::role::ProjectRole;

use crate::error::{Error, with_sources};
use crate::identity::cluster::Cluster;
use crate::identity::cluster_client::Asker;
use crate::log;
use crate::project::{self, Project};
use crate::user::{Membership, User};

/// The longest time that a request gives to new names.
const LEARN_TIMEOUT: Duration = Duration::from_millis(500);

/// The pause after new names could not be written.
const PAUSE: Duration = Duration::from_secs(60);

/// The end of the pause, if the last names could not be written.
#[derive(Debug, Default)]
pub struct Pause(Mutex<Option<Instant>>);

impl Cluster {
    /// Brings a project of the cluster into the database by its id, so that roles can be mapped to it. The name is known if the user is a
    /// member of the project.
    ///
    /// # Errors
    /// [`Error::NoSuchProject`], [`Error::NotOfCluster`], [`Error::Cluster`], [`Error::Database`].
    pub async fn import_project(&self, asker: Asker<'_>, user: &User, id: i64) -> Result<(), Error> {
        if let Membership::FromCluster(projects) = &user.membership
            && let Some((project, _)) = projects.iter().find(|(project, _)| project.id == id)
        {
            project::remember(&self.database, project).await
        } else if self.has_project(asker, id).await? {
            project::remember_id(&self.database, id).await
        } else {
            Err(Error::NoSuchProject(id.to_string()))
        }
    }

    /// Writes the names that the database has otherwise, of projects that it has.
    pub(super) async fn learn_names(&self, projects: &[(Project, ProjectRole)]) {
        let pause = || self.names.0.lock().expect("nobody panics while holding it");
        if projects.is_empty() || pause().is_some_and(|end| Instant::now() < end) {
            return;
        }
        let learning = async {
            for renamed in project::find_renamed(&self.database, projects.iter().map(|(project, _)| project)).await? {
                project::remember(&self.database, &renamed).await?;
            }
            Ok::<(), Error>(())
        };
        let problem = match tokio::time::timeout(LEARN_TIMEOUT, learning).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => with_sources(&error),
            Err(_) => "it took too long".to_owned(),
        };
        *pause() = Some(Instant::now() + PAUSE);
        log::line(&format_args!("cannot write new names of projects, lists show the old ones: {problem}"));
    }
}
