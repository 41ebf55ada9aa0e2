//! The command line. Others script against it: names, stdout, stderr and exit codes are fixed.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hops_credentials_core::network::is_loopback;
use hops_credentials_core::role::{ProjectRole, RoleArn};
use reqwest::Url;

use crate::database::Address;
use crate::project::ProjectName;
use crate::user::Email;

/// Maps AWS roles to projects and project roles, and hands out their temporary credentials.
///
/// A first run:
///
///   export DATABASE_URL=sqlite:///var/lib/role-mapping-server/roles.db
///   role-mapping-server user add ada@example.org --admin
///   role-mapping-server project add churn
///   role-mapping-server member set churn ada@example.org data-owner
///   role-mapping-server mapping add churn all arn:aws:iam::123456789012:role/reader --default
///   role-mapping-server serve --listen 127.0.0.1:8080
///
/// Every command creates the database or migrates it when needed, and works while the server runs. Exit codes: 0 done, 1
/// failed and nothing changed, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "role-mapping-server", version, verbatim_doc_comment)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the REST interface and the pages until SIGTERM or SIGINT
    Serve(Serve),
    /// Add users and renew their API keys
    #[command(subcommand)]
    User(UserCommand),
    /// Add projects
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Say who is a member of a project, and as what
    #[command(subcommand)]
    Member(MemberCommand),
    /// Map roles to projects and project roles
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Take over the role mappings of another server or a Hopsworks cluster, and print what changes
    ///
    /// The variable API_KEY holds the key of one of its administrators. Projects are found by their names and added when
    /// there is none of that name; members are not taken over. Mappings that only this server has stay.
    Import(Import),
}

/// `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Where it is, https://host
    #[arg(long, value_name = "URL")]
    pub from: HopsworksUrl,
    /// Change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub database: DatabaseOption,
}

/// Where the database is.
#[derive(Debug, Args)]
pub struct DatabaseOption {
    /// sqlite:///absolute/path/roles.db or postgres://user@host/name; a URL that holds a password belongs into the variable
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database: String,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; port 0 takes a free one. The line "listening on <URL>" on stdout tells which
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// Certificate chain, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A reverse proxy in front speaks TLS; the last hop of its X-Forwarded-For is the client's address
    #[arg(long, conflicts_with = "tls_cert")]
    pub behind_proxy: bool,
    /// Who the users are: those of this database, or those of a Hopsworks cluster with its projects, API keys and tokens
    #[arg(long, value_enum, default_value_t = IdentityOption::Local)]
    pub identity: IdentityOption,
    /// The cluster, https://host; its certificate is always checked
    #[arg(long, value_name = "URL", required_if_eq("identity", "hopsworks"))]
    pub hopsworks_url: Option<HopsworksUrl>,
    #[command(flatten)]
    pub database: DatabaseOption,
}

/// Who the users are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum IdentityOption {
    /// Users, members and API keys of this database.
    Local,
    /// Those of a Hopsworks cluster.
    Hopsworks,
}

/// Where the REST interface of a cluster begins.
#[derive(Debug, Clone)]
pub struct HopsworksUrl(pub Url);

impl FromStr for HopsworksUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = text.trim_end_matches('/').trim_end_matches("/hopsworks-api/api").trim_end_matches('/');
        let url = Url::parse(&format!("{place}/hopsworks-api/api/")).map_err(|_| "write it as https://host")?;
        match (url.scheme(), url.username(), url.password(), url.query(), url.fragment()) {
            ("https", "", None, None, None) => Ok(Self(url)),
            ("http", "", None, None, None) if is_loopback(&url) => Ok(Self(url)),
            _ => Err("write it as https://host: tokens must not travel in the clear, and the URL holds nothing else"),
        }
    }
}

/// `user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user and print the API key, once
    Add {
        /// The e-mail address
        email: Email,
        /// The user may manage role mappings of all projects
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Print a new API key for the user, once; the old one is void
    Key {
        /// The e-mail address
        email: Email,
        #[command(flatten)]
        database: DatabaseOption,
    },
}

/// `project`.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Add a project and print its id
    Add {
        /// Its name
        name: ProjectName,
        #[command(flatten)]
        database: DatabaseOption,
    },
}

/// `member`.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Make a user a member of a project, or change what they are in it
    Set {
        /// The project's id or name
        project: String,
        /// The user's e-mail address
        email: Email,
        /// What the user is in the project
        project_role: MemberRole,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// End a membership
    Remove {
        /// The project's id or name
        project: String,
        /// The user's e-mail address
        email: Email,
        #[command(flatten)]
        database: DatabaseOption,
    },
}

/// `mapping`.
#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// Let members with a project role assume an AWS role, and print the id of the mapping
    Add {
        /// The project's id or name
        project: String,
        /// Whose members may assume the role
        project_role: MappedRole,
        /// The role, arn:aws:iam::<account>:role/<name>
        role_arn: RoleArn,
        /// The role is used when none is named; takes the place of the default there is for the same project role
        #[arg(long)]
        default: bool,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Print id, project id, project name, project role, role ARN and default (true or false), separated by tabs
    List {
        /// Only those of this project: its id or name
        project: Option<String>,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Print all mappings as a file for git: JSON, one mapping a line
    Export {
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Make the mappings exactly those of such a file, and print what changes: "-" goes, "+" comes
    Apply {
        /// The file
        file: PathBuf,
        /// Change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Remove a mapping
    Remove {
        /// Its id
        id: i64,
        #[command(flatten)]
        database: DatabaseOption,
    },
}

/// What a member is in a project.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MemberRole {
    /// May also move the default role mapping
    DataOwner,
    /// Works with the data
    DataScientist,
}

impl From<MemberRole> for ProjectRole {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::DataOwner => ProjectRole::DataOwner,
            MemberRole::DataScientist => ProjectRole::DataScientist,
        }
    }
}

/// Whose members may assume a role.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MappedRole {
    /// Data owners only
    DataOwner,
    /// Data scientists only
    DataScientist,
    /// All members
    All,
}

impl From<MappedRole> for ProjectRole {
    fn from(role: MappedRole) -> Self {
        match role {
            MappedRole::DataOwner => ProjectRole::DataOwner,
            MappedRole::DataScientist => ProjectRole::DataScientist,
            MappedRole::All => ProjectRole::All,
        }
    }
}

impl From<ProjectRole> for MappedRole {
    fn from(role: ProjectRole) -> Self {
        match role {
            ProjectRole::DataOwner => MappedRole::DataOwner,
            ProjectRole::DataScientist => MappedRole::DataScientist,
            ProjectRole::All => MappedRole::All,
        }
    }
}

impl Command {
    /// The option that every command has.
    pub fn database(&self) -> &DatabaseOption {
        match self {
            Command::Serve(serve) => &serve.database,
            Command::Import(import) => &import.database,
            Command::User(UserCommand::Add { database, .. } | UserCommand::Key { database, .. })
            | Command::Project(ProjectCommand::Add { database, .. })
            | Command::Member(MemberCommand::Set { database, .. } | MemberCommand::Remove { database, .. })
            | Command::Mapping(
                MappingCommand::Add { database, .. }
                | MappingCommand::List { database, .. }
                | MappingCommand::Export { database }
                | MappingCommand::Apply { database, .. }
                | MappingCommand::Remove { database, .. },
            ) => database,
        }
    }
}

impl DatabaseOption {
    /// The address, parsed here and not by clap, whose message would show the URL and so a password.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn address(&self) -> Result<Address, String> {
        self.database.parse().map_err(str::to_owned)
    }
}

impl Serve {
    /// What clap cannot check by itself.
    ///
    /// # Errors
    /// Why these options do not go together.
    pub fn check(&self) -> Result<(), String> {
        if let (IdentityOption::Local, Some(_)) = (self.identity, &self.hopsworks_url) {
            return Err("--hopsworks-url goes with --identity hopsworks".to_owned());
        }
        if self.listen.ip().is_loopback() || self.tls_cert.is_some() || self.behind_proxy {
            Ok(())
        } else {
            Err(format!(
                "{} is reachable from other machines, and credentials must not travel in the clear; give --tls-cert and \
             --tls-key, or --behind-proxy when a proxy in front speaks TLS",
                self.listen
            ))
        }
    }
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| "it is not of the form 127.0.0.1:8080 or host:port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_cluster_is_named_by_https_and_its_host_and_on_this_machine_by_http_too() {
        let parsed = |text: &str| text.parse::<HopsworksUrl>().map(|url| url.0.to_string());
        for text in
            ["https://hops.example.org", "https://hops.example.org/", "https://hops.example.org/hopsworks-api/api/"]
        {
            assert_eq!(parsed(text).as_deref(), Ok("https://hops.example.org/hopsworks-api/api/"));
        }
        assert_eq!(parsed("http://127.0.0.1:8182").as_deref(), Ok("http://127.0.0.1:8182/hopsworks-api/api/"));
        assert_eq!(parsed("http://[::1]:8182").as_deref(), Ok("http://[::1]:8182/hopsworks-api/api/"));
        for text in [
            "http://hops.example.org",
            "hops.example.org",
            "https://me:canary@host",
            "https://host/?a=b",
            "ftp://host",
            "",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        CommandLine::command().debug_assert();
    }
}
