//! A database in trouble: each request has its answer in time, and the server recovers by itself.

use std::time::{Duration, Instant};

use sqlx::Executor;

use crate::browser::Visit;
use crate::fairness::project_with_a_member;
use crate::postgres::Network;
use crate::sts::Sts;
use crate::world::{Answer, Server, World, block_on, connect};

const TOKEN: &str = "/project/1/cloud/aws/session-token";

/// The time within which each request has its answer: clients wait 10 s.
const IN_TIME: Duration = Duration::from_secs(10);

fn in_time(server: &Server, path: &str, key: &str) -> Answer {
    let begin = Instant::now();
    let answer = server.get(path, key);
    assert!(begin.elapsed() < IN_TIME, "{path}: {:?}", begin.elapsed());
    answer
}

fn is_unavailable(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.text.contains(reason), "{}", answer.text);
    assert!(answer.header("retry-after").parse::<u64>().expect("seconds") >= 1);
}

#[test]
fn a_postgres_whose_connections_die_silently_is_reached_again_by_new_ones() {
    let mut world = World::postgres();
    let key = project_with_a_member(&world);
    let network = Network::to(&world.database);
    let (sts, direct) = (Sts::start(), world.database.clone());
    world.database = network.url.clone();
    let server = sts.serve(&world);
    world.database = direct;
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(server.get(TOKEN, &key).status, 200));
        }
    });
    network.lose_connections();
    let begin = Instant::now();
    while in_time(&server, TOKEN, &key).status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(30), "not reached again");
    }
    for _ in 0..20 {
        assert_eq!(in_time(&server, TOKEN, &key).status, 200);
    }
}

#[test]
fn while_another_program_locks_sqlite_lists_go_on_and_sessions_say_why_they_do_not() {
    let world = World::sqlite();
    let key = project_with_a_member(&world);
    let sts = Sts::start();
    let server = sts.serve(&world);
    assert_eq!(server.get(TOKEN, &key).status, 200);
    sts.asked();
    block_on(async {
        let mut connection = connect(&world.database).await;
        connection.execute("begin immediate").await.expect("the lock");
        std::thread::scope(|scope| {
            let asking: Vec<_> = (0..20)
                .map(|number| {
                    let path = format!("{TOKEN}?roleSessionName=name{}", number % 4);
                    let (server, key) = (&server, &key);
                    scope.spawn(move || in_time(server, &path, key))
                })
                .collect();
            for _ in 0..20 {
                assert_eq!(in_time(&server, "/project/1/cloud/role-mappings", &key).status, 200);
            }
            for answer in asking {
                is_unavailable(&answer.join().expect("no panic"), "the database of the server is busy");
            }
        });
        connection.execute("rollback").await.expect("no lock");
    });
    assert_eq!(sts.asked().len(), 0, "no session is made that no row knows of");
    assert_eq!(in_time(&server, TOKEN, &key).status, 200);
    assert!(server.metric("audit_writes_total{outcome=\"failed\"}") >= 1.0);
    assert_eq!(world.sql("select count(*) from audit where outcome = 'asked'"), [["0"]]);
}

#[test]
fn a_cookie_of_no_session_costs_no_turn_to_write() {
    let world = World::sqlite();
    let key = project_with_a_member(&world);
    let server = world.serve();
    let visit = Visit::sign_in(&server, &key);
    world.sql("delete from browser_sessions");
    block_on(async {
        let mut connection = connect(&world.database).await;
        connection.execute("begin immediate").await.expect("the lock");
        assert_eq!(visit.send_form("/sign-out", &[]), "/sign-in?done=signed-out");
        connection.execute("rollback").await.expect("no lock");
    });
    assert_eq!(world.sql("select count(*) from audit where action = 'sign-out'"), [["0"]]);
}
