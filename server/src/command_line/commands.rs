//! The commands: each does its work and prints the result.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::middleware;
use hops_credentials_core::base_identity::{BaseIdentity, Environment};
use hops_credentials_core::settings::Settings;
use hops_credentials_core::sts::Sts;
use tokio::sync::Semaphore;

use crate::api_key::ApiKey;
use crate::app::App;
use crate::audit::Actor;
use crate::audit::recorder::Recorder;
use crate::browser_session::cookie::Cookie;
use crate::browser_session::session;
use crate::command_line::import;
use crate::command_line::options::{
    Command, HopsworksUrl, MappingCommand, MemberCommand, ProjectCommand, Serve, UserCommand,
};
use crate::database::address::Address;
use crate::database::{Database, health};
use crate::error::{Error, with_sources};
use crate::http::address_limit::AddressLimit;
use crate::http::listen::{self, Listener};
use crate::http::{probes, request_log};
use crate::identity::cluster::Cluster;
use crate::identity::cluster_client::ClusterClient;
use crate::identity::{self, Identity};
use crate::issuer::Issuer;
use crate::mapping::apply::{self, Others, UnknownProject, Wanted};
use crate::mapping::change;
use crate::mapping::file::{self, Difference};
use crate::mapping::terms::{ExternalId, Terms};
use crate::mapping::{self, Mapping};
use crate::metrics::Metrics;
use crate::project::{Project, ProjectRef};
use crate::wrong_keys::WrongKeys;
use crate::{api, log, member, pages, project, user};

/// The longest wait for STS to say who the base identity is.
const STS_TIMEOUT: Duration = Duration::from_secs(7);

/// The time between two looks for what has ended: credentials that nobody gets any more, sessions of browsers, answers of a cluster.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// The most requests under way, each of some KiB. One address may have half of them: thousands of jobs may share one.
const MAX_REQUESTS: usize = 10_000;
/// The most of them that may change something: those before one in the line to write are done before its deadline. One address may have
/// a quarter.
const MAX_CHANGES: usize = 1024;

/// The longest wait for the audit and the database when the command ends. With the time for requests to end, and that of the log, it is
/// no more than five seconds.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the database, creating or migrating it, and runs the command.
///
/// # Errors
/// [`Error`]; then nothing has changed, except with [`Error::NotPrinted`].
pub async fn run(command: Command, address: &Address) -> Result<(), Error> {
    let database = Database::open(address, command.database_settings()).await?;
    let actor = Actor::command_line();
    let mut recorder = None;
    let outcome = match command {
        Command::Serve(options) => serve(&database, address, &options).await.map(|used| recorder = Some(used)),
        Command::User(_) | Command::Project(_) | Command::Member(_)
            if let Err(refusal) = identity::check_is_local(&database).await =>
        {
            Err(refusal)
        }
        Command::User(command) => user(&database, &actor, command).await,
        Command::Project(ProjectCommand::Add { name, .. }) => {
            project::add(&database, &actor, &name).await.and_then(|project| report([project.id]))
        }
        Command::Member(command) => member(&database, &actor, command).await,
        Command::Mapping(command) => mapping(&database, &actor, command).await,
        Command::Import(options) => {
            let is_change = !options.dry_run;
            import::run(&database, &actor, &options)
                .await
                .and_then(|differences| print_differences(&differences, is_change))
        }
    };
    let outcome = match outcome {
        // Whoever is told to add it with "project add" would be refused.
        Err(Error::NoSuchProject(text)) if let Some(url) = identity::find_cluster(&database).await? => {
            Err(Error::NotOfDatabase { text, url })
        }
        outcome => outcome,
    };
    let closing = async {
        if let Some(recorder) = recorder {
            recorder.flush().await;
        }
        database.close().await;
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    outcome
}

/// Prints a new API key, then makes it valid. A key is shown once, so one that nobody could read must not replace another one; and a
/// terminal that is stopped, or a pipe that nobody reads, must not hold a lock of the database. So the key comes first, before the
/// transaction. If that fails, the key on stdout is worth nothing, which the error says.
async fn user(database: &Database, actor: &Actor, command: UserCommand) -> Result<(), Error> {
    let key = ApiKey::generate();
    let (attempted, outcome) = match command {
        UserCommand::Add { email, admin, .. } => {
            user::check_is_new(database, &email).await?;
            print_key(&key)?;
            ("adding the user", user::add(database, actor, &email, admin, &key).await)
        }
        UserCommand::Key { email, .. } => {
            user::find_id(database.pool(), &email).await?;
            print_key(&key)?;
            ("replacing the API key", user::renew_key(database, actor, &email, &key).await)
        }
    };
    outcome.map_err(|error| Error::System {
        attempted: format!("do not use the API key on stdout: {attempted}"),
        source: error.into(),
    })
}

async fn member(database: &Database, actor: &Actor, command: MemberCommand) -> Result<(), Error> {
    match command {
        MemberCommand::Set { project, email, project_role, .. } => {
            member::set(database, actor, &project.parse()?, &email, project_role).await
        }
        MemberCommand::Remove { project, email, .. } => {
            member::remove(database, actor, &project.parse()?, &email).await
        }
    }
}

async fn mapping(database: &Database, actor: &Actor, command: MappingCommand) -> Result<(), Error> {
    match command {
        MappingCommand::Add { project, project_role, role_arn, default, external_id, source_identity, .. } => {
            let project = project_for_mapping(database, &project).await?;
            let terms = Terms { project_role, role: role_arn, is_default: default, external_id, source_identity };
            let added = change::add(database, actor, project.id, terms).await?;
            report([added.id])
        }
        MappingCommand::List { project: None, .. } => list(&mapping::list(database).await?.0),
        MappingCommand::List { project: Some(project), .. } => {
            let project = project.parse::<ProjectRef>()?.find(database.pool()).await?;
            list(&mapping::list_in_project(database.pool(), project.id).await?.0)
        }
        MappingCommand::Export { .. } => {
            let (mut mappings, _) = mapping::list(database).await?;
            if identity::find_cluster(database).await?.is_some() {
                // Names pass from one project of a cluster to another; the file must reach the same projects later.
                mappings.iter_mut().for_each(|mapping| mapping.project.name = mapping.project.id.to_string());
            }
            show([file::write(&mappings)])
        }
        MappingCommand::Apply { file, dry_run, .. } => {
            let text = std::fs::read_to_string(&file).map_err(|error| Error::System {
                attempted: format!("reading {}", file.display()),
                source: error.into(),
            })?;
            let entries = file::read(&text)?;
            let unknown_project = match identity::find_cluster(database).await? {
                None => UnknownProject::Refuse,
                Some(url) => {
                    for entry in &entries {
                        check_is_id(&entry.project.parse()?, &url)?;
                    }
                    UnknownProject::TakeOver(HashMap::new())
                }
            };
            let wanted = Wanted { entries, others: Others::Remove, unknown_project };
            let differences = if dry_run {
                apply::preview(database, &wanted).await?
            } else {
                apply::apply(database, actor, &wanted).await?
            };
            print_differences(&differences, !dry_run)
        }
        MappingCommand::Remove { id, .. } => change::remove(database, actor, id).await,
    }
}

/// Finds the project to map a role to. A project of a cluster may be unknown here so far, and it is found by its id only: names there
/// change hands, and this server may know an old one.
async fn project_for_mapping(database: &Database, text: &str) -> Result<Project, Error> {
    let project: ProjectRef = text.parse()?;
    if let Some(url) = identity::find_cluster(database).await? {
        project::remember_id(database, check_is_id(&project, &url)?).await?;
    }
    project.find(database.pool()).await
}

/// Refuses the name of a project of a cluster: a name can pass from one project to another.
fn check_is_id(project: &ProjectRef, url: &str) -> Result<i64, Error> {
    match project {
        ProjectRef::Id(id) => Ok(*id),
        ProjectRef::Name(name) => Err(Error::InvalidArgument(format!(
            "{name:?} is not a project's id; projects live in the cluster {url}, where a name can pass from one project to another, \
             so give the id"
        ))),
    }
}

fn list(mappings: &[Mapping]) -> Result<(), Error> {
    show(mappings.iter().map(|mapping| {
        // Lines without either are as they were before there were such columns.
        let more = match (&mapping.external_id, mapping.source_identity) {
            (None, false) => String::new(),
            (external_id, source_identity) => {
                format!("\t{}\t{source_identity}", external_id.as_ref().map_or("", ExternalId::as_str))
            }
        };
        format!(
            "{}\t{}\t{}\t{}\t{}\t{}{more}",
            mapping.id,
            mapping.project.id,
            mapping.project.name,
            mapping.project_role.command_line_name(),
            mapping.role,
            mapping.is_default
        )
    }))
}

/// Prints what changed, or what would change.
fn print_differences(differences: &[Difference], is_change: bool) -> Result<(), Error> {
    if is_change { report(differences) } else { show(differences) }
}

/// Prints lines about a change that was made.
///
/// # Errors
/// [`Error::NotPrinted`].
fn report(lines: impl IntoIterator<Item: Display>) -> Result<(), Error> {
    write_lines(lines).map_err(Error::NotPrinted)
}

/// Prints lines of a command that changes nothing.
fn show(lines: impl IntoIterator<Item: Display>) -> Result<(), Error> {
    write_lines(lines).map_err(cannot_print)
}

/// Writes lines on stdout until nobody reads any more: `head` has seen enough.
fn write_lines(lines: impl IntoIterator<Item: Display>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = lines.into_iter().try_for_each(|line| writeln!(stdout, "{line}"));
    match written.and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

fn cannot_print(source: io::Error) -> Error {
    Error::System { attempted: "writing to stdout".to_owned(), source: source.into() }
}

/// Prints a new API key. Fails also when nobody reads it.
fn print_key(key: &ApiKey) -> Result<(), Error> {
    writeln!(io::stdout(), "{}", key.reveal()).map_err(cannot_print)
}

/// Serves until the system asks to stop; returns the recorder, which may still have something to write.
async fn serve(database: &Database, address: &Address, options: &Serve) -> Result<Recorder, Error> {
    log::watch_panics();
    if address.is_unprotected() {
        log::line(&"the connection to PostgreSQL is not protected: sslmode=disable");
    }
    let sts = Sts::new(&Settings::from_environment(), &Environment::now(&[]))?
        .with_timeout(STS_TIMEOUT)
        .with_throttling_returned();
    let sts = Arc::new(sts);
    let wrong_keys = WrongKeys::default();
    let identity = match &options.hopsworks_url {
        None => {
            // Without its cluster the database has no users, and new projects would get the ids of projects of the cluster.
            if let Some(url) = identity::find_cluster(database).await? {
                return Err(identity::belongs_to_cluster(&url));
            }
            if options.source_identity {
                member::check_all_source_identities(database).await?;
            }
            Identity::Local
        }
        Some(HopsworksUrl(url)) => {
            identity::claim_for_cluster(database, url.as_str()).await?;
            let client = ClusterClient::new(url, &Settings::from_environment())?;
            Identity::Hopsworks(Box::new(Cluster::new(client, database.clone(), wrong_keys.clone())))
        }
    };
    let settings = listen::Settings {
        is_behind_proxy: options.behind_proxy,
        keep_alive: Duration::from_secs(options.keep_alive),
        drain: Duration::from_secs(options.drain),
    };
    let certificate_and_key = options.tls_cert.as_deref().zip(options.tls_key.as_deref());
    let listener = Listener::bind(options.listen, certificate_and_key, settings).await?;
    // A connection that waits for its client gives its place to a probe; some always do, however much is under way.
    let requests = (listener.capacity() - listener.capacity().div_ceil(8)).clamp(1, MAX_REQUESTS);
    let cookie = if options.tls_cert.is_some() || options.behind_proxy { Cookie::Secure } else { Cookie::Loopback };
    let metrics = Arc::new(Metrics::new(database.health().gauge()));
    let app = App {
        database: database.clone(),
        issuer: Arc::new(Issuer::new(sts.clone(), database.clone(), metrics.clone())),
        recorder: Recorder::start(database.clone(), metrics.clone()),
        identity,
        wrong_keys,
        base_identity_panel: Arc::default(),
        audit_turn: Arc::new(Semaphore::new(1)),
        requests: AddressLimit::new(requests, requests),
        changes: AddressLimit::new(MAX_CHANGES, MAX_CHANGES / 4),
        metrics: metrics.clone(),
        is_behind_proxy: options.behind_proxy,
        source_identity: options.source_identity,
        cookie,
    };
    // In a task of its own: to find no base identity takes seconds, and role mappings can be managed without one.
    tokio::spawn(async move {
        match sts.base_identity().await {
            Ok(BaseIdentity { provider, is_role, arn, .. }) => {
                let limit = if is_role { "; it is a role, so AWS ends every session after one hour" } else { "" };
                log::line(&format_args!("base identity {arn}, from {provider}{limit}"));
            }
            Err(error) => {
                let error = with_sources(&Error::from(error));
                log::line(&format_args!("no base identity, so no role can be assumed: {error}"));
            }
        }
    });
    let (issuer, sessions, identity) = (app.issuer.clone(), database.clone(), app.identity.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            issuer.sweep();
            if let Identity::Hopsworks(cluster) = &identity {
                cluster.sweep();
            }
            // What keeps the database from it is in the log already, and the next time comes.
            let _ = session::delete_ended(&sessions).await;
            if let Err(error) = issuer.drop_withdrawn().await {
                let error = with_sources(&Error::from(error));
                log::line(&format_args!("cannot read the changes in the audit: {error}"));
            }
        }
    });
    health::watch(database).await;
    let (recorder, health) = (app.recorder.clone(), database.health().clone());
    let router = api::routes()
        .merge(probes::routes())
        .merge(pages::routes(&app))
        .layer(middleware::from_fn_with_state(app.clone(), request_log::wrap))
        .with_state(app);
    listener.serve(router, metrics, health).await?;
    Ok(recorder)
}
