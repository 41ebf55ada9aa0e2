//! Who reads the cause of an error: administrators and the log. Members read what they can do, and the id that leads to the cause.

use crate::browser::{Visit, post};
use crate::cluster::{Known, Mood};
use crate::delegated::{ADMIN, ADMIN_JWT, LIST, OWNER_JWT, OWNER_KEY, TOKEN, delegated, page, serve};
use crate::fairness::{project_with_a_member, role};
use crate::session_token::{audit, churn};
use crate::world::{Answer, Server, World, on_both_stores};

const ADMIN_KEY: &str = "adminprefix.canarysecret";

/// Makes sure that the answer tells what to do and nothing of the cause, which the line of the request in the log tells.
fn is_for_a_member(server: &Server, answer: &Answer, beginning: &str, cause: &str) {
    let id = answer.header("x-request-id");
    let ask = format!("ask an administrator of the server, who finds the cause under the request id {id}");
    assert!(answer.text.contains(beginning) && answer.text.contains(&ask), "{answer:?}");
    assert!(!answer.text.contains(cause), "{answer:?}");
    server.wait_for_log(&format!("request={id} "));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(id)).expect("a line");
    assert!(line.contains(cause), "{line}");
}

on_both_stores! {
    fn members_read_what_to_do_when_the_cluster_fails_and_administrators_read_the_cause(world: &World) {
        let mut this = delegated(world);
        this.cluster.knows(&format!("ApiKey {ADMIN_KEY}"), Known {
            email: "admin@hopsworks.ai", is_admin: true, good_for: &["PROJECT", "ADMIN"], rows: vec![],
        });
        let key = OWNER_KEY.trim_start_matches("ApiKey ");
        let [owner, admin] = [key, ADMIN_KEY].map(|key| Visit::sign_in(&this.server, key).cookie);
        // A server without any cached answer.
        this.server = serve(world, &this.cluster.url(), &this.sts);
        for (mood, cause) in [
            (Mood::HangsUp, "error sending request"),
            (Mood::Says("500 Internal Server Error", "{}".to_owned()), "it answered HTTP 500"),
            (Mood::Says("200 OK", "{\"items\":[]}".to_owned()), "its answer is not what Hopsworks says"),
        ] {
            this.cluster.is(mood);
            for (method, path) in [
                ("GET", LIST),
                ("GET", TOKEN),
                ("GET", "/project/119/cloud/role-mappings/1"),
                ("GET", "/project/119/cloud/role-mappings/default"),
                ("PUT", "/project/119/cloud/role-mappings/1?defaultRole=true"),
                ("GET", "/admin/cloud/role-mappings/isAvailable"),
            ] {
                let answer = this.ask(method, path, OWNER_JWT);
                assert_eq!((answer.error().0, answer.error().1), (502, 502), "{path}: {}", answer.text);
                is_for_a_member(&this.server, &answer, "\"asking the Hopsworks cluster failed; try again, and if", cause);
            }
            let sign_in = post(&this.server, "/sign-in", "none=x", &[("key", "other.key")]);
            for shown in [page(&this.server, "/", &owner), page(&this.server, "/projects/119", &owner), sign_in] {
                assert_eq!(shown.status, 502, "{}", shown.text);
                is_for_a_member(&this.server, &shown, "Asking the Hopsworks cluster failed; try again, and if", cause);
            }
            let answer = this.get(ADMIN, ADMIN_JWT);
            let text = answer.error().2;
            assert!(answer.status == 502 && text.starts_with("asking the Hopsworks cluster failed: ") && text.contains(cause), "{text}");
            let shown = page(&this.server, "/admin/role-mappings", &admin);
            assert!(shown.status == 502 && shown.text.contains(cause), "{}", shown.text);
            let ran = world.run_with(&["import", "--from", &this.cluster.url()], &[("API_KEY", key)]);
            assert!(ran.code == Some(1) && ran.stderr.contains(cause), "{}", ran.stderr);
        }
    }

    fn members_read_that_a_row_is_damaged_and_administrators_read_where(world: &World) {
        let key = project_with_a_member(world);
        let admin_key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/other"]);
        // The damaged one is the default, so that no other one can become it.
        world.sql("update role_mappings set external_id = 'a b' where id = 1");
        let server = world.serve();
        let (owner, admin) = (Visit::sign_in(&server, &key), Visit::sign_in(&server, &admin_key));
        let list = "/project/1/cloud/role-mappings";
        let beginning = "ole mapping 1 of project 1 is damaged in the database of the server; ";
        let cause = "column external_id of table role_mappings";
        for answer in [
            server.get(&format!("{list}/1"), &key),
            server.ask("PUT", &format!("{list}/1?defaultRole=false"), &key),
            server.ask("PUT", &format!("{list}/2?defaultRole=true"), &key),
            owner.post("/projects/1/default", &[("id", "1")]),
            owner.post("/projects/1/default", &[("id", "2")]),
        ] {
            assert_eq!(answer.status, 400, "{}", answer.text);
            is_for_a_member(&server, &answer, beginning, cause);
        }
        assert_eq!(server.get(&format!("{list}/1"), &key).error().1, 380_003);
        for text in [
            server.get(&format!("{ADMIN}/1"), &admin_key).text,
            server.ask("PUT", &format!("{ADMIN}/2?defaultRole=true"), &admin_key).text,
            admin.get("/admin/role-mappings/1").text,
            world.run(&["mapping", "add", "churn", "data-owner", &role(0)]).stderr,
        ] {
            assert!(text.contains(cause), "{text}");
        }
    }

    fn the_audit_has_the_whole_reason_whatever_the_caller_wrote(world: &World) {
        let churn = churn(world);
        let refused = churn.get("roleSessionName=job%3B%20try%20again%20in%20a%20year", &churn.scientist);
        let (status, _, text) = refused.error();
        assert!(status == 400 && text.contains("job; try again in a year"), "{text}");
        assert_eq!(audit(world)[0][11], text);
    }
}
