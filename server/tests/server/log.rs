//! The log: a line for each request, and no harm to anybody when it is not read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use crate::world::{World, on_both_stores};

/// Lines enough to fill the pipe, which holds 64 KiB, and the queue behind it, which holds 1 MiB.
const MANY: usize = 16_000;

on_both_stores! {
    /// The log is a pipe that is full: nobody reads it until the server has been told to stop.
    fn a_log_that_nobody_reads_stops_nobody_and_says_afterwards_what_is_missing(world: &World) {
        let mut command = world.program(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("AWS_EC2_METADATA_DISABLED", "true").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = command.spawn().expect("the server starts");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("stdout is readable");
        let address = line.trim_end().strip_prefix("listening on http://").expect("an address");

        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("legal");
        let mut replies = BufReader::new(stream.try_clone().expect("a descriptor"));
        let ask = |stream: &mut TcpStream, path: &str, times| {
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(times).as_bytes()).is_ok()
        };
        for number in 0..MANY / 100 {
            assert!(ask(&mut stream, "/healthz", 100), "request {number}00");
            for _ in 0..100 {
                let reply = read_reply(&mut replies).unwrap_or_else(|error| panic!("request {number}00: {error}"));
                assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
            }
        }
        assert!(ask(&mut stream, "/metrics", 1));
        let metrics = read_reply(&mut replies).expect("the server answers");
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("role_mapping_server_log_lines_dropped_total "));
        let dropped: usize = dropped.expect("a metric").parse().expect("a number");
        assert!(dropped > 0, "{metrics}");

        let sent = std::process::Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let mut log = String::new();
        server.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
        assert_eq!(server.wait().expect("the server ends").code(), Some(0));
        let written = log.lines().filter(|line| line.contains("path=\"/healthz\"")).count();
        // The line that says "stopping" may be among them.
        let end: Vec<&str> = log.lines().rev().take(2).collect();
        let notice = " lines were dropped: nobody read the log in time";
        assert!(end.iter().any(|line| line.ends_with(notice)), "{end:?}");
        // The line of `/metrics` was dropped too, after the metric.
        assert!((MANY - dropped - 1..=MANY - dropped).contains(&written), "{written} lines, {dropped} dropped");
    }
}

/// Reads a head and the body of its `Content-Length`.
fn read_reply(reader: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let (mut reply, mut length) = (String::new(), 0);
    loop {
        let begin = reply.len();
        if reader.read_line(&mut reply)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = reply[begin..].trim_end().to_lowercase();
        match line.strip_prefix("content-length: ") {
            Some(number) => length = number.parse().expect("a number"),
            None if line.is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(reply + &String::from_utf8(body).expect("UTF-8"))
}
