//! The options of the command line. People script against it: names, stdout, stderr and exit codes are fixed.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use hops_credentials_core::network::is_loopback;
use hops_credentials_core::role::{ProjectRole, RoleArn};
use reqwest::Url;

use crate::database::address::Address;
use crate::database::{self};
use crate::mapping::terms::ExternalId;
use crate::project::ProjectName;
use crate::user::Email;

/// Maps AWS roles to projects and project roles, and issues temporary credentials of those roles.
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
/// Every command creates or migrates the database if needed, and works while the server runs. Exit codes: 0 done; 1 failed,
/// nothing changed; 2 wrong usage; 3 changed, but what the command prints could not be written.
#[derive(Debug, Parser)]
#[command(name = "role-mapping-server", version, verbatim_doc_comment)]
pub struct CommandLine {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
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
    /// Set and remove the members of a project
    #[command(subcommand)]
    Member(MemberCommand),
    /// Map roles to projects and project roles
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Import the role mappings of another server or a Hopsworks cluster, and print what changes
    ///
    /// The variable API_KEY holds the API key of an administrator there. A project is found by its name, and added if it does
    /// not exist; members are not imported. Mappings that only this server has stay. The database of a Hopsworks cluster takes
    /// mappings from that cluster only, by the ids of its projects.
    Import(Import),
}

/// `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The URL of the other server, https://host
    #[arg(long, value_name = "URL")]
    pub from: HopsworksUrl,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub database: DatabaseOption,
}

/// The address of the database.
#[derive(Debug, Args)]
pub struct DatabaseOption {
    /// sqlite:///absolute/path/roles.db or postgres://user@host/name; put a URL with a password into the variable
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database: String,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The address to listen on; port 0 takes a free port. The line "listening on <URL>" on stdout names it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = socket_address)]
    pub listen: SocketAddr,
    /// The certificate chain, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A reverse proxy in front of the server speaks TLS; the last hop of its X-Forwarded-For is the client's address
    #[arg(long, conflicts_with = "tls_cert")]
    pub behind_proxy: bool,
    /// Name the member to STS as source identity, their e-mail address, with every role mapping
    #[arg(long)]
    pub source_identity: bool,
    /// The users who may call: those of this database, or those of a Hopsworks cluster with its projects, API keys and tokens
    #[arg(long, value_enum, default_value_t = IdentityOption::Local)]
    pub identity: IdentityOption,
    /// The URL of the cluster, https://host; its certificate is always checked
    #[arg(long, value_name = "URL", required_if_eq("identity", "hopsworks"))]
    pub hopsworks_url: Option<HopsworksUrl>,
    /// The time to go on serving after SIGTERM while /readyz says 503, for a load balancer to notice; a second SIGTERM ends it
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = value_parser!(u64).range(..=3600))]
    pub drain: u64,
    /// The longest wait for the next request of a connection; longer than that of the proxy in front
    #[arg(long, value_name = "SECONDS", default_value_t = 130, value_parser = value_parser!(u64).range(1..=3600))]
    pub keep_alive: u64,
    /// The most connections to the database, and one more that checks it; by default 8 to PostgreSQL, and with SQLite one for each core
    /// (2 to 8) and one more
    #[arg(long, value_name = "NUMBER")]
    pub database_connections: Option<NonZeroU32>,
    /// The longest wait for one of those connections
    #[arg(long, value_name = "SECONDS", default_value_t = database::Settings::default().timeout.as_secs(),
        value_parser = value_parser!(u64).range(1..=60))]
    pub database_timeout: u64,
    #[command(flatten)]
    pub database: DatabaseOption,
}

/// The identity: it tells whose users may call.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum IdentityOption {
    /// Users, members and API keys of this database.
    Local,
    /// Users, members, API keys and tokens of a Hopsworks cluster.
    Hopsworks,
}

/// The URL under which a cluster serves its REST interface.
#[derive(Debug, Clone)]
pub struct HopsworksUrl(pub Url);

impl FromStr for HopsworksUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let base = text.trim_end_matches('/').trim_end_matches("/hopsworks-api/api").trim_end_matches('/');
        let url = Url::parse(&format!("{base}/hopsworks-api/api/")).map_err(|_| "write it as https://host")?;
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
    /// Add a user, and print their API key, once
    Add {
        /// The e-mail address
        email: Email,
        /// The user may manage role mappings of all projects
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Replace the API key of a user, and print the new one, once
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
    /// Add a project, and print its id
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
    /// Make a user a member of a project, or change their project role
    Set {
        /// The project's id or name
        project: String,
        /// The user's e-mail address
        email: Email,
        /// The user's role in the project
        #[arg(value_parser = parse_one(MEMBER_ROLES))]
        project_role: ProjectRole,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Remove a member from a project
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
        /// The project role whose members may assume the role
        #[arg(value_parser = parse_one(MAPPED_ROLES))]
        project_role: ProjectRole,
        /// The role, arn:aws:iam::<account>:role/<name>
        role_arn: RoleArn,
        /// Use this role when no role is named; it replaces the current default of the same project role
        #[arg(long)]
        default: bool,
        /// The external id that the trust policy of the role compares with sts:ExternalId
        #[arg(long, value_name = "ID")]
        external_id: Option<ExternalId>,
        /// Name the member to STS as source identity: their e-mail address. The trust policy must allow sts:SetSourceIdentity
        #[arg(long)]
        source_identity: bool,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Print id, project id, project name, project role, role ARN and default (true or false), separated by tabs
    ///
    /// If one of them is set, external id and source identity (true or false) follow.
    List {
        /// Print only the mappings of this project: its id or name
        project: Option<String>,
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Print all mappings as a file for git: JSON, one mapping a line
    Export {
        #[command(flatten)]
        database: DatabaseOption,
    },
    /// Make the mappings exactly those of such a file, and print what changes: "-" removed, "+" added
    Apply {
        /// The file
        file: PathBuf,
        /// Print what would change, and change nothing
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

/// The project roles of role mappings.
const MAPPED_ROLES: &[(ProjectRole, &str)] = &[
    (ProjectRole::DataOwner, "Data owners only"),
    (ProjectRole::DataScientist, "Data scientists only"),
    (ProjectRole::All, "All members"),
];

/// The project roles of members.
const MEMBER_ROLES: &[(ProjectRole, &str)] = &[
    (ProjectRole::DataOwner, "May also change the default role mapping"),
    (ProjectRole::DataScientist, "Works with the data"),
];

/// Parses one of these project roles, which `--help` lists.
fn parse_one(roles: &'static [(ProjectRole, &'static str)]) -> impl TypedValueParser<Value = ProjectRole> {
    let names = roles.iter().map(|(role, help)| PossibleValue::new(role.command_line_name()).help(*help));
    PossibleValuesParser::new(names).try_map(|name| ProjectRole::from_command_line_name(&name))
}

impl Command {
    /// The settings of the database, which only `serve` has.
    pub fn database_settings(&self) -> database::Settings {
        match self {
            Command::Serve(serve) => database::Settings {
                connections: serve.database_connections,
                timeout: Duration::from_secs(serve.database_timeout),
                waits_to_migrate: true,
            },
            Command::Import(_) | Command::User(_) | Command::Project(_) | Command::Member(_) | Command::Mapping(_) => {
                database::Settings::default()
            }
        }
    }

    /// The database option, which every command has.
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
    /// Parses the address. clap must not do it: its message would show the URL, and so a password.
    ///
    /// # Errors
    /// The sentence that says what is wrong with it.
    pub fn address(&self) -> Result<Address, String> {
        self.database.parse().map_err(str::to_owned)
    }
}

impl Serve {
    /// Checks what clap cannot check.
    ///
    /// # Errors
    /// The reason why these options do not go together.
    pub fn check(&self) -> Result<(), String> {
        if let (IdentityOption::Local, Some(_)) = (self.identity, &self.hopsworks_url) {
            return Err("--hopsworks-url requires --identity hopsworks".to_owned());
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
    found.ok_or_else(|| "write it as 127.0.0.1:8080 or host:port".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_cluster_is_reached_by_https_and_on_this_machine_by_http_too() {
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
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
