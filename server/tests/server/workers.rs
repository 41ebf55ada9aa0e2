//! Thousands of workers that start together, and those who wait for STS: what their credentials cost, who goes first, and what the audit
//! knows of each.

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::at_once::at_once;
use crate::sts::{Mood, Sts, value};
use crate::world::{API, Answer, Server, World, block_on, on_both_stores};

const WORKERS: usize = 4_000;
const CONNECTIONS: usize = 1_000;

/// Sends these requests one after the other on a connection that stays open; returns the status of each.
async fn ask_in_turn(server: &Server, requests: impl Iterator<Item = String>) -> Vec<u16> {
    let stream = TcpStream::connect(server.address()).await.expect("the server listens");
    let mut stream = BufReader::new(stream);
    let mut statuses = Vec::new();
    for request in requests {
        stream.get_mut().write_all(request.as_bytes()).await.expect("the server reads");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).await.expect("UTF-8") > 0, "the connection ended: {head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut body).await.expect("a body");
        statuses.push(head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"));
    }
    statuses
}

/// Makes project 1 with these members and a default role; returns their keys.
fn churn<const N: usize>(world: &World, names: [&str; N]) -> [String; N] {
    world.done(&["project", "add", "churn"]);
    world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/reader", "--default"]);
    names.map(|name| {
        let email = format!("{name}@example.org");
        let key = world.done(&["user", "add", &email]);
        world.done(&["member", "set", "churn", &email, "data-scientist"]);
        key
    })
}

/// Asks for credentials under a session name.
fn ask_as(server: &Server, key: &str, session_name: &str) -> Answer {
    server.get(&format!("/project/1/cloud/aws/session-token?roleSessionName={session_name}"), key)
}

on_both_stores! {
    fn four_thousand_workers_on_a_thousand_connections_cost_a_call_of_sts_for_each_of_twenty_triples(world: &World) {
        let keys = churn(world, ["ada", "eve"]);
        let roles = ["reader", "writer"].map(|name| format!("arn:aws:iam::123456789012:role/{name}"));
        world.done(&["mapping", "add", "churn", "all", &roles[1]]);
        let sts = Sts::start();
        let server = sts.serve(world);
        // Two members, two roles, five session names.
        let request = |worker: usize| {
            let (key, role, name) = (&keys[worker % 2], &roles[worker / 2 % 2], worker / 4 % 5);
            let path = format!("{API}/project/1/cloud/aws/session-token?roleARN={role}&roleSessionName=worker{name}");
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {key}\r\n\r\n")
        };
        let statuses = block_on(async {
            let workers = |first: usize| (first..WORKERS).step_by(CONNECTIONS).map(request);
            join_all((0..CONNECTIONS).map(|first| ask_in_turn(&server, workers(first)))).await.concat()
        });
        let failed = statuses.iter().filter(|status| **status != 200).count();
        assert_eq!((statuses.len(), failed), (WORKERS, 0));
        assert_eq!(sts.asked().len(), 20);
        let rows = world.sql(
            "select actor, role_arn, session_name, count(*) from audit where outcome = 'granted' and times = 1 \
             group by actor, role_arn, session_name order by actor, role_arn, session_name",
        );
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row[3] == "200"), "{rows:?}");
        assert_eq!(world.sql("select count(*) from audit where action = 'session-token'"), [[WORKERS.to_string()]]);
    }

    fn who_renews_gets_credentials_before_all_who_ask_for_the_first_time(world: &World) {
        const RENEWALS: usize = 5;
        let [ada, eve] = churn(world, ["ada", "eve"]);
        let sts = Sts::start();
        let server = sts.serve(world);
        // A third of their time is over when they arrive.
        sts.answers_as_if_it_were(20);
        for number in 0..RENEWALS {
            assert_eq!(ask_as(&server, &ada, &format!("old{number}")).status, 200);
        }
        sts.is(Mood::Throttles);
        std::thread::scope(|scope| {
            let ask = |key, name: String| {
                let server = &server;
                scope.spawn(move || ask_as(server, key, &name).status)
            };
            // Renewals among newcomers: neither who came first nor who came last goes first.
            let mut asking: Vec<_> = (0..15).map(|number| ask(&eve, format!("new{number}"))).collect();
            server.wait_for_metric("waiting_for_sts", 15.0);
            asking.extend((0..RENEWALS).map(|number| ask(&ada, format!("old{number}"))));
            server.wait_for_metric("waiting_for_sts", 20.0);
            asking.extend((15..30).map(|number| ask(&eve, format!("new{number}"))));
            server.wait_for_metric("waiting_for_sts", 35.0);
            sts.asked();
            sts.is(Mood::Grants);
            assert!(asking.into_iter().all(|asked| asked.join().expect("no panic") == 200));
        });
        let asked = sts.asked();
        let names: Vec<&str> = asked.iter().map(|asked| value(asked, "RoleSessionName")).collect();
        // One call is under way while STS throttles, and joins the line again only when that has ended.
        let early = names[..RENEWALS + 3].iter().filter(|name| name.starts_with("old")).count();
        assert!(early + 1 >= RENEWALS, "{names:?}");
    }

    fn requests_that_sts_refuses_count_against_the_budget_of_their_member_alone(world: &World) {
        let [ada, eve] = churn(world, ["ada", "eve"]);
        let sts = Sts::start();
        let server = sts.serve(world);
        sts.is(Mood::Refuses);
        // Many at once: on a slow machine a member's calls must not grow back between two requests.
        let refused = at_once(16, |client| {
            // A name that STS has just refused costs no call.
            let mut answers = (0..100).map(|number| ask_as(&server, &ada, &format!("job{client}-{number}")));
            answers.find(|answer| answer.status != 400)
        });
        let refused = refused.into_iter().flatten().next().expect("1600 calls are too many for one member");
        assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{}", refused.text);
        sts.is(Mood::Grants);
        assert_eq!(ask_as(&server, &eve, "job").status, 200, "nobody else waits");
    }
}

/// The database does not matter: each has a recorder that writes before the answer leaves.
#[test]
fn an_sts_that_falls_silent_after_a_pause_is_a_502_in_time_and_its_row_says_so() {
    let world = World::sqlite();
    let [ada] = churn(&world, ["ada"]);
    let sts = Sts::start();
    let server = sts.serve(&world);
    sts.is(Mood::Throttles);
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_as(&server, &ada, "job"));
        for _ in 0..2 {
            sts.wait();
            sts.asked();
        }
        sts.is(Mood::KeepsSilent);
        asking.join().expect("no panic")
    });
    assert_eq!(world.sql("select outcome from audit where action = 'session-token'"), [["refused"]]);
    assert_eq!(answer.status, 502, "{}", answer.text);
}
