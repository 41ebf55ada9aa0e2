//! The data that a cluster brings into the database: the ids and names of projects that roles are mapped to.

use crate::database::Database;
use crate::error::Error;
use crate::identity::cluster::Cluster;
use crate::identity::login::Login;
use crate::project::{self, Project};

impl Cluster {
    /// Brings a project of the cluster into the database by its id, so that roles can be mapped to it.
    ///
    /// # Errors
    /// [`Error::NoSuchProject`], [`Error::Unauthenticated`], [`Error::Cluster`], [`Error::Database`].
    pub async fn import_project(&self, database: &Database, login: &Login, id: i64) -> Result<(), Error> {
        if self.has_project(login, id).await? {
            project::remember_name(database, id, None).await
        } else {
            Err(Error::NoSuchProject(id.to_string()))
        }
    }

    /// Brings the name of a user's project into the database. Writes once for each name.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn import_name(&self, database: &Database, project: &Project) -> Result<(), Error> {
        let names = || self.imported_names.lock().expect("nobody panics while holding it");
        if names().get(&project.id) == Some(&project.name) {
            return Ok(());
        }
        project::remember_name(database, project.id, Some(&project.name)).await?;
        names().insert(project.id, project.name.clone());
        Ok(())
    }
}
