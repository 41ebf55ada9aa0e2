//! What the audit records of requests for credentials, whatever becomes of them: each call of STS has a row, and no row stays `asked`.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sqlx::Executor;
use tokio::runtime::Runtime;

use crate::at_once::at_once;
use crate::session_token::{Churn, TOKEN, churn};
use crate::sts::{Mood, value};
use crate::world::{API, World, connect, on_both_stores};

/// Asks for credentials, and does not wait for the answer. Whoever drops the connection hangs up.
fn ask(churn: &Churn, query: &str, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(churn.server.address()).expect("the server listens");
    let head = format!("GET {API}{TOKEN}?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream
}

/// Waits until the rows of all requests for credentials say these outcomes; returns the reasons of those that are refused.
fn wait_for_outcomes(world: &World, expected: &[&str]) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let rows = world.sql("select outcome, reason from audit where action = 'session-token' order by outcome, id");
        if rows.iter().map(|row| row[0].as_str()).eq(expected.iter().copied()) {
            return rows.into_iter().filter(|row| row[0] == "refused").map(|row| row[1].clone()).collect();
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{rows:?}");
    }
}

/// Waits until another process writes, and cannot: somebody else has a lock.
pub fn wait_for_blocked_writer(world: &World) {
    let turn =
        world.database.strip_prefix("sqlite://").map(|path| File::open(format!("{path}-now")).expect("a turnstile"));
    let is_blocked = || match &turn {
        // Whoever writes has the turn, and keeps it while it waits for SQLite.
        Some(turn) => turn.try_lock().is_err() || turn.unlock().is_err(),
        None => {
            let waiting =
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
            world.sql(waiting) != [["0"]]
        }
    };
    let begin = Instant::now();
    while !is_blocked() {
        assert!(begin.elapsed() < Duration::from_secs(5), "nobody waits to write");
    }
}

on_both_stores! {
    fn a_caller_who_hangs_up_does_not_end_the_call_of_others_and_stays_in_the_audit(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Thinks);
        let first = ask(&churn, "", &churn.scientist);
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

    fn the_row_of_a_caller_who_left_the_queue_for_sts_says_what_sts_said_in_the_end(world: &World) {
        let churn = churn(world);
        for (name, mood, outcomes) in
            [("first", Mood::Grants, &["granted"][..]), ("second", Mood::Refuses, &["granted", "refused"])]
        {
            churn.sts.is(Mood::Throttles);
            let query = format!("roleSessionName={name}");
            let caller = ask(&churn, &query, &churn.scientist);
            churn.sts.wait();
            drop(caller);
            churn.server.wait_for_metric("connections", 1.0);
            assert_eq!(world.sql("select count(*) from audit where outcome = 'asked'"), [["1"]]);
            churn.sts.is(mood);
            let reasons = wait_for_outcomes(world, outcomes);
            assert!(reasons.iter().all(|reason| reason.contains("AccessDenied")), "{reasons:?}");
            assert!(churn.sts.asked().iter().all(|asked| value(asked, "RoleSessionName") == name));
        }
        // What STS gave is for whoever comes back.
        assert_eq!(churn.get("roleSessionName=first", &churn.scientist).status, 200);
        assert_eq!(churn.sts.asked().len(), 0);
    }

    fn who_leaves_while_another_request_asks_sts_for_the_same_has_no_row_and_changes_none(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Thinks);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| churn.get("", &churn.scientist).status);
            churn.server.wait_for_metric("waiting_for_sts", 1.0);
            let other = ask(&churn, "", &churn.scientist);
            churn.server.wait_for_metric("waiting_for_sts", 2.0);
            drop(other);
            churn.server.wait_for_metric("waiting_for_sts", 1.0);
            churn.sts.is(Mood::Grants);
            assert_eq!(asking.join().expect("no panic"), 200);
        });
        assert_eq!(churn.sts.asked().len(), 1);
        churn.server.stop();
        wait_for_outcomes(world, &["granted"]);
    }

    fn the_row_of_a_caller_who_left_before_sts_was_asked_says_so_and_whoever_waited_goes_on(world: &World) {
        let churn = churn(world);
        let lock = if world.database.starts_with("sqlite") {
            "begin immediate"
        } else {
            "begin; lock table audit in exclusive mode"
        };
        // The connection lives in it, also while nobody uses it.
        let runtime = Runtime::new().expect("a runtime");
        let mut other = runtime.block_on(connect(&world.database));
        runtime.block_on(other.execute(lock)).expect("the lock is free");
        let caller = ask(&churn, "", &churn.scientist);
        wait_for_blocked_writer(world);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| churn.get("", &churn.scientist).status);
            churn.server.wait_for_metric("waiting_for_sts", 1.0);
            drop(caller);
            churn.server.wait_for_metric("waiting_for_sts", 0.0);
            runtime.block_on(other.execute("rollback")).expect("it ends");
            assert_eq!(waiting.join().expect("no panic"), 200);
        });
        assert_eq!(churn.sts.asked().len(), 1);
        let reasons = wait_for_outcomes(world, &["granted", "refused"]);
        assert_eq!(reasons, ["the caller left before STS was asked"]);
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
