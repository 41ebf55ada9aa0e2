//! Thousands of workers that start together: what their credentials cost, and what the audit knows of each.

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::sts::Sts;
use crate::world::{API, Server, World, block_on, on_both_stores};

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

on_both_stores! {
    fn four_thousand_workers_on_a_thousand_connections_cost_a_call_of_sts_for_each_of_twenty_triples(world: &World) {
        world.done(&["project", "add", "churn"]);
        let keys = ["ada", "eve"].map(|name| {
            let email = format!("{name}@example.org");
            let key = world.done(&["user", "add", &email]);
            world.done(&["member", "set", "churn", &email, "data-scientist"]);
            key
        });
        let roles = ["reader", "writer"].map(|name| format!("arn:aws:iam::123456789012:role/{name}"));
        for role in &roles {
            world.done(&["mapping", "add", "churn", "all", role]);
        }
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
        assert_eq!(statuses, [200; WORKERS]);
        assert_eq!(sts.asked().len(), 20);
        let rows = world.sql(
            "select actor, role_arn, session_name, count(*) from audit where outcome = 'granted' and times = 1 \
             group by actor, role_arn, session_name order by actor, role_arn, session_name",
        );
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row[3] == "200"), "{rows:?}");
        assert_eq!(world.sql("select count(*) from audit where action = 'session-token'"), [[WORKERS.to_string()]]);
    }
}
