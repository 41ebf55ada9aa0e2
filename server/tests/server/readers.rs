//! Who reads what: a browser gets pages, a member what a member can do, the log no word of a query, the audit who it was.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::browser::Visit;
use crate::cluster::Mood as ClusterMood;
use crate::delegated::{ADMIN_JWT, OWNER_JWT, OWNER_KEY, TOKEN as CLUSTER_TOKEN, delegated};
use crate::fairness::project_with_a_member;
use crate::sts::{Mood, Sts};
use crate::world::{API, Answer, Server, World, on_both_stores};

const TOKEN: &str = "/project/1/cloud/aws/session-token";

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type").starts_with("text/html") && !answer.header("content-security-policy").is_empty()
}

/// Sends the head of a form and not its body, so that the request stays under way.
fn begin_form(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let (host, url) = (server.address(), &server.url);
    let head = format!("POST /sign-in HTTP/1.1\r\nHost: {host}\r\nOrigin: {url}\r\nContent-Length: 9\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream
}

on_both_stores! {
    fn a_browser_gets_a_page_for_an_address_that_is_damaged(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        for path in [
            "/admin/role-mappings/x",
            "/admin/role-mappings/x/remove",
            "/admin/role-mappings/x/try",
            "/admin/projects/x",
            "/admin/projects/x/remove-member",
            "/projects/x",
        ] {
            let answer = admin.get(path);
            assert!(answer.status == 400 && is_page(&answer), "{path}: {answer:?}");
        }
        for path in ["/admin/role-mappings/x", "/admin/role-mappings/x/remove", "/admin/role-mappings/x/try", "/admin/projects/x",
            "/admin/projects/x/remove-member", "/projects/x/default"] {
            let answer = admin.post(path, &[]);
            assert!(answer.status == 400 && is_page(&answer), "{path}: {answer:?}");
        }
        let rest = server.get("/admin/cloud/role-mappings/x", &key);
        assert_eq!(rest.error(), (400, 120_001, "id: \"x\" in the path is not a number"));
        let long = admin.post("/admin/projects", &[("name", &"x".repeat(70_000))]);
        assert!(long.status == 413 && is_page(&long), "{long:?}");
    }

    fn a_member_reads_what_a_member_can_do_and_the_log_has_the_remedy_of_the_operator(world: &World) {
        let key = project_with_a_member(world);
        let server = world.serve();
        let answer = server.get(TOKEN, &key);
        let (status, code, text) = answer.error();
        assert_eq!((status, code), (400, 380_001), "{text}");
        for word in ["AWS_", "aws ec2", "profile", "metadata"] {
            assert!(!text.contains(word), "{text}");
        }
        let id = answer.header("x-request-id");
        assert!(text.contains("ask an administrator of the server") && text.contains(id), "{text}");
        let reason = &world.sql("select reason from audit where outcome = 'refused'")[0][0];
        assert!(reason.contains("AWS_"), "the administrator reads the cause: {reason}");
        let log = server.stop();
        let line = log.lines().find(|line| line.contains(&format!("request={id} "))).expect("a line");
        assert!(line.contains("AWS_"), "{line}");
    }

    fn a_member_whom_sts_refuses_reads_what_sts_said_and_whom_to_ask(world: &World) {
        let key = project_with_a_member(world);
        let sts = Sts::start();
        sts.is(Mood::Refuses);
        let server = sts.serve(world);
        let answer = server.get(TOKEN, &key);
        let text = answer.error().2;
        assert!(text.contains("AccessDenied: User: arn:aws:iam::123456789012:user/base is not authorized"), "{text}");
        assert!(!text.contains("check both policies"), "{text}");
        let id = answer.header("x-request-id");
        assert!(text.contains("ask an administrator of the server") && text.contains(id), "{text}");
        sts.is(Mood::HangsUp);
        let answer = server.get(TOKEN, &key);
        let text = answer.error().2;
        assert_eq!((answer.status, answer.error().1), (502, 380_001), "{text}");
        assert!(text.contains("try again") && text.contains(answer.header("x-request-id")), "{text}");
        let log = server.stop();
        assert!(log.contains("check both policies"), "{log}");
    }

    fn the_log_holds_no_word_of_a_query_and_names_the_parameter(world: &World) {
        let key = project_with_a_member(world);
        let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        let list = "/project/1/cloud/role-mappings";
        let mappings = "/admin/cloud/role-mappings";
        let arn = "arn:aws:iam::123456789012:role/canary";
        for (method, path, status, name) in [
            ("GET", format!("{list}?filter_by=canary"), 400, "filter_by"),
            ("GET", format!("{list}?filter_by=project_id:canary"), 400, "filter_by"),
            ("GET", format!("{list}?filter_by=project_role:canary"), 400, "filter_by"),
            ("GET", format!("{list}?filter_by=canary:1"), 400, "filter_by"),
            ("GET", format!("{list}?sort_by=canary"), 400, "sort_by"),
            ("GET", format!("{list}?limit=canary"), 400, "limit"),
            ("GET", format!("{list}?canary=%00"), 400, "120001"),
            ("GET", format!("{TOKEN}?roleARN=canary"), 400, "roleARN"),
            ("GET", format!("{TOKEN}?roleARN={arn}"), 400, "380003"),
            ("GET", format!("{TOKEN}?roleSessionName=can%20ary:canary"), 400, "roleSessionName"),
            ("GET", format!("{TOKEN}?durationSeconds=canary"), 400, "durationSeconds"),
            ("GET", format!("{TOKEN}?durationSeconds=77777"), 400, "duration"),
            ("POST", format!("{mappings}?cloudRole={arn}&projectId=99&projectRole=canary"), 400, "projectRole"),
            ("POST", format!("{mappings}?cloudRole=canary&projectId=1&projectRole=ALL"), 400, "cloudRole"),
            ("POST", format!("{mappings}?cloudRole={arn}&projectId=888888&projectRole=ALL"), 404, "150004"),
            ("POST", format!("{mappings}?cloudRole={arn}&projectId=1&projectRole=ALL&externalId=can%20ary-canary"), 400, "externalId"),
            ("POST", format!("{mappings}?cloudRole={arn}&projectId=1&projectRole=DATA_SCIENTIST"), 201, ""),
            ("POST", format!("{mappings}?cloudRole={arn}&projectId=1&projectRole=DATA_SCIENTIST"), 400, "380004"),
            ("GET", format!("{TOKEN}?roleARN={arn}"), 403, "380002"),
            ("PUT", format!("{mappings}/1?defaultRole=canary"), 400, "defaultRole"),
        ] {
            let caller = if path.starts_with("/admin") { &admin } else { &key };
            let answer = server.ask(method, &path, caller);
            assert_eq!(answer.status, status, "{path}: {}", answer.text);
            let id = answer.header("x-request-id").to_owned();
            server.wait_for_log(&format!("request={id} "));
            let log = server.log();
            let line = log.lines().find(|line| line.contains(&id)).expect("a line");
            for word in ["canary", "can ary", "77777", "888888"] {
                assert!(!line.contains(word), "{path}: {line}");
            }
            assert!(line.contains(name), "{path}: {line}");
        }
        let uncut = "canary".repeat(1000);
        let answer = server.get(&format!("{list}?filter_by={uncut}"), &key);
        assert!(answer.text.len() < 1000, "{}", answer.text);
    }

    fn the_log_says_why_a_form_was_refused_and_no_word_of_it(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        world.done(&["project", "add", "canaries"]);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        for (path, fields, cause) in [
            ("/admin/projects", &[("name", "canary x")][..], "Illegal argument (120001)"),
            ("/admin/projects", &[("name", "canaries")], "Conflict (409)"),
            ("/admin/users", &[("email", "canary")], "Illegal argument (120001)"),
            ("/admin/projects/1", &[("email", "canary@example.org"), ("project_role", "DATA_OWNER")], "Not Found (404)"),
            ("/admin/role-mappings", &[("project", "canary"), ("project_role", "ALL"), ("role", "arn:aws:iam::123456789012:role/x")],
             "No such project (150004)"),
            ("/admin/role-mappings", &[("project", "1"), ("project_role", "ALL"), ("role", "canary")], "Illegal argument (120001)"),
        ] {
            let answer = admin.post(path, fields);
            assert!((400..410).contains(&answer.status) && is_page(&answer), "{path}: {answer:?}");
            let id = answer.header("x-request-id").to_owned();
            server.wait_for_log(&format!("request={id} "));
            let log = server.log();
            let line = log.lines().find(|line| line.contains(&id)).expect("a line");
            assert!(line.contains(&format!("cause=\"{cause}")) && !line.contains("canar"), "{path}: {line}");
        }
    }

    fn a_misleading_name_of_an_old_version_is_shown_to_nobody(world: &World) {
        let this = delegated(world);
        world.sql("insert into projects (id, name) values (200, '300')");
        world.sql("insert into projects (id, name) values (201, 'project-300')");
        world.sql("insert into role_mappings (id, project_id, project_role, role_arn, is_default) values (50, 200, 'ALL', 'arn:aws:iam::123456789012:role/old', 1)");
        world.sql("insert into role_mappings (id, project_id, project_role, role_arn, is_default) values (51, 201, 'ALL', 'arn:aws:iam::123456789012:role/old', 1)");
        world.sql(
            "insert into audit (id, at, actor, action, outcome, project_id, project_name) values ('old', 1, 'x', 'mapping change', 'changed', 200, '300')",
        );
        let listed = world.done(&["mapping", "list"]);
        assert!(listed.contains("50\t200\tproject-200\t") && listed.contains("51\t201\tproject-201\t"), "{listed}");
        for project in ["200", "project-200"] {
            assert!(world.done(&["mapping", "list", project]).starts_with("50\t200\tproject-200\t"));
        }
        assert_eq!(world.run(&["mapping", "list", "project-300"]).code, Some(1), "that is not the name of 201");
        for path in ["/admin/cloud/role-mappings", "/admin/cloud/role-mappings?sort_by=id:desc", "/admin/cloud/role-mappings/50"] {
            let answer = this.get(path, ADMIN_JWT);
            assert!(answer.text.contains("\"projectName\":\"project-200\""), "{path}: {}", answer.text);
            assert!(!answer.text.contains("\"300\"") && !answer.text.contains("project-300"), "{path}: {}", answer.text);
        }
        let changed = this.ask("PUT", "/admin/cloud/role-mappings/51?defaultRole=false", ADMIN_JWT);
        assert_eq!(changed.json["projectName"], "project-201", "{}", changed.text);
        let path = world.directory.join("roles.json");
        let file = "[{\"project\":\"200\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/new\"},\
                    {\"project\":\"300\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/new\"}]";
        std::fs::write(&path, file).expect("a file");
        let applied = world.done(&["mapping", "apply", path.to_str().expect("UTF-8")]);
        assert!(applied.contains("project-200") && applied.contains("project-300"), "{applied}");
        assert!(!applied.contains("\"300\""), "{applied}");
        assert_eq!(
            world.sql("select distinct project_id, project_name from audit where action = 'mapping change' and id <> 'old' order by 1"),
            [["119", "project-119"], ["200", "project-200"], ["201", "project-201"], ["300", "project-300"]]
        );
        this.cluster.knows(ADMIN_KEY, crate::cluster::Known {
            email: "admin@hopsworks.ai", is_admin: true, good_for: &["PROJECT", "ADMIN"], rows: vec![],
        });
        let admin = Visit::sign_in(&this.server, ADMIN_KEY.trim_start_matches("ApiKey "));
        for path in ["/admin/role-mappings", "/admin/audit"] {
            let page = admin.page(path);
            assert!(page.contains("project-200") && !page.contains(">300<"), "{path}: {page}");
        }
    }

    fn a_file_of_a_cluster_reaches_projects_that_a_fresh_database_does_not_know_yet(world: &World) {
        let this = delegated(world);
        world.done(&["mapping", "add", "500", "all", "arn:aws:iam::123456789012:role/x", "--default"]);
        let path = world.directory.join("export.json");
        std::fs::write(&path, world.done(&["mapping", "export"])).expect("a file");
        let fresh = if world.database.starts_with("sqlite") { World::sqlite() } else { World::postgres() };
        let server = crate::delegated::serve(&fresh, &this.cluster.url(), &this.sts);
        let path = path.to_str().expect("UTF-8");
        assert_eq!(fresh.done(&["mapping", "apply", path, "--dry-run"]).lines().count(), 2);
        assert_eq!(fresh.sql("select count(*) from projects"), [["0"]]);
        assert_eq!(fresh.done(&["mapping", "apply", path]).lines().count(), 2);
        assert_eq!(fresh.done(&["mapping", "export"]), world.done(&["mapping", "export"]));
        assert_eq!(fresh.done(&["mapping", "apply", path]), "");
        let answer = server.send("GET", &format!("{API}{CLUSTER_TOKEN}"), &[&format!("Authorization: {OWNER_JWT}")]);
        assert_eq!(answer.status, 200, "{}", answer.text);
        for arguments in [&["mapping", "list", "777"][..], &["mapping", "list", "nowhere"], &["mapping", "add", "0", "all", "arn:aws:iam::123456789012:role/x"]] {
            let said = fresh.failed(arguments);
            assert!(!said.contains("project add"), "that command is refused here: {said}");
        }
        let zero = "[{\"project\":\"0\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/x\"}]";
        let file = fresh.directory.join("zero.json");
        std::fs::write(&file, zero).expect("a file");
        let said = fresh.failed(&["mapping", "apply", file.to_str().expect("UTF-8")]);
        assert!(said.contains("\"0\"") && !said.contains("project add"), "{said}");
    }

    fn a_caller_whom_nobody_knows_fills_no_audit_and_a_known_one_with_a_damaged_path_is_on_record(world: &World) {
        let this = delegated(world);
        let rows = || world.sql("select count(*) from audit where action = 'session-token'")[0][0].clone();
        this.cluster.knows("Bearer git", crate::cluster::Known {
            email: "owner@hopsworks.ai", is_admin: false, good_for: &["git"], rows: vec![],
        });
        assert_eq!(this.get(CLUSTER_TOKEN, "Bearer nobody").status, 401);
        assert_eq!(this.get(CLUSTER_TOKEN, "Bearer git").error().1, 320_004);
        this.cluster.is(ClusterMood::HangsUp);
        assert_eq!(this.get(CLUSTER_TOKEN, "ApiKey other.key").status, 502);
        this.cluster.is(ClusterMood::Tells);
        assert_eq!(rows(), "0");
        assert_eq!(this.server.metric("session_tokens_total{outcome=\"unknown\"}"), 3.0);
        for _ in 0..50 {
            let refused = this.get("/project/x/cloud/aws/session-token", OWNER_KEY);
            assert_eq!(refused.error(), (400, 120_001, "project: \"x\" in the path is not a number"));
        }
        this.server.stop();
        assert_eq!(
            world.sql("select actor, outcome, project_id, project_name, reason, key_prefix, times from audit where action = 'session-token'"),
            [["owner@hopsworks.ai", "refused", "-", "-", "project: \"x\" in the path is not a number", "ownerprefix", "50"]]
        );
    }

    fn a_damaged_default_is_told_and_no_other_role_takes_its_place(world: &World) {
        let key = project_with_a_member(world);
        let own = world.done(&["mapping", "add", "churn", "data-owner", "arn:aws:iam::123456789012:role/owners", "--default"]);
        let sts = Sts::start();
        let server = sts.serve(world);
        assert_eq!(server.get(TOKEN, &key).status, 200);
        sts.asked();
        for damage in [
            "update role_mappings set source_identity = 2 where is_default = 1 and project_role <> 'ALL'",
            "update role_mappings set source_identity = 0, external_id = 'a b' where is_default = 1 and project_role <> 'ALL'",
            "update role_mappings set external_id = null, role_arn = 'arn:aws:iam::1:role/' || role_arn where is_default = 1 and project_role <> 'ALL'",
        ] {
            world.sql(damage);
            for path in [TOKEN, "/project/1/cloud/role-mappings/default"] {
                let answer = server.get(path, &key);
                let (status, code, text) = answer.error();
                assert_eq!((status, code), (400, 380_003), "{damage}: {path}: {text}");
                assert!(text.contains("damaged") && text.contains(&format!("role mapping {own}")), "{text}");
            }
        }
        assert_eq!(sts.asked().len(), 0);
        let log = server.stop();
        assert!(log.contains(&format!("damaged row: role mapping {own} of project 1: column source_identity of table role_mappings: it is neither 0 nor 1")), "{log}");
    }
}

/// A key that the cluster of `delegated` learns from a test.
const ADMIN_KEY: &str = "ApiKey adminprefix.canarysecret";

#[test]
fn a_browser_gets_a_page_when_a_request_takes_too_long() {
    let world = World::sqlite();
    let server = world.serve();
    let mut reply = String::new();
    let mut stream = begin_form(&server);
    let begin = Instant::now();
    while !reply.contains("</html>") && begin.elapsed() < Duration::from_secs(20) {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).expect("the server answers");
        assert!(read > 0, "{reply}");
        reply.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    let head = reply.to_lowercase();
    assert!(head.contains("content-type: text/html") && head.contains("content-security-policy: "), "{reply}");
    assert!(head.contains("retry-after: 1") && !reply.contains("Nothing was changed"), "nobody knows: {reply}");
}

fn a_browser_and_a_program_are_refused(server: &Server) {
    let page = server.send("GET", "/sign-in", &["Accept: text/html"]);
    assert!(page.status == 429 && is_page(&page) && page.header("retry-after") == "1", "{page:?}");
    assert!(!page.text.contains("correct the input"), "{}", page.text);
    let rest = server.send("GET", &format!("{API}{TOKEN}"), &["Accept: text/html"]);
    assert_eq!((rest.status, rest.json["errorCode"].as_u64()), (429, Some(429)), "{}", rest.text);
}

#[test]
fn a_browser_gets_a_page_when_too_many_requests_are_under_way() {
    let world = World::sqlite();
    let key = project_with_a_member(&world);
    let sts = Sts::start();
    sts.is(Mood::Thinks);
    // Twelve connections, so ten requests, of them half for one address.
    let program = env!("CARGO_BIN_EXE_role-mapping-server");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n 140 && exec {program} serve --listen 127.0.0.1:0 --behind-proxy")]);
    command.env_clear().env("DATABASE_URL", &world.database).envs(sts.variables());
    let server = Server::start(command);
    std::thread::scope(|scope| {
        let under_way: Vec<_> = (0..5).map(|_| scope.spawn(|| server.get(TOKEN, &key).status)).collect();
        server.wait_for_metric("waiting_for_sts", 5.0);
        a_browser_and_a_program_are_refused(&server);
        sts.is(Mood::Grants);
        assert!(under_way.into_iter().all(|asking| asking.join().expect("no panic") == 200));
    });
}

#[test]
fn a_browser_gets_a_page_when_an_address_has_too_many_connections() {
    let world = World::sqlite();
    // Twelve connections, of them half for one address.
    let server = world.serve_with_descriptors(140);
    let forms: Vec<_> = (0..6).map(|_| begin_form(&server)).collect();
    // Connections are accepted in their order.
    a_browser_and_a_program_are_refused(&server);
    drop(forms);
}
