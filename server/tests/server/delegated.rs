//! `--identity hopsworks`: a cluster decides who the users are, and which project roles they have.

use hops_credentials_core::hopsworks::Hopsworks;
use hops_credentials_core::request::AssumeRole;
use hops_credentials_core::settings::Settings;

use crate::cluster::{Cluster, Known, Mood, deserted, trap};
use crate::sts::{SECRET_ACCESS_KEY, Sts, value};
use crate::world::{API, Answer, Server, World, block_on, on_both_stores};

pub const LIST: &str = "/project/119/cloud/role-mappings";
pub const TOKEN: &str = "/project/119/cloud/aws/session-token";
pub const ADMIN: &str = "/admin/cloud/role-mappings";
pub const READER: &str = "arn:aws:iam::123456789012:role/reader";

/// The logins: JWTs of an administrator and of their job, a JWT and a key of a data owner, a JWT of a data scientist's job.
pub const ADMIN_JWT: &str = "Bearer canary.admin.jwt";
const ADMIN_JOB: &str = "Bearer canary.adminjob.jwt";
pub const OWNER_JWT: &str = "Bearer canary.owner.jwt";
pub const OWNER_KEY: &str = "ApiKey ownerprefix.canarysecret";
pub const SCIENTIST_JOB: &str = "Bearer canary.scientist.jwt";

pub struct Delegated {
    pub cluster: Cluster,
    pub sts: Sts,
    pub server: Server,
}

pub fn cluster() -> Cluster {
    let cluster = Cluster::start();
    let churn = |role| vec![(119, "churn", role), (120, "fraud", "Data owner")];
    let known = |email, is_admin, good_for, rows| Known { email, is_admin, good_for, rows };
    cluster.knows(ADMIN_JWT, known("admin@hopsworks.ai", true, &["api"], vec![]));
    cluster.knows(ADMIN_JOB, known("admin@hopsworks.ai", true, &["job"], churn("Data owner")));
    cluster.knows(OWNER_JWT, known("owner@hopsworks.ai", false, &["api"], churn("Data owner")));
    cluster.knows(OWNER_KEY, known("owner@hopsworks.ai", false, &["PROJECT"], churn("Data owner")));
    cluster.knows(SCIENTIST_JOB, known("ada.l@hopsworks.ai", false, &["job"], vec![(119, "churn", "Data scientist")]));
    cluster
}

pub fn serve(world: &World, cluster: &str, sts: &Sts) -> Server {
    let variables = sts.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.serve_with(&["--identity", "hopsworks", "--hopsworks-url", cluster], &variables)
}

pub fn delegated(world: &World) -> Delegated {
    let (cluster, sts) = (cluster(), Sts::start());
    let server = serve(world, &cluster.url(), &sts);
    let this = Delegated { cluster, sts, server };
    let added = this.ask(
        "POST",
        &format!("{ADMIN}?cloudRole={READER}&projectId=119&projectRole=ALL&defaultRole=true"),
        ADMIN_JWT,
    );
    assert_eq!(added.status, 201, "{}", added.text);
    this.cluster.asked();
    this
}

impl Delegated {
    pub fn ask(&self, method: &str, path: &str, login: &str) -> Answer {
        self.server.send(method, &format!("{API}{path}"), &[&format!("Authorization: {login}")])
    }

    pub fn get(&self, path: &str, login: &str) -> Answer {
        self.ask("GET", path, login)
    }
}

on_both_stores! {
    fn every_kind_of_login_has_the_rights_of_its_owner_in_the_cluster(world: &World) {
        let this = delegated(world);
        for login in [OWNER_JWT, OWNER_KEY, SCIENTIST_JOB, ADMIN_JOB] {
            let list = this.get(LIST, login);
            assert_eq!((list.status, list.ids()), (200, vec![1]), "{login}: {}", list.text);
            assert_eq!(list.json["items"][0]["projectName"], "churn");
            let token = this.get(TOKEN, login);
            assert_eq!(token.json["secretAccessKey"], SECRET_ACCESS_KEY, "{login}: {}", token.text);
        }
        let asked = this.sts.asked();
        assert_eq!(value(&asked[0], "RoleSessionName"), "owner-churn");
        assert_eq!(
            world.sql("select distinct actor, project_id, project_name from audit where action = 'session-token' order by actor"),
            [
                ["ada.l@hopsworks.ai", "119", "churn"],
                ["admin@hopsworks.ai", "119", "churn"],
                ["owner@hopsworks.ai", "119", "churn"],
            ]
        );
        assert_eq!(this.ask("PUT", &format!("{LIST}/1?defaultRole=false"), OWNER_KEY).status, 200);
        assert_eq!(this.ask("PUT", &format!("{LIST}/1?defaultRole=true"), SCIENTIST_JOB).error().1, 150_068);
    }

    fn a_job_gets_credentials_with_the_token_that_the_platform_wrote(world: &World) {
        let this = delegated(world);
        std::fs::write(world.directory.join("token.jwt"), SCIENTIST_JOB.trim_start_matches("Bearer ")).expect("a file");
        let variables = [
            ("REST_ENDPOINT", this.server.url.clone()),
            ("HOPSWORKS_PROJECT_ID", "119".to_owned()),
            ("SECRETS_DIR", world.directory.display().to_string()),
        ];
        let settings = Settings::new([], []).with_environment(variables.map(|(name, value)| (name.to_owned(), value)));
        let job = Hopsworks::from_settings(&settings).expect("legal settings");
        block_on(async {
            let mappings = job.role_mappings().await.expect("a list");
            assert_eq!(mappings[0].role.as_str(), READER);
            let credentials = job.assume_role(&AssumeRole::default()).await.expect("credentials");
            assert_eq!(credentials.secret_access_key(), SECRET_ACCESS_KEY);
        });
    }

    fn a_project_that_the_cluster_does_not_list_is_refused(world: &World) {
        let this = delegated(world);
        this.cluster.knows("Bearer going", Known {
            email: "gone@hopsworks.ai", is_admin: false, good_for: &["api"], rows: vec![(119, "churn", "Under removal")],
        });
        for login in ["Bearer going", ADMIN_JWT] {
            let text = "you are not a member of project 119; ask an administrator of the project to add you";
            assert_eq!(this.get(LIST, login).error(), (403, 160_000, text), "{login}");
            assert_eq!(this.get(TOKEN, login).error(), (403, 160_000, text), "{login}");
        }
        assert_eq!(this.get("/project/121/cloud/role-mappings", SCIENTIST_JOB).status, 403);
        assert_eq!(this.sts.asked().len(), 0);
    }

    fn only_a_login_of_an_administrator_manages_role_mappings(world: &World) {
        let this = delegated(world);
        let known = |good_for| Known { email: "admin@hopsworks.ai", is_admin: true, good_for, rows: vec![(119, "churn", "Data owner")] };
        this.cluster.knows("ApiKey weak.canary", known(&["PROJECT"]));
        this.cluster.knows("ApiKey strong.canary", known(&["PROJECT", "ADMIN"]));
        this.cluster.knows("ApiKey projectless.canary", Known { rows: vec![], ..known(&["PROJECT", "ADMIN"]) });
        // It may add users; that does not let it map roles.
        this.cluster.knows("ApiKey onboarding.canary", known(&["PROJECT", "ADMINISTER_USERS"]));
        this.cluster.knows("ApiKey demoted.canary", Known { is_admin: false, ..known(&["PROJECT", "ADMIN"]) });
        for login in [ADMIN_JOB, "ApiKey weak.canary", "ApiKey onboarding.canary", "ApiKey demoted.canary", OWNER_JWT, OWNER_KEY, SCIENTIST_JOB] {
            assert_eq!(this.get(ADMIN, login).error().1, 320_003, "{login}");
            let add = format!("{ADMIN}?cloudRole={READER}&projectId=120&projectRole=ALL");
            assert_eq!(this.ask("POST", &add, login).status, 403, "{login}");
        }
        for login in [ADMIN_JWT, "ApiKey strong.canary", "ApiKey projectless.canary"] {
            assert_eq!(this.get(ADMIN, login).status, 200, "{login}");
        }
        assert_eq!(this.ask("DELETE", &format!("{ADMIN}/1"), "ApiKey projectless.canary").status, 204);
        assert_eq!(
            world.sql("select actor, action from audit order by action"),
            [["admin@hopsworks.ai", "mapping add"], ["api key projectless", "mapping remove"]]
        );
    }

    fn roles_are_mapped_only_to_projects_of_the_cluster_and_by_their_ids(world: &World) {
        let this = delegated(world);
        let add = |id: i64| this.ask("POST", &format!("{ADMIN}?cloudRole={READER}&projectId={id}&projectRole=ALL"), ADMIN_JWT);
        let stranger = add(150);
        assert_eq!((stranger.status, stranger.json["projectName"].as_str()), (201, Some("project-150")));
        assert_eq!(add(999).error().1, 150_004);
        assert_eq!(world.sql("select id, name from projects order by id"), [["119", "project-119"], ["150", "project-150"]]);
        assert_eq!(this.get(LIST, SCIENTIST_JOB).status, 200);
        assert_eq!(world.sql("select id, name from projects order by id"), [["119", "churn"], ["150", "project-150"]]);
        // The project of that name was deleted, and another project has the name now.
        this.cluster.knows("Bearer anew", Known {
            email: "new@hopsworks.ai", is_admin: false, good_for: &["api"], rows: vec![(150, "churn", "Data owner")],
        });
        assert_eq!(this.get("/project/150/cloud/role-mappings", "Bearer anew").ids(), [2]);
        assert_eq!(world.sql("select id, name from projects order by id"), [["119", "project-119"], ["150", "churn"]]);
    }

    fn users_projects_and_members_cannot_be_changed_here(world: &World) {
        let this = delegated(world);
        let url = format!("{}/hopsworks-api/api/", this.cluster.url());
        let text = format!("members live in the cluster {url}, as do users, projects and API keys; change them there");
        for command in [
            &["user", "add", "ada@example.org"][..],
            &["user", "key", "ada@example.org"],
            &["project", "add", "churn"],
            &["member", "set", "119", "ada@example.org", "data-owner"],
            &["member", "remove", "119", "ada@example.org"],
        ] {
            assert_eq!(world.failed(command), text, "{command:?}");
        }
        assert_eq!(world.done(&["mapping", "add", "160", "data-owner", READER]), "2");
        assert_eq!(world.done(&["mapping", "list"]).lines().count(), 2);
    }

    fn a_key_of_the_cluster_opens_the_pages_until_the_cluster_refuses_it(world: &World) {
        let this = delegated(world);
        let owner = signed_in(&this.server, "ownerprefix.canarysecret");
        let home = page(&this.server, "/", &owner);
        assert!(home.status == 200 && home.text.contains("/projects/119") && !home.text.contains("/admin/"), "{}", home.text);
        assert_eq!(page(&this.server, "/projects/119", &owner).status, 200);
        assert_eq!(page(&this.server, "/projects/121", &owner).status, 403);
        assert_eq!(page(&this.server, "/admin/role-mappings", &owner).status, 403);

        this.cluster.knows("ApiKey strong.canarykey", Known {
            email: "admin@hopsworks.ai", is_admin: true, good_for: &["PROJECT", "ADMIN"], rows: vec![(119, "churn", "Data owner"), (130, "forecast", "Data owner")],
        });
        let admin = signed_in(&this.server, "strong.canarykey");
        let home = page(&this.server, "/", &admin).text;
        assert!(home.contains("/admin/role-mappings") && !home.contains("/admin/users") && !home.contains("/admin/projects"), "{home}");
        assert!(page(&this.server, "/admin/role-mappings", &admin).text.contains("<option value=\"forecast\">"));
        for path in ["/admin/users", "/admin/projects", "/admin/projects/119"] {
            let refused = page(&this.server, path, &admin);
            assert!(refused.status == 409 && refused.text.contains("Members live in the cluster"), "{}", refused.text);
        }
        let token = home.split_once("name=\"form_token\" value=\"").expect("a token").1.split('"').next().expect("its end");
        for (project, answer) in [
            ("999", "There is no project 999 in the cluster; give its id."),
            ("fraud", "You are not a member of a project fraud in the cluster; give its id."),
        ] {
            let body = format!("project={project}&project_role=ALL&role={READER}&form_token={token}");
            let headers = [
                format!("Cookie: {admin}"),
                format!("Origin: {}", this.server.url),
                format!("Content-Length: {}", body.len()),
            ];
            let headers = headers.each_ref().map(String::as_str);
            let refused = this.server.try_send_with("POST", "/admin/role-mappings", &headers, &body).expect("an answer");
            assert!(refused.status == 400 && refused.text.contains(answer), "{}", refused.text);
        }
        let sealed = world.sql("select id_hash, sealed_login from cluster_sessions");
        assert_eq!(sealed.len(), 2);
        assert!(!format!("{sealed:?}").contains(&owner.split_once('=').expect("a value").1.to_owned()));

        this.cluster.forgets(OWNER_KEY);
        // This server notices within seconds; another one, which knows the session and not the key, notices at once.
        let other = serve(world, &this.cluster.url(), &this.sts);
        assert_eq!(page(&other, "/", &admin).status, 200);
        let ended = page(&other, "/", &owner);
        assert_eq!((ended.status, ended.header("location")), (303, "/sign-in?next=%2F&done=session-ended"));
        assert_eq!(world.sql("select count(*) from cluster_sessions"), [["1"]]);
    }

    fn a_database_belongs_permanently_to_one_cluster_or_to_none(world: &World) {
        let this = delegated(world);
        this.server.signal("TERM");
        let url = format!("{}/hopsworks-api/api/", this.cluster.url());
        let text = format!(
            "this database serves the Hopsworks cluster {url}; projects are known by their ids, so another identity needs \
             a database of its own"
        );
        assert_eq!(world.failed(&["serve", "--listen", "127.0.0.1:0"]), text);
        let elsewhere = deserted();
        let other = ["serve", "--listen", "127.0.0.1:0", "--identity", "hopsworks", "--hopsworks-url", &elsewhere];
        assert_eq!(world.failed(&other), text);
        let [own, again] = [0, 1].map(|_| serve(world, &this.cluster.url(), &this.sts));
        drop((own, again));
    }
}

#[test]
fn a_database_with_users_of_its_own_never_serves_a_cluster() {
    let world = World::sqlite();
    world.done(&["user", "add", "ada@example.org"]);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--identity", "hopsworks", "--hopsworks-url", &deserted()];
    assert_eq!(
        world.failed(&serve),
        "this database serves users and projects of its own; projects are known by their ids, so another identity needs a \
         database of its own"
    );
}

#[test]
fn answers_of_the_cluster_are_cached_for_seconds_by_login_and_refusals_are_not() {
    let world = World::sqlite();
    let this = delegated(&world);
    for _ in 0..5 {
        assert_eq!(this.get(LIST, OWNER_KEY).status, 200);
    }
    assert_eq!(this.cluster.asked(), ["project"]);
    // A login with one more letter is another login.
    assert_eq!(this.get(LIST, &format!("{OWNER_KEY}x")).error().1, 320_013);
    assert_eq!(this.get(LIST, &format!("{OWNER_KEY}x")).status, 401);
    assert_eq!(this.cluster.asked(), ["project", "project"]);
    this.cluster.knows(
        &format!("{OWNER_KEY}x"),
        Known {
            email: "new@hopsworks.ai",
            is_admin: false,
            good_for: &["PROJECT"],
            rows: vec![(119, "churn", "Data owner")],
        },
    );
    assert_eq!(this.get(LIST, &format!("{OWNER_KEY}x")).status, 200);
    // The first refusal, to whatever question, removes the cached answer.
    this.cluster.forgets(OWNER_KEY);
    assert_eq!(this.get(ADMIN, OWNER_KEY).status, 401);
    assert_eq!(this.get(LIST, OWNER_KEY).status, 401);
}

#[test]
fn nobody_gets_in_without_a_clear_answer_of_the_cluster() {
    let world = World::sqlite();
    let mut this = delegated(&world);
    // A server without any cached answer.
    this.server = serve(&world, &this.cluster.url(), &this.sts);
    let (place, seen) = trap();
    for (mood, problem) in [
        (Mood::HangsUp, "error sending request"),
        (Mood::Redirects(place), "it answered HTTP 302"),
        (Mood::Says("500 Internal Server Error", "{}".to_owned()), "it answered HTTP 500"),
        (Mood::Says("200 OK", "<html>canary</html>".to_owned()), "its answer is not what Hopsworks says"),
        (Mood::Says("200 OK", "{\"items\":[]}".to_owned()), "its answer is not what Hopsworks says"),
        (
            Mood::Says(
                "200 OK",
                "[{\"projectTeamPK\":{\"projectId\":119,\"teamMember\":\"a\"},\"teamRole\":\"Data owner\"},\
                  {\"projectTeamPK\":{\"projectId\":119,\"teamMember\":\"b\"},\"teamRole\":\"Data owner\"}]"
                    .to_owned(),
            ),
            "its answer is about several users",
        ),
    ] {
        this.cluster.is(mood.clone());
        let answer = this.get(LIST, OWNER_JWT);
        let (status, code, text) = answer.error();
        assert_eq!((status, code), (502, 502), "{mood:?}: {text}");
        assert!(text.starts_with("asking the Hopsworks cluster failed; "), "{text}");
        let answer = this.get(ADMIN, ADMIN_JWT);
        let text = answer.error().2;
        assert_eq!(answer.status, 502, "{mood:?}: {text}");
        assert!(text.starts_with("asking the Hopsworks cluster failed: ") && text.contains(problem), "{text}");
    }
    assert!(seen.lock().expect("no panic").is_empty(), "a redirect was followed");
    this.cluster.is(Mood::Tells);
    this.cluster.knows(
        "Bearer git",
        Known {
            email: "owner@hopsworks.ai",
            is_admin: false,
            good_for: &["git"],
            rows: vec![(119, "churn", "Data owner")],
        },
    );
    let text =
        "the cluster does not accept this token: a JWT needs the audience api or job, an API key the scope PROJECT";
    assert_eq!(this.get(LIST, "Bearer git").error(), (403, 320_004, text));
    let log = this.server.stop();
    assert!(!log.contains("canary"), "{log}");
    let file = std::fs::read(world.directory.join("roles.db")).expect("a file");
    assert!(!file.windows(6).any(|window| window == b"canary"));
}

#[test]
fn the_certificate_of_the_cluster_is_always_checked() {
    let world = World::sqlite();
    let (cluster, pem) = Cluster::start_with_tls();
    cluster.knows(
        OWNER_JWT,
        Known { email: "o@h", is_admin: false, good_for: &["api"], rows: vec![(119, "churn", "Data owner")] },
    );
    let authority = world.directory.join("authority.pem");
    std::fs::write(&authority, pem).expect("a file");
    let authority = authority.to_str().expect("UTF-8");
    let options = ["--identity", "hopsworks", "--hopsworks-url", &cluster.url()];
    let list = |path: &str, variables: &[(&str, &str)]| {
        let server = world.serve_with(&options, &[variables, &[("AWS_EC2_METADATA_DISABLED", "true")]].concat());
        let answer = server.send("GET", &format!("{API}{path}"), &[&format!("Authorization: {OWNER_JWT}")]);
        (answer.status, answer.text)
    };
    let (status, text) = list(ADMIN, &[]);
    assert!(status == 502 && text.contains("certificate"), "{text}");
    assert_eq!(list(LIST, &[("DOMAIN_CA_TRUSTSTORE_PEM", authority)]).0, 200);

    let serve = [&["serve", "--listen", "127.0.0.1:0"], &options[..]].concat();
    let ran = world.run_with(&serve, &[("REQUESTS_VERIFY", "false")]);
    assert_eq!(ran.code, Some(1));
    let said = ran.stderr;
    assert!(said.starts_with("the certificate of the cluster is always checked; unset REQUESTS_VERIFY"), "{said}");
}

#[test]
fn a_cluster_needs_its_url_and_only_a_cluster_does() {
    let world = World::sqlite();
    for (options, text) in [
        (&["--identity", "hopsworks"][..], "--hopsworks-url <URL>"),
        (&["--hopsworks-url", "https://hops.example.org"], "--hopsworks-url requires --identity hopsworks"),
        (
            &["--identity", "hopsworks", "--hopsworks-url", "http://hops.example.org"],
            "tokens must not travel in the clear",
        ),
    ] {
        let ran = world.run(&[&["serve", "--listen", "127.0.0.1:0"], options].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
}

/// Requests a page with a session.
pub fn page(server: &Server, path: &str, cookie: &str) -> Answer {
    server.send("GET", path, &[&format!("Cookie: {cookie}"), "Accept: text/html"])
}

pub fn signed_in(server: &Server, key: &str) -> String {
    let form = format!("key={key}");
    let headers = [format!("Origin: {}", server.url), format!("Content-Length: {}", form.len())];
    let answer =
        server.try_send_with("POST", "/sign-in", &headers.each_ref().map(String::as_str), &form).expect("an answer");
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.header("set-cookie").split(';').next().expect("a cookie").to_owned()
}
