//! What the audit records of requests for credentials, whatever becomes of them: each call of STS has a row, and no row stays `asked`.

use std::io::Write;
use std::net::TcpStream;

use crate::at_once::at_once;
use crate::session_token::{TOKEN, churn};
use crate::sts::Mood;
use crate::world::{API, World, on_both_stores};

on_both_stores! {
    fn a_caller_who_hangs_up_does_not_end_the_call_of_others_and_stays_in_the_audit(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Thinks);
        let request = format!(
            "GET {API}{TOKEN} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {}\r\n\r\n",
            churn.scientist
        );
        let hanging = || {
            let mut stream = TcpStream::connect(churn.server.address()).expect("the server listens");
            stream.write_all(request.as_bytes()).expect("the server reads");
            stream
        };
        let first = hanging();
        churn.server.wait_for_metric("waiting_for_sts", 1.0);
        std::thread::scope(|scope| {
            let patient = scope.spawn(|| churn.get("", &churn.scientist));
            churn.server.wait_for_metric("waiting_for_sts", 2.0);
            drop(first);
            churn.server.wait_for_metric("connections", 2.0);
            churn.sts.is(Mood::Grants);
            assert_eq!(patient.join().expect("no panic").status, 200);
        });
        assert_eq!(churn.sts.asked().len(), 1);
        churn.server.wait_for_metric("session_tokens_total{outcome=\"granted\"}", 2.0);
        assert_eq!(world.sql("select count(*) from audit where outcome = 'granted'"), [["2"]]);
    }

    fn sts_is_not_asked_without_an_audit_row(world: &World) {
        let churn = churn(world);
        world.sql("drop table audit");
        let answer = churn.get("", &churn.scientist);
        assert_eq!(
            answer.error(),
            (500, 500, "the server failed; its log has the cause under the id in the header X-Request-Id")
        );
        assert_eq!(churn.sts.asked().len(), 0);
        let log = churn.server.stop();
        assert!(log.contains("status=500") && log.contains("cannot write the audit: "), "{log}");
    }

    fn the_audit_says_asked_while_sts_thinks_and_credentials_do_not_leave_without_their_outcome(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Thinks);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| churn.get("", &churn.scientist));
            churn.sts.wait();
            let rows = world.sql("select outcome, role_arn, key_prefix, project_role, mapping_id, access_key_id from audit where action = 'session-token'");
            let prefix = churn.scientist.split('.').next().expect("a prefix");
            assert_eq!(rows, [["asked", "arn:aws:iam::123456789012:role/everybody", prefix, "DATA_SCIENTIST", "1", "-"]]);
            world.sql("alter table audit rename to gone");
            churn.sts.is(Mood::Grants);
            let answer = asking.join().expect("no panic");
            assert_eq!(answer.status, 500, "{}", answer.text);
            assert!(!answer.text.contains("ASIAGRANTED"), "{}", answer.text);
        });
        world.sql("alter table gone rename to audit");
        assert_eq!(world.sql("select outcome from audit where action = 'session-token'"), [["asked"]]);
        // What STS gave is not lost, and now it is on record.
        assert_eq!(churn.get("", &churn.scientist).status, 200);
        assert_eq!(churn.sts.asked().len(), 1);
        assert_eq!(world.sql("select access_key_id from audit where outcome = 'granted'"), [["ASIAGRANTED"]]);
    }

    fn refusals_are_counted_in_few_rows_and_after_too_many_a_caller_is_told_to_wait(world: &World) {
        let churn = churn(world);
        let statuses: Vec<u16> = (0..150).map(|_| churn.get("", &churn.stranger).status).collect();
        assert_eq!((&statuses[..100], &statuses[100..]), (&[403; 100][..], &[429; 50][..]));
        let other: Vec<u16> = (2..40)
            .map(|project| churn.server.get(&format!("/project/{project}/cloud/aws/session-token"), &churn.stranger).status)
            .collect();
        assert!(other.iter().all(|status| *status == 429), "{other:?}");
        assert_eq!(churn.get("", &churn.scientist).status, 200, "nobody else waits");
        // Its end writes the counts that are not written yet.
        churn.server.stop();
        let rows = world.sql("select count(*), cast(sum(times) as bigint) from audit where actor = 'stranger@example.org'");
        assert_eq!(rows, [["21", "188"]]);
        assert_eq!(
            world.sql("select times from audit where actor = 'stranger@example.org' and project_id = 1 and last_at >= at"),
            [["150"]]
        );
    }

    fn refusals_that_come_together_are_as_few_rows(world: &World) {
        let churn = churn(world);
        at_once(40, |client| {
            for round in 0..5 {
                assert!([403, 429].contains(&churn.get("", &churn.stranger).status));
                let path = format!("/project/{}/cloud/aws/session-token", 100 + 5 * client + round);
                assert!([403, 429].contains(&churn.server.get(&path, &churn.stranger).status));
            }
        });
        churn.server.stop();
        let rows = world.sql("select count(*), cast(sum(times) as bigint) from audit where actor = 'stranger@example.org'");
        assert_eq!(rows, [["21", "400"]]);
    }
}

#[test]
fn the_audit_has_the_last_hop_behind_a_proxy_and_otherwise_the_peer() {
    for (options, address) in [(&["--behind-proxy"][..], "192.0.2.7"), (&[], "127.0.0.1")] {
        let world = World::sqlite();
        let key = world.done(&["user", "add", "ada@example.org"]);
        let server = world.serve_with(options, &[("AWS_EC2_METADATA_DISABLED", "true")]);
        let authorization = format!("Authorization: ApiKey {key}");
        let target = format!("{}{TOKEN}", API);
        server.send("GET", &target, &[&authorization, "X-Forwarded-For: 10.9.9.9, 192.0.2.7"]);
        assert_eq!(world.sql("select client_address from audit where action = 'session-token'"), [[address]]);
    }
}
