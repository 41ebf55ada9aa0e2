//! The pages as administrators and members use them, over HTTP as a browser sends it, on both databases. The tests in
//! `tests/pages` use a real browser; they check how the pages look and who may open them.

use std::time::{Duration, Instant};

use crate::browser::{Visit, post};
use crate::sts::Sts;
use crate::world::{World, on_both_stores};

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

/// A page view writes down at most once a minute that its session is in use.
#[test]
fn views_that_wait_for_a_foreign_writer_leave_connections_for_readers() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let server = world.serve();
    let admin = Visit::sign_in(&server, &key);
    world.sql("update browser_sessions set used_at = used_at - 120000");
    crate::world::block_on(async {
        let mut connection = crate::world::connect(&world.database).await;
        sqlx::Executor::execute(&mut connection, "begin immediate").await.expect("a foreign writer");
        std::thread::scope(|scope| {
            let views: Vec<_> = (0..16).map(|_| scope.spawn(|| admin.get("/").status)).collect();
            let begin = Instant::now();
            for _ in 0..100 {
                assert_eq!(server.get("/admin/cloud/role-mappings/isAvailable", &key).status, 200);
            }
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
            // Its connection, and so its transaction, ends.
            drop(connection);
            assert!(views.into_iter().all(|view| view.join().expect("no panic") == 200));
        });
    });
}

on_both_stores! {
    fn a_form_needs_the_token_of_its_own_session(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        let (mine, mut other) = (Visit::sign_in(&server, &key), Visit::sign_in(&server, &key));
        let form = [("name", "churn")];
        assert_eq!(post(&server, "/admin/projects", &mine.cookie, &form).status, 403, "no token");
        other.cookie.clone_from(&mine.cookie);
        assert_eq!(other.post("/admin/projects", &form).status, 403, "the token of another session");
        assert_eq!(world.sql("select count(*) from projects"), [["0"]]);
        mine.send_form("/admin/projects", &form);
        assert_eq!(world.sql("select count(*) from projects"), [["1"]]);
    }

    fn a_session_ends_when_it_is_idle_or_old_and_with_its_key(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        for (ages, is_there) in [
            ("update browser_sessions set used_at = used_at - 1780000", true),
            ("update browser_sessions set used_at = used_at - 1801000", false),
            ("update browser_sessions set started_at = started_at - 43100000", true),
            ("update browser_sessions set started_at = started_at - 43201000", false),
        ] {
            let visit = Visit::sign_in(&server, &key);
            world.sql(ages);
            assert_eq!(visit.get("/admin/users").status == 200, is_there, "{ages}");
            world.sql("delete from browser_sessions");
        }
        let visit = Visit::sign_in(&server, &key);
        world.done(&["user", "key", "admin@example.org"]);
        assert_ne!(visit.get("/admin/users").status, 200, "another key");
    }

    fn a_session_of_the_pages_never_works_for_the_rest_interface(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        let target = format!("{}/admin/cloud/role-mappings", crate::world::API);
        let cookie = format!("Cookie: {}", admin.cookie);
        assert_eq!(server.send("GET", &target, &[&cookie]).status, 401);
        let id = admin.cookie.split_once('=').expect("a value").1;
        for scheme in ["ApiKey", "Bearer"] {
            assert_eq!(server.send("GET", &target, &[&format!("Authorization: {scheme} {id}")]).status, 401);
        }
    }

    fn the_cookie_is_bound_to_its_host_when_the_browser_uses_tls(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        for (options, expected) in [
            (&[][..], ("role-mapping-session=", "; Path=/; HttpOnly; SameSite=Strict")),
            (&["--behind-proxy"], ("__Host-role-mapping-session=", "; Path=/; HttpOnly; SameSite=Strict; Secure")),
        ] {
            let server = world.serve_with(options, &[("AWS_EC2_METADATA_DISABLED", "true")]);
            let answer = post(&server, "/sign-in", "none=x", &[("key", &key)]);
            let cookie = answer.header("set-cookie");
            assert!(cookie.starts_with(expected.0) && cookie.ends_with(expected.1), "{cookie}");
        }
    }

    fn the_forms_set_and_remove_external_id_and_source_identity(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        world.done(&["project", "add", "churn"]);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        let reader = role("reader");
        let fields = [("project", "churn"), ("project_role", "ALL"), ("role", reader.as_str())];
        let with = [&fields[..], &[("external_id", "9f:3c"), ("source_identity", "yes")]].concat();
        admin.send_form("/admin/role-mappings", &with);
        let table = admin.page("/admin/role-mappings");
        assert!(table.contains("external id 9f:3c") && table.contains("names the member to STS"), "{table}");
        let change = admin.page("/admin/role-mappings/1");
        assert!(change.contains("value=\"9f:3c\"") && change.contains("name=\"source_identity\" type=\"checkbox\" value=\"yes\" checked"));
        assert!(admin.page("/admin/role-mappings/1/remove").contains("9f:3c"));
        let problem = admin.post("/admin/role-mappings/1", &[&fields[..], &[("external_id", "a b")]].concat());
        assert_eq!(problem.status, 400);
        assert!(problem.text.contains("An external id has 2 to 1224 letters"), "{}", problem.text);
        let before = world.sql("select external_id, source_identity from role_mappings");
        assert_eq!(before, [["9f:3c", "1"]]);
        admin.send_form("/admin/role-mappings/1", &fields);
        assert_eq!(world.sql("select external_id, source_identity from role_mappings"), [["-", "0"]]);
    }

    fn with_the_option_for_all_mappings_no_member_joins_whose_address_sts_refuses(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        world.done(&["user", "add", "o'neil@example.org"]);
        world.done(&["project", "add", "churn"]);
        let server = world.serve_with(&["--source-identity"], &[("AWS_EC2_METADATA_DISABLED", "true")]);
        let admin = Visit::sign_in(&server, &key);
        let refused = admin.post("/admin/projects/1", &[("email", "o'neil@example.org"), ("project_role", "DATA_OWNER")]);
        assert_eq!(refused.status, 400);
        assert!(refused.text.contains("cannot be a source identity"), "{}", refused.text);
        admin.send_form("/admin/projects/1", &[("email", "admin@example.org"), ("project_role", "DATA_OWNER")]);
    }

    fn an_administrator_sets_up_a_project_and_the_audit_shows_who_got_which_role(world: &World) {
        let sts = Sts::start();
        let admin_key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = sts.serve(world);
        let admin = Visit::sign_in(&server, &admin_key);

        assert_eq!(admin.send_form("/admin/projects", &[("name", "churn")]), "/admin/projects/1?done=project-added");
        assert!(admin.post("/admin/projects", &[("name", "churn")]).text.contains("Project churn already exists"));
        let made = admin.post("/admin/users", &[("email", "Ada@Example.org")]);
        assert_eq!(made.status, 200, "{}", made.text);
        let key = made.text.split_once("data-copy>").and_then(|(_, rest)| rest.split('<').next());
        let ada_key = key.unwrap_or_else(|| panic!("a key: {}", made.text)).to_owned();
        admin.send_form("/admin/projects/1", &[("email", "ada@example.org"), ("project_role", "DATA_OWNER")]);
        assert!(admin.page("/admin/projects/1").contains("ada@example.org"));

        let mapping = |name: &str, default: &'static str| {
            let (role, mut fields) = (role(name), vec![("project", "churn"), ("project_role", "ALL")]);
            if !default.is_empty() {
                fields.push(("default", default));
            }
            fields.push(("role", &role));
            admin.send_form("/admin/role-mappings", &fields)
        };
        mapping("reader", "yes");
        mapping("writer", "");
        let shown = admin.page("/admin/role-mappings?q=READ&sort=role&order=desc");
        assert!(shown.contains(&role("reader")) && shown.contains("1 to 1 of 1, filtered from 2"), "{shown}");
        let tried = admin.post("/admin/role-mappings/1/try", &[]);
        assert!(tried.status == 200 && tried.text.contains("ASIAGRANTED"), "{}", tried.text);

        let ada = Visit::sign_in(&server, &ada_key);
        assert!(ada.page("/").contains("/projects/1"));
        assert!(ada.page("/projects/1").contains(&role("writer")));
        assert_eq!(ada.get("/admin/audit").status, 403);
        assert_eq!(ada.send_form("/projects/1/default", &[("id", "2")]), "/projects/1?done=default-moved");
        assert_eq!(server.get("/project/1/cloud/role-mappings/default", &ada_key).json["id"], 2);
        assert_eq!(server.get("/project/1/cloud/aws/session-token", &ada_key).status, 200);

        let found = admin.page("/admin/audit?q=asiagranted&outcome=granted");
        assert!(found.contains("ada@example.org") && found.contains("ada-churn"), "{found}");
        assert!(!admin.page("/admin/audit?q=as_agranted").contains("ada-churn"), "_ is not a wildcard");
        assert!(admin.page("/admin/audit?outcome=changed").contains("mapping default"));

        admin.send_form("/admin/role-mappings/1", &[("role", &role("reader")), ("project_role", "DATA_OWNER")]);
        admin.send_form("/admin/role-mappings/1/remove", &[]);
        admin.send_form("/admin/projects/1/remove-member", &[("email", "ada@example.org")]);
        assert_eq!(ada.get("/projects/1").status, 403);
        assert_eq!(admin.post("/admin/users/new-key", &[("email", "ada@example.org")]).status, 200);
        assert_eq!(ada.get("/").header("location"), "/sign-in?next=%2F&done=session-ended");
        assert!(admin.page("/admin/base-identity").contains("arn:aws:iam::123456789012:user/base"));
        admin.send_form("/sign-out", &[]);
        assert_eq!(admin.get("/").status, 303);
        assert_eq!(world.sql("select count(*) from browser_sessions where key_prefix <> ''"), [["1"]], "the session of the void key");
    }

    fn views_of_the_base_identity_share_an_answer_of_sts(world: &World) {
        let sts = Sts::start();
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let server = sts.serve(world);
        let admin = Visit::sign_in(&server, &key);
        server.wait_for_log("base identity arn:aws:iam::123456789012:user/base");
        let before = sts.identities();
        for _ in 0..10 {
            assert!(admin.page("/admin/base-identity").contains("arn:aws:iam::123456789012:user/base"));
            assert!(admin.page("/admin/role-mappings").contains("arn:aws:iam::123456789012:user/base"));
        }
        assert!(sts.identities() - before <= 1, "{before} before, {} now", sts.identities());
    }

    fn the_base_identity_page_says_what_is_missing_when_there_is_none(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        world.done(&["project", "add", "churn"]);
        world.done(&["mapping", "add", "churn", "all", &role("reader")]);
        let server = world.serve_with(&[], &[("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "eu-north-1")]);
        let admin = Visit::sign_in(&server, &key);
        let page = admin.page("/admin/base-identity");
        assert!(page.contains("The server cannot assume any role at the moment. No base identity to call STS with: "), "{page}");
        assert!(admin.page("/admin/role-mappings").contains(&role("reader")));
        let tried = admin.post("/admin/role-mappings/1/try", &[]);
        assert!(tried.status == 200 && !tried.text.contains("sts:AssumeRole"), "no policies without a base identity: {}", tried.text);
        assert_eq!(
            world.sql("select outcome, access_key_id from audit where action = 'mapping try'"),
            [["refused", "-"]]
        );
    }
}
