//! Who is who: ids and names of projects, and logins of a cluster under fire.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sqlx::Executor;

use crate::cluster::Known;
use crate::delegated::{
    ADMIN, ADMIN_JWT, Delegated, LIST, OWNER_JWT, OWNER_KEY, READER, SCIENTIST_JOB, TOKEN, delegated, page, serve,
    signed_in,
};
use crate::world::{API, Answer, Server, World, block_on, connect, on_both_stores};

const SECRET: &str = "arn:aws:iam::123456789012:role/secret";
const EVE: &str = "Bearer eve";

/// Makes somebody who owns these projects.
fn owner_of(rows: &[(i64, &'static str)]) -> Known {
    let rows = rows.iter().map(|(id, name)| (*id, *name, "Data owner")).collect();
    Known { email: "eve@hopsworks.ai", is_admin: false, good_for: &["api"], rows }
}

/// Runs `act` while somebody else has locked the database, so that nobody can write to the table of projects.
fn while_nobody_can_write<T>(world: &World, act: impl FnOnce() -> T) -> T {
    let lock = if world.database.starts_with("sqlite") {
        "begin immediate"
    } else {
        "begin; lock table projects in exclusive mode"
    };
    block_on(async {
        let mut connection = connect(&world.database).await;
        connection.execute(lock).await.expect("the lock");
        let outcome = act();
        connection.execute("rollback").await.expect("the lock is released");
        outcome
    })
}

fn post_form(server: &Server, path: &str, cookie: &str, body: &str) -> Answer {
    let headers =
        [format!("Cookie: {cookie}"), format!("Origin: {}", server.url), format!("Content-Length: {}", body.len())];
    server.try_send_with("POST", path, &headers.each_ref().map(String::as_str), body).expect("an answer")
}

/// Signs an administrator of the cluster in; returns the cookie and the token of the forms.
fn admin_of(this: &Delegated, rows: Vec<(i64, &'static str, &'static str)>) -> (String, String) {
    let known = Known { email: "admin@hopsworks.ai", is_admin: true, good_for: &["PROJECT", "ADMIN"], rows };
    this.cluster.knows("ApiKey strong.canary", known);
    let cookie = signed_in(&this.server, "strong.canary");
    let home = page(&this.server, "/", &cookie).text;
    let token = home.split_once("name=\"form_token\" value=\"").expect("a token").1.split('"').next().expect("its end");
    (cookie, token.to_owned())
}

on_both_stores! {
    fn a_project_named_like_the_id_of_another_one_never_gets_its_roles(world: &World) {
        let this = delegated(world);
        this.cluster.knows(EVE, owner_of(&[(150, "119"), (151, "project-119"), (152, "1e2\u{202e}")]));
        for id in [150, 151, 152] {
            // The server knows Eve's projects, and has seen them before it writes to the other one again.
            assert_eq!(world.run(&["mapping", "add", &id.to_string(), "all", READER]).code, Some(0));
            let list = this.get(&format!("/project/{id}/cloud/role-mappings"), EVE);
            assert_eq!(list.json["items"][0]["projectName"], format!("project-{id}"), "{}", list.text);
        }
        world.done(&["mapping", "add", "119", "data-owner", SECRET]);
        assert_eq!(world.sql("select project_id from role_mappings where role_arn like '%secret'"), [["119"]]);
        let names: Vec<String> = world.done(&["mapping", "list"]).lines().map(|line| {
            line.split('\t').skip(1).take(2).collect::<Vec<_>>().join(" ")
        }).collect();
        assert_eq!(names, ["119 project-119", "150 project-150", "151 project-151", "152 project-152", "119 project-119"]);
        // A row that a server without this rule wrote, before the row of the other project.
        world.sql("insert into projects (id, name) values (200, '300'), (300, 'sales')");
        world.done(&["mapping", "add", "300", "all", "arn:aws:iam::123456789012:role/other"]);
        assert_eq!(world.sql("select project_id from role_mappings where role_arn like '%other'"), [["300"]]);
        assert_eq!(world.done(&["mapping", "list", "300"]).lines().count(), 1);
        let all = world.sql("select id, project_id, project_role, role_arn, is_default from role_mappings order by id");

        let file = world.directory.join("mappings.json");
        let exported = world.done(&["mapping", "export"]);
        assert!(exported.contains("{\"project\":\"119\"") && exported.contains("{\"project\":\"150\""), "{exported}");
        std::fs::write(&file, exported).expect("a file");
        assert_eq!(world.done(&["mapping", "apply", file.to_str().expect("UTF-8")]), "");
        let same = world.sql("select id, project_id, project_role, role_arn, is_default from role_mappings order by id");
        assert_eq!(same, all);
        for login in [EVE, SCIENTIST_JOB] {
            let refused = this.get(&format!("{}?roleARN={SECRET}", TOKEN.replace("119", "150")), login);
            assert!([(400, 380_003), (403, 160_000)].contains(&(refused.error().0, refused.error().1)), "{}", refused.text);
        }
    }

    fn a_name_that_passes_to_another_project_takes_no_role_along(world: &World) {
        let this = delegated(world);
        assert_eq!(this.get(LIST, SCIENTIST_JOB).json["items"][0]["projectName"], "churn");
        // Two projects of Eve swap names with each other; one is named as 119 was.
        this.cluster.knows(EVE, owner_of(&[(150, "a"), (151, "b")]));
        world.done(&["mapping", "add", "150", "all", "arn:aws:iam::123456789012:role/r150"]);
        world.done(&["mapping", "add", "151", "all", "arn:aws:iam::123456789012:role/r151"]);
        assert_eq!(this.get("/project/150/cloud/role-mappings", EVE).ids(), [2]);
        assert_eq!(world.sql("select id, name from projects order by id"), [["119", "churn"], ["150", "a"], ["151", "b"]]);
        this.cluster.knows("Bearer later", owner_of(&[(150, "b"), (151, "churn")]));
        assert_eq!(this.get("/project/150/cloud/role-mappings", "Bearer later").ids(), [2]);
        assert_eq!(
            world.sql("select id, name from projects order by id"),
            [["119", "project-119"], ["150", "b"], ["151", "churn"]]
        );
        // The command line knows names that may be old, so it takes the id.
        let text = world.failed(&["mapping", "add", "churn", "all", SECRET]);
        assert!(text.starts_with("\"churn\" is not a project's id; projects live in the cluster http://"), "{text}");
        // The form takes the names of this moment: "churn" is 130 by now.
        let (cookie, token) = admin_of(&this, vec![(130, "churn", "Data owner")]);
        let body = format!("project=churn&project_role=ALL&role={SECRET}&form_token={token}");
        assert_eq!(post_form(&this.server, "/admin/role-mappings", &cookie, &body).status, 303);
        assert_eq!(world.sql("select project_id from role_mappings where role_arn like '%secret'"), [["130"]]);
        let body = format!("project=b&project_role=ALL&role={SECRET}&form_token={token}");
        let refused = post_form(&this.server, "/admin/role-mappings", &cookie, &body);
        assert!(refused.text.contains("You are not a member of a project b in the cluster; give its id."), "{}", refused.text);
    }

    fn an_id_below_one_does_not_exist_anywhere(world: &World) {
        let this = delegated(world);
        this.cluster.knows(EVE, owner_of(&[(0, "zero"), (-7, "less")]));
        let (cookie, token) = admin_of(&this, vec![(0, "zero", "Data owner")]);
        for id in ["0", "-7"] {
            let post = format!("{ADMIN}?cloudRole={SECRET}&projectId={id}&projectRole=ALL");
            assert_eq!(this.ask("POST", &post, ADMIN_JWT).error().1, 150_004, "{id}");
            assert_ne!(world.run(&["mapping", "add", id, "all", SECRET]).code, Some(0), "{id}");
            let body = format!("project={id}&project_role=ALL&role={SECRET}&form_token={token}");
            assert_eq!(post_form(&this.server, "/admin/role-mappings", &cookie, &body).status, 400, "{id}");
            assert!([400, 403].contains(&this.get(&LIST.replace("119", id), EVE).status), "{id}");
            assert!([400, 403].contains(&this.get(&TOKEN.replace("119", id), EVE).status), "{id}");
        }
        let file = world.directory.join("zero.json");
        std::fs::write(&file, format!("[{{\"project\":\"0\",\"project_role\":\"all\",\"role\":\"{SECRET}\"}}]")).expect("a file");
        world.failed(&["mapping", "apply", file.to_str().expect("UTF-8")]);
        assert_eq!(world.sql("select id from projects"), [["119"]]);
    }

    fn asking_for_the_head_of_credentials_makes_none(world: &World) {
        let this = delegated(world);
        for method in ["HEAD", "POST", "OPTIONS"] {
            let answer = this.ask(method, TOKEN, OWNER_JWT);
            assert_eq!((answer.status, answer.header("allow")), (405, "GET"), "{method}");
        }
        assert_eq!(this.sts.asked().len(), 0);
        assert_eq!(world.sql("select count(*) from audit where action = 'session-token'"), [["0"]]);
        assert_eq!(this.ask("HEAD", LIST, OWNER_JWT).status, 200);
    }

    fn reading_needs_no_write(world: &World) {
        let this = delegated(world);
        // The database has another name, and it cannot be written.
        this.cluster.knows(EVE, owner_of(&[(119, "eves"), (150, "new")]));
        while_nobody_can_write(world, || {
            for login in [EVE, OWNER_JWT, SCIENTIST_JOB] {
                let begin = Instant::now();
                let list = this.get(LIST, login);
                assert_eq!((list.status, list.ids()), (200, vec![1]), "{login}: {}", list.text);
                assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
            }
            assert_eq!(this.get(LIST, EVE).json["items"][0]["projectName"], "eves");
            assert_eq!(this.get(&format!("{LIST}/1"), OWNER_JWT).json["projectName"], "churn");
        });
        assert_eq!(world.sql("select id, name from projects"), [["119", "project-119"]]);
    }

    fn a_page_of_all_mappings_writes_no_project(world: &World) {
        let this = delegated(world);
        let rows = vec![(119, "churn", "Data owner"), (130, "forecast", "Data owner"), (131, "sales", "Data owner")];
        let (cookie, _) = admin_of(&this, rows);
        let shown = page(&this.server, "/admin/role-mappings", &cookie).text;
        assert!(shown.contains("<option value=\"forecast\">"), "{shown}");
        assert_eq!(world.sql("select id, name from projects"), [["119", "churn"]]);
    }

    fn a_name_that_another_server_wrote_counts_without_a_restart(world: &World) {
        let this = delegated(world);
        assert_eq!(this.get(&format!("{LIST}/1"), OWNER_JWT).status, 200);
        world.sql("update projects set name = 'renamed' where id = 119");
        for _ in 0..2 {
            let found = this.get(&format!("{LIST}/1"), OWNER_JWT);
            assert_eq!((found.status, found.json["projectName"].as_str()), (200, Some("churn")), "{}", found.text);
        }
        assert_eq!(this.ask("PUT", &format!("{LIST}/1?defaultRole=false"), OWNER_JWT).status, 200);
    }

    fn an_address_with_too_many_wrong_tokens_makes_no_calls_and_known_logins_do(world: &World) {
        let this = delegated(world);
        assert_eq!(this.get(LIST, OWNER_KEY).status, 200);
        assert_eq!(this.get(LIST, SCIENTIST_JOB).status, 200);
        this.cluster.asked();
        for number in 0..20 {
            let wrong = this.get(LIST, &format!("Bearer wrong{number}"));
            assert_eq!(wrong.error().1, 320_013, "{}", wrong.text);
        }
        assert_eq!(this.cluster.asked().len(), 20);
        for number in 20..40 {
            let jammed = this.get(LIST, &format!("Bearer wrong{number}"));
            let wait: u64 = jammed.header("retry-after").parse().expect("seconds");
            let text = format!("too many wrong tokens and API keys came from this address; try again in {wait} s");
            assert_eq!(jammed.error(), (429, 429, text.as_str()));
        }
        let form = post_form(&this.server, "/sign-in", "none=x", "key=wrong.key");
        assert_eq!(form.status, 429);
        assert_eq!(this.cluster.asked(), Vec::<String>::new(), "calls for unknown tokens");
        // A login that was good passes, from its answer and from the cluster.
        assert_eq!(this.get(LIST, OWNER_KEY).status, 200);
        assert_eq!(this.get(ADMIN, OWNER_KEY).error().1, 320_003);
        // A token that has ended is refused by the cluster, which its client understands at once.
        this.cluster.forgets(SCIENTIST_JOB);
        assert_eq!(this.get(ADMIN, SCIENTIST_JOB).status, 401);
        this.cluster.asked();
        for _ in 0..3 {
            assert_eq!(this.get(LIST, SCIENTIST_JOB).status, 401);
        }
        assert_eq!(this.cluster.asked(), Vec::<String>::new(), "calls for a token that was refused a moment ago");
        assert_eq!(this.server.metric("wrong_keys_total"), 44.0);
    }

    fn unknown_tokens_count_as_wrong_until_the_cluster_has_answered(world: &World) {
        let this = delegated(world);
        let gate = this.cluster.hold();
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..60).map(|number| {
                let this = &this;
                scope.spawn(move || this.get(LIST, &format!("Bearer wrong{number}")).status)
            }).collect();
            while this.cluster.under_way() < 20 {
                std::thread::yield_now();
            }
            drop(gate);
            let mut statuses: Vec<u16> = asking.into_iter().map(|asking| asking.join().expect("no panic")).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [[401; 20].as_slice(), &[429; 40]].concat());
        });
        assert_eq!(this.cluster.asked().len(), 20);
    }

    fn many_new_valid_tokens_at_once_all_pass(world: &World) {
        let this = delegated(world);
        for number in 0..60 {
            this.cluster.knows(&format!("Bearer good{number}"), owner_of(&[(119, "churn")]));
        }
        let gate = this.cluster.hold();
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..60).map(|number| {
                let this = &this;
                scope.spawn(move || this.get(LIST, &format!("Bearer good{number}")).status)
            }).collect();
            while this.cluster.under_way() < 20 {
                std::thread::yield_now();
            }
            drop(gate);
            for asking in asking {
                assert_eq!(asking.join().expect("no panic"), 200);
            }
        });
    }

    fn a_client_that_hangs_up_leaves_nothing_behind(world: &World) {
        let this = delegated(world);
        let gate = this.cluster.hold();
        let hung_up: Vec<TcpStream> = (0..20).map(|number| {
            let mut stream = TcpStream::connect(this.server.address()).expect("the server listens");
            let head = format!("GET {API}{LIST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer gone{number}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("the server reads");
            stream
        }).collect();
        while this.cluster.under_way() < 20 {
            std::thread::yield_now();
        }
        drop(hung_up);
        this.server.wait_for_metric("connections", 1.0);
        drop(gate);
        // None of them counts as wrong, and none of them keeps a place.
        for number in 0..20 {
            assert_eq!(this.get(LIST, &format!("Bearer wrong{number}")).status, 401);
        }
        assert_eq!(this.get(LIST, "Bearer wrong20").status, 429);
    }

    fn the_cluster_learns_the_address_of_the_client(world: &World) {
        let this = delegated(world);
        this.cluster.forwarded_for();
        this.get(LIST, OWNER_JWT);
        this.get(ADMIN, OWNER_JWT);
        assert_eq!(this.cluster.forwarded_for(), ["127.0.0.1", "127.0.0.1"]);
    }

    fn a_request_without_a_login_learns_both_schemes_of_a_cluster(world: &World) {
        let this = delegated(world);
        let text = "the request has no login that the cluster knows; send the header \"Authorization: Bearer <JWT>\" or \
                    \"Authorization: ApiKey <key>\"";
        for headers in [&[][..], &["Authorization: Basic eDp5"], &["Authorization: Bearer nobody"]] {
            let answer = this.server.send("GET", &format!("{API}{LIST}"), headers);
            assert_eq!(answer.error(), (401, 320_013, text), "{headers:?}");
            let schemes = "Bearer realm=\"role-mapping-server\", ApiKey realm=\"role-mapping-server\"";
            assert_eq!(answer.header("www-authenticate"), schemes);
        }
        let own = World::sqlite();
        let answer = own.serve().send("GET", &format!("{API}{LIST}"), &[]);
        assert_eq!(answer.header("www-authenticate"), "ApiKey realm=\"role-mapping-server\"");
    }

    fn a_control_character_is_refused_and_never_fails(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        let cookie = signed_in(&server, &key);
        let home = page(&server, "/", &cookie).text;
        let token = home.split_once("name=\"form_token\" value=\"").expect("a token").1.split('"').next().expect("its end");
        let long = "%5F".repeat(3000);
        for bad in ["%00", "a%00b", "%0A", "%1B%5B2J", "%7F", "%C2%85"] {
            for path in ["/admin/audit?q=", "/admin/role-mappings?q=", "/admin/role-mappings?project="] {
                assert_eq!(page(&server, &format!("{path}{bad}"), &cookie).status, 400, "{path}{bad}");
            }
            for (path, body) in [
                ("/admin/projects", format!("name={bad}")),
                ("/admin/users", format!("email=a{bad}@b")),
                ("/admin/role-mappings", format!("project={bad}&project_role=ALL&role={READER}")),
            ] {
                let answer = post_form(&server, path, &cookie, &format!("{body}&form_token={token}"));
                assert_eq!(answer.status, 400, "{path} {bad}: {}", answer.text);
            }
            let list = server.get(&format!("{ADMIN}?filter_by=cloud_role:{bad}"), &key);
            assert_eq!(list.error(), (400, 120_001, "filter_by: it has a control character"), "{bad}");
            assert_eq!(server.get(&format!("/project/{bad}/cloud/role-mappings"), &key).status, 400, "{bad}");
            assert_eq!(server.get(&format!("/project/1{bad}/cloud/role-mappings"), &key).status, 400, "{bad}");
            let wrong = post_form(&server, "/sign-in", "none=x", &format!("key={bad}.x"));
            assert_eq!(wrong.status, 403, "{bad}: {}", wrong.text);
        }
        assert_eq!(server.metric("wrong_keys_total"), 6.0);
        for (path, body) in [("/admin/projects", "name"), ("/admin/users", "email"), ("/admin/role-mappings", "project")] {
            let answer = post_form(&server, path, &cookie, &format!("{body}={long}&form_token={token}"));
            assert_eq!(answer.status, 400, "{path}");
        }
        assert_eq!(post_form(&server, "/sign-in", "none=x", &format!("key={long}")).status, 403);
        for illegal in ["ada\u{200b}@example.org", "ada@example.org\u{202e}", "a\u{ad}da@example.org"] {
            assert_eq!(world.run(&["user", "add", illegal]).code, Some(2), "{illegal:?}");
            let body = form_urlencoded::Serializer::new(format!("form_token={token}&")).append_pair("email", illegal).finish();
            assert_eq!(post_form(&server, "/admin/users", &cookie, &body).status, 400, "{illegal:?}");
        }
        assert_eq!(world.sql("select count(*) from users"), [["1"]]);
    }

    fn a_browser_is_told_to_keep_to_tls_where_the_server_speaks_it(world: &World) {
        let header = |options: &[&str], path: &str| {
            let server = world.serve_with(options, &[("AWS_EC2_METADATA_DISABLED", "true")]);
            server.send("GET", path, &[]).header("strict-transport-security").to_owned()
        };
        for path in ["/sign-in", "/healthz", "/openapi.json", "/nowhere"] {
            assert_eq!(header(&["--behind-proxy"], path), "max-age=31536000", "{path}");
            assert_eq!(header(&[], path), "", "{path}");
        }
    }

    fn only_the_command_line_tells_commands(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        world.done(&["project", "add", "churn"]);
        let server = world.serve();
        let cookie = signed_in(&server, &key);
        let home = page(&server, "/", &cookie).text;
        let token = home.split_once("name=\"form_token\" value=\"").expect("a token").1.split('"').next().expect("its end");
        let texts = [
            server.ask("POST", &format!("{ADMIN}?cloudRole={READER}&projectId=9&projectRole=ALL"), &key).text,
            post_form(&server, "/admin/role-mappings", &cookie, &format!("project=x&project_role=ALL&role={READER}&form_token={token}")).text,
            post_form(&server, "/admin/projects/1", &cookie, &format!("email=b@c&project_role=DATA_OWNER&form_token={token}")).text,
            post_form(&server, "/admin/users", &cookie, &format!("email=admin@example.org&form_token={token}")).text,
            post_form(&server, "/admin/users/new-key", &cookie, &format!("email=b@c&form_token={token}")).text,
            page(&server, "/admin/users/new-key?email=b@c", &cookie).text,
            page(&server, "/admin/projects/77", &cookie).text,
        ];
        for text in texts {
            assert!(text.contains("here is no ") || text.contains(" already exists"), "{text}");
            assert!(!text.contains("role-mapping-server "), "{text}");
        }
        let refused = post_form(&server, "/admin/role-mappings", &cookie, &format!("project=&project_role=ALL&role={READER}&form_token={token}"));
        assert!(refused.text.contains("Project: choose one."), "{}", refused.text);
        assert!(world.failed(&["mapping", "list", "9"]).ends_with("add it with: role-mapping-server project add NAME"));
    }
}

#[test]
fn a_second_server_knows_no_login_and_a_jammed_address_reaches_it_all_the_same() {
    let world = World::sqlite();
    let this = delegated(&world);
    for number in 0..21 {
        this.get(LIST, &format!("Bearer wrong{number}"));
    }
    let other = serve(&world, &this.cluster.url(), &this.sts);
    let header = format!("Authorization: {OWNER_KEY}");
    assert_eq!(other.send("GET", &format!("{API}{LIST}"), &[&header]).status, 200);
    assert_eq!(this.get(LIST, OWNER_KEY).status, 429, "an unknown login");
}
