//! Clients that begin a request and do not go on: they keep nobody out.

use std::io::Write;
use std::net::TcpStream;

use tokio::io::AsyncWriteExt;

use crate::abuse::{ALIVE, connect_from, reply_of};
use crate::world::{API, Server, World, block_on};

const LIST: &str = "/admin/cloud/role-mappings/isAvailable";

/// Connects from an address, and sends the beginning of a request.
async fn begin(server: &Server, address: &str, beginning: &str) -> tokio::net::TcpStream {
    let mut stream = connect_from(address, server).await;
    stream.write_all(beginning.as_bytes()).await.expect("the server reads");
    stream
}

/// Holds all eight connections of a server from two addresses, with the beginning of a request each, and makes sure again and again that
/// others are served.
fn hold_all_connections(beginning: &str) {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    let server = world.serve_with_descriptors(136);
    let head = "Host: x\r\nConnection: close\r\n";
    let list = format!("GET {API}{LIST} HTTP/1.1\r\n{head}Authorization: ApiKey {key}\r\n\r\n");
    block_on(async {
        let mut held = Vec::new();
        for number in 0..8 {
            held.push(begin(&server, if number < 4 { "127.0.0.7" } else { "127.0.0.8" }, beginning).await);
        }
        for _ in 0..5 {
            let alive = reply_of(connect_from("127.0.0.9", &server).await, ALIVE).await;
            assert!(alive.ends_with("alive\n"), "{alive:?}");
            let listed = reply_of(connect_from("127.0.0.10", &server).await, &list).await;
            assert!(listed.starts_with("HTTP/1.1 200 OK\r\n"), "{listed:?}");
            // Who lost a place comes back, and takes it from its own address or from another one that dawdles.
            for address in ["127.0.0.7", "127.0.0.8"] {
                held.push(begin(&server, address, beginning).await);
            }
        }
    });
}

#[test]
fn addresses_that_hold_all_connections_with_half_a_head_keep_nobody_out() {
    hold_all_connections("G");
}

#[test]
fn addresses_that_hold_all_connections_with_half_a_body_keep_nobody_out() {
    let beginning = "POST /sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 100\r\n\r\nkey=";
    hold_all_connections(beginning);
}

#[test]
fn requests_whose_body_does_not_come_take_no_place_from_others() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    // 40 connections.
    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_role-mapping-server");
    command.args(["-c", &format!("ulimit -n 168 && exec {program} serve --listen 127.0.0.1:0 --behind-proxy")]);
    command.env_clear().env("DATABASE_URL", &world.database).env("AWS_EC2_METADATA_DISABLED", "true");
    let server = Server::start(command);
    let held: Vec<TcpStream> = (0..38)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address()).expect("the server listens");
            let head = format!(
                "POST /sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 100\r\n\
                 X-Forwarded-For: 192.0.2.{}\r\n\r\nkey=",
                number / 20
            );
            stream.write_all(head.as_bytes()).expect("the server reads");
            stream
        })
        .collect();
    server.wait_for_metric("connections", 39.0);
    for address in ["192.0.2.0", "192.0.2.1", "192.0.2.9"] {
        let headers = [format!("Authorization: ApiKey {key}"), format!("X-Forwarded-For: {address}")];
        let path = format!("{API}{LIST}");
        assert_eq!(server.send("GET", &path, &[&headers[0], &headers[1]]).status, 200, "{address}");
    }
    drop(held);
}
