//! What a call of STS costs its member, what STS refused, and how long credentials stay in memory.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection;

use crate::at_once::at_once;
use crate::browser::Visit;
use crate::cluster::Known;
use crate::delegated::{Delegated, SCIENTIST_JOB, TOKEN as CLUSTER_TOKEN, delegated};
use crate::sts::{Mood, Sts};
use crate::world::{API, Answer, Server, World, connect, on_both_stores};

const TOKEN: &str = "/project/1/cloud/aws/session-token";

/// Project 1 with the default role `reader`, the role `writer` of data owners, the data scientists Ada and Eve, and an administrator.
struct Churn {
    server: Server,
    sts: Sts,
    ada: String,
    eve: String,
    admin: String,
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn churn(world: &World) -> Churn {
    let (ada, eve) = (world.done(&["user", "add", "ada@example.org"]), world.done(&["user", "add", "eve@example.org"]));
    let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "ada@example.org", "data-scientist"]);
    world.done(&["member", "set", "churn", "eve@example.org", "data-scientist"]);
    world.done(&["mapping", "add", "churn", "all", &role("reader"), "--default"]);
    world.done(&["mapping", "add", "churn", "data-owner", &role("writer")]);
    let sts = Sts::start();
    Churn { server: sts.serve(world), sts, ada, eve, admin }
}

impl Churn {
    fn get(&self, query: &str, key: &str) -> Answer {
        self.server.get(&format!("{TOKEN}?{query}"), key)
    }

    /// Asks as Ada, who must get credentials; returns how many calls of STS it took.
    fn calls(&self) -> usize {
        let answer = self.get("", &self.ada);
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.sts.asked().len()
    }

    /// Uses up what Eve has, with many clients at once: on a slow machine her calls must not grow back between two requests.
    fn use_up_the_calls_of_eve(&self) {
        let names = AtomicUsize::new(0);
        let refused = at_once(16, |_| {
            let ask = || self.get(&format!("roleSessionName=n{}", names.fetch_add(1, Ordering::Relaxed)), &self.eve);
            (0..50).map(|_| ask().status).any(|status| status == 429)
        });
        assert!(refused.into_iter().any(|is_refused| is_refused), "800 calls at once are too many for one member");
    }
}

on_both_stores! {
    fn each_call_of_sts_costs_its_member_one_however_often_it_is_asked_for_the_same(world: &World) {
        let churn = churn(world);
        // What STS gives is never new enough to be given again to a caller who may not renew.
        churn.sts.answers_as_if_it_were(30);
        let begin = Instant::now();
        let ask = |client: usize| churn.get(&format!("roleSessionName=job{client}"), &churn.eve).status;
        let answers = at_once(16, |client| (0..25).map(|_| ask(client)).collect::<Vec<_>>()).concat();
        let calls = churn.sts.asked().len();
        // A hundred at once and ten a second.
        let allowed = 101 + 10 * usize::try_from(begin.elapsed().as_secs() + 1).expect("small");
        assert!(calls <= allowed, "{calls} calls, not {allowed}");
        assert!(answers.iter().all(|status| [200, 429].contains(status)), "{answers:?}");
        assert_eq!(churn.get("", &churn.ada).status, 200, "nobody else waits");
    }

    fn each_try_of_a_role_costs_the_administrator_two_calls(world: &World) {
        let churn = churn(world);
        let admin = Visit::sign_in(&churn.server, &churn.admin);
        let (begin, identities) = (Instant::now(), churn.sts.identities());
        let answers = at_once(12, |_| (0..15).map(|_| admin.post("/admin/role-mappings/1/try", &[])).collect::<Vec<_>>());
        let calls = churn.sts.asked().len() + churn.sts.identities() - identities;
        let allowed = 102 + 10 * usize::try_from(begin.elapsed().as_secs() + 1).expect("small");
        assert!(calls <= allowed, "{calls} calls, not {allowed}");
        let refused = answers.iter().flatten().find(|answer| answer.status != 200).expect("360 calls are too many");
        assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.text);
        assert_eq!(churn.calls(), 1, "nobody else waits");
        let rows = world.sql("select count(*) from audit where action = 'mapping try' and reason like 'too many requests%'");
        let rows: usize = rows[0][0].parse().expect("a number");
        assert!((1..=24).contains(&rows), "{rows} rows for what the budget refused");
    }

    fn a_refusal_of_sts_is_given_to_those_who_come_meanwhile_and_coalesces_in_the_audit(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Refuses);
        let answers = at_once(10, |_| (0..20).map(|_| churn.get("", &churn.ada)).collect::<Vec<_>>());
        for answer in answers.iter().flatten() {
            assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (400, Some(380_001)), "{}", answer.text);
            assert!(answer.text.contains("AccessDenied"), "{}", answer.text);
        }
        let calls = churn.sts.asked().len();
        assert!((4..=8).contains(&calls), "{calls} calls");
        // Its end writes the counts that are not written yet.
        churn.server.stop();
        let rows = world.sql("select count(*), cast(sum(times) as bigint) from audit where action = 'session-token'");
        let count: usize = rows[0][0].parse().expect("a number");
        assert!(count <= 10 + calls, "{count} rows");
        assert_eq!(rows[0][1], "200");
        assert_eq!(world.sql("select count(*) from audit where outcome = 'asked'"), [["0"]]);
    }

    fn who_waits_together_for_a_call_that_sts_refuses_shares_its_row(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Thinks);
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..50).map(|_| scope.spawn(|| churn.get("", &churn.ada).status)).collect();
            churn.server.wait_for_metric("waiting_for_sts", 50.0);
            assert_eq!(world.sql("select count(*) from audit where outcome = 'asked'"), [["1"]]);
            churn.sts.is(Mood::Refuses);
            assert!(asking.into_iter().all(|asked| asked.join().expect("no panic") == 400));
        });
        assert_eq!(churn.sts.asked().len(), 1);
        churn.server.stop();
        let rows = world.sql("select cast(sum(times) as bigint) from audit where outcome = 'refused'");
        assert_eq!(rows, [["50"]]);
    }

    fn a_role_that_works_again_is_given_at_once_after_a_try_and_else_within_seconds(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Refuses);
        let refused = |name: &str| churn.get(&format!("roleSessionName={name}"), &churn.ada).status == 400;
        assert!(["a1", "b1", "b1", "b1", "c1", "c1", "c1", "c1"].iter().all(|name| refused(name)));
        churn.sts.is(Mood::Grants);
        assert!(!refused("b1"), "STS is asked again at once after a few refusals");
        assert!(refused("c1"), "but not after more");
        let begin = Instant::now();
        while refused("c1") {
            assert!(begin.elapsed() < Duration::from_secs(10), "STS is not asked again");
        }
        churn.sts.is(Mood::Refuses);
        let begin = Instant::now();
        churn.sts.asked();
        let mut calls = 0;
        // By then it is not asked again for seconds.
        while calls < 5 {
            assert_eq!(churn.get("roleSessionName=a1", &churn.ada).status, 400);
            calls += churn.sts.asked().len();
            assert!(begin.elapsed() < Duration::from_secs(30), "STS is not asked again");
        }
        churn.sts.is(Mood::Grants);
        let admin = Visit::sign_in(&churn.server, &churn.admin);
        let tried = admin.post("/admin/role-mappings/1/try", &[]);
        assert!(tried.text.contains("ASIAGRANTED"), "{}", tried.text);
        assert_eq!(churn.get("roleSessionName=a1", &churn.ada).status, 200);
    }

    fn an_sts_that_was_not_reached_is_asked_again_at_once(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::HangsUp);
        assert_eq!(churn.get("", &churn.ada).status, 502);
        churn.sts.is(Mood::Grants);
        assert_eq!(churn.get("", &churn.ada).status, 200);
    }

    fn whoever_has_used_up_their_calls_learns_when_there_is_one_however_often_they_ask(world: &World) {
        let churn = churn(world);
        churn.use_up_the_calls_of_eve();
        let names = AtomicUsize::new(1000);
        let refused = at_once(8, |_| {
            let ask = || churn.get(&format!("roleSessionName=n{}", names.fetch_add(1, Ordering::Relaxed)), &churn.eve);
            (0..60).map(|_| ask()).filter(|answer| answer.status != 200).collect::<Vec<_>>()
        });
        let refused: Vec<Answer> = refused.into_iter().flatten().collect();
        assert!(refused.len() > 120, "{} of 480", refused.len());
        for answer in &refused {
            assert_eq!((answer.status, answer.header("retry-after")), (429, "1"), "{}", answer.text);
        }
        let writer = churn.get(&format!("roleARN={}", role("writer")), &churn.eve);
        assert_eq!(writer.status, 403, "another refusal says why: {}", writer.text);
        churn.server.stop();
        let rows = world.sql(
            "select count(*), cast(sum(times) as bigint) from audit where outcome = 'refused' and reason like 'too many%'",
        );
        let (rows, times): (usize, usize) = (rows[0][0].parse().expect("a number"), rows[0][1].parse().expect("a number"));
        // Until the first row is durable each refusal is a row of its own.
        assert!(rows <= 32 && times >= refused.len(), "{rows} rows for {times} refusals");
        assert_eq!(world.sql("select count(*) from audit where reason like 'more refused%'"), [["0"]]);
    }

    fn what_a_chained_role_gets_is_given_again_while_nine_tenths_of_its_hour_are_left(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::GrantsAnHour);
        let asked = || {
            assert_eq!(churn.get("durationSeconds=7200", &churn.ada).status, 200);
            churn.sts.asked().len()
        };
        // The first request is refused for its duration, and made again for an hour.
        assert_eq!((asked(), asked()), (2, 0));
        churn.sts.answers_as_if_it_were(7);
        let asked = || {
            assert_eq!(churn.get("durationSeconds=7201", &churn.ada).status, 200);
            churn.sts.asked().len()
        };
        assert_eq!((asked(), asked()), (2, 2));
    }

    fn credentials_of_a_membership_that_ended_are_gone_even_if_it_begins_again(world: &World) {
        let churn = churn(world);
        assert_eq!((churn.calls(), churn.calls()), (1, 0));
        world.done(&["member", "set", "churn", "eve@example.org", "data-owner"]);
        assert_eq!(churn.calls(), 0, "somebody else's change");
        world.done(&["member", "remove", "churn", "ada@example.org"]);
        world.done(&["member", "set", "churn", "ada@example.org", "data-scientist"]);
        assert_eq!((churn.calls(), churn.calls()), (1, 0), "the membership is another one");
        world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
        world.done(&["member", "set", "churn", "ada@example.org", "data-scientist"]);
        assert_eq!((churn.calls(), churn.calls()), (1, 0), "the project role has been another one");
        let admin = Visit::sign_in(&churn.server, &churn.admin);
        admin.send_form("/admin/projects/1/remove-member", &[("email", "ada@example.org")]);
        admin.send_form("/admin/projects/1", &[("email", "ada@example.org"), ("project_role", "DATA_SCIENTIST")]);
        assert_eq!((churn.calls(), churn.calls()), (1, 0), "the pages have changed it");
    }

    fn credentials_of_a_role_mapping_that_was_changed_are_gone_even_if_it_is_changed_back(world: &World) {
        let churn = churn(world);
        assert_eq!((churn.calls(), churn.calls()), (1, 0));
        let change = |query: &str| {
            let answer = churn.server.ask("PUT", &format!("/admin/cloud/role-mappings/1?{query}"), &churn.admin);
            assert_eq!(answer.status, 200, "{}", answer.text);
        };
        for (there, back) in [
            (format!("cloudRole={}", role("other")), format!("cloudRole={}", role("reader"))),
            ("externalId=tenant-7".to_owned(), "removeExternalId=true".to_owned()),
            ("projectRole=DATA_OWNER&defaultRole=false".to_owned(), "projectRole=ALL&defaultRole=true".to_owned()),
        ] {
            change(&there);
            change(&back);
            assert_eq!((churn.calls(), churn.calls()), (1, 0), "{there}");
        }
        world.done(&["mapping", "add", "churn", "data-owner", &role("third")]);
        assert_eq!(churn.calls(), 0, "another mapping");
        let file = world.directory.join("mappings.json");
        let exported = world.done(&["mapping", "export"]);
        for text in [exported.replace(&role("reader"), &role("fourth")), exported] {
            std::fs::write(&file, text).expect("a file");
            world.done(&["mapping", "apply", file.to_str().expect("UTF-8")]);
        }
        assert_eq!((churn.calls(), churn.calls()), (1, 0), "apply has changed it");
    }

    fn credentials_are_gone_once_a_cluster_tells_that_the_membership_is_another_one(world: &World) {
        let Delegated { cluster, sts, server } = delegated(world);
        let calls = |login: &str, status: u16| {
            let target = format!("{API}{CLUSTER_TOKEN}");
            assert_eq!(server.send("GET", &target, &[&format!("Authorization: {login}")]).status, status);
            sts.asked().len()
        };
        assert_eq!((calls(SCIENTIST_JOB, 200), calls(SCIENTIST_JOB, 200)), (1, 0));
        let ada = |rows| Known { email: "ada.l@hopsworks.ai", is_admin: false, good_for: &["api"], rows };
        cluster.knows("Bearer canary.left.jwt", ada(vec![]));
        assert_eq!(calls("Bearer canary.left.jwt", 403), 0);
        assert_eq!((calls(SCIENTIST_JOB, 200), calls(SCIENTIST_JOB, 200)), (1, 0));
        cluster.knows("Bearer canary.owner.jwt.of.ada", ada(vec![(119, "churn", "Data owner")]));
        assert_eq!(calls("Bearer canary.owner.jwt.of.ada", 200), 1);
        assert_eq!((calls(SCIENTIST_JOB, 200), calls(SCIENTIST_JOB, 200)), (1, 0));
    }

    fn whoever_waits_for_the_call_of_a_caller_who_leaves_makes_it_themselves(world: &World) {
        let churn = churn(world);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        // Nobody writes a row meanwhile, so nobody asks STS.
        let mut writer = runtime.block_on(connect(&world.database));
        let lock = match world.database.split_once(':').expect("a URL").0 {
            "sqlite" => &["begin immediate"][..],
            _ => &["begin", "lock table audit in share mode"],
        };
        for statement in lock {
            runtime.block_on(sqlx::query(*statement).execute(&mut writer)).expect("it is locked");
        }
        let mut first = TcpStream::connect(churn.server.address()).expect("the server listens");
        let head = format!("GET {API}{TOKEN} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {}\r\n\r\n", churn.ada);
        first.write_all(head.as_bytes()).expect("the server reads");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| churn.get("", &churn.ada).status);
            churn.server.wait_for_metric("waiting_for_sts", 1.0);
            drop(first);
            churn.server.wait_for_metric("connections", 2.0);
            runtime.block_on(sqlx::query("rollback").execute(&mut writer)).expect("it is free again");
            assert_eq!(second.join().expect("no panic"), 200);
        });
        assert_eq!(churn.sts.asked().len(), 1);
        runtime.block_on(writer.close()).expect("it is open");
    }

    fn a_session_counts_as_granted_once_its_outcome_is_in_the_audit(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Thinks);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| churn.get("", &churn.ada).status);
            churn.sts.wait();
            world.sql("alter table audit rename to gone");
            churn.sts.is(Mood::Grants);
            assert_eq!(asking.join().expect("no panic"), 500);
        });
        assert_eq!(churn.server.metric("session_tokens_total{outcome=\"granted\"}"), 0.0);
        world.sql("alter table gone rename to audit");
        assert_eq!(churn.get("", &churn.ada).status, 200);
        assert_eq!(churn.server.metric("session_tokens_total{outcome=\"granted\"}"), 1.0);
    }
}
