//! Secrets: API keys, the secret of the base identity and the credentials of STS appear nowhere but in responses.

use std::fs;

use crate::sts::{BASE_SECRET, Mood, SECRET_ACCESS_KEY, SESSION_TOKEN, Sts};
use crate::world::{World, on_both_stores};

/// Returns what the database has stored: the files of SQLite, the rows of PostgreSQL.
fn stored(world: &World) -> Vec<(String, Vec<u8>)> {
    if world.database.starts_with("sqlite") {
        let entries = world.directory.read_dir().expect("a directory").map(|entry| entry.expect("an entry").path());
        return entries.map(|path| (path.display().to_string(), fs::read(&path).expect("a file"))).collect();
    }
    let tables = [
        ("users", "select cast(users as text) from users"),
        ("audit", "select cast(audit as text) from audit"),
        ("browser_sessions", "select cast(browser_sessions as text) from browser_sessions"),
        ("members", "select cast(members as text) from members"),
        ("projects", "select cast(projects as text) from projects"),
        ("role_mappings", "select cast(role_mappings as text) from role_mappings"),
    ];
    tables.map(|(table, query)| (table.to_owned(), world.sql(query).concat().concat().into_bytes())).into()
}

on_both_stores! {
    fn no_secret_is_in_the_log_the_database_or_the_command_line_of_the_process(world: &World) {
        let owner = world.done(&["user", "add", "owner@example.org", "--admin"]);
        let void = world.done(&["user", "add", "ada@example.org"]);
        let ada = world.done(&["user", "key", "ada@example.org"]);
        world.done(&["project", "add", "churn"]);
        world.done(&["member", "set", "churn", "ada@example.org", "data-scientist"]);
        world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/r", "--default"]);
        let sts = Sts::start();
        let server = sts.serve(world);
        let token = "/project/1/cloud/aws/session-token";
        let granted = server.get(token, &ada);
        assert_eq!(granted.json["secretAccessKey"], SECRET_ACCESS_KEY);
        sts.is(Mood::Refuses);
        assert_eq!(server.get(&format!("{token}?roleSessionName=other"), &ada).status, 400);
        assert_eq!(server.get(token, &void).status, 401);
        assert_eq!(server.get(token, &owner).status, 403);
        server.send("GET", "/", &[&format!("Authorization: Bearer {ada}")]);
        let command_line = fs::read_to_string(format!("/proc/{}/cmdline", server.process())).expect("a process");

        // A running server of SQLite has a write-ahead log beside its file; afterwards the file has everything.
        let mut places = stored(world);
        let is_sqlite = world.database.starts_with("sqlite");
        assert_eq!(places.iter().any(|(name, _)| name.ends_with("-wal")), is_sqlite);
        let log = server.stop();
        // RUST_LOG=trace is set. Every line is one of ours, so no dependency has a place to log to, at whatever level.
        let ours = ["request=", "base identity ", "stopping"];
        let is_ours =
            |line: &str| ours.iter().any(|text| line.split_once("Z ").is_some_and(|(_, rest)| rest.starts_with(text)));
        assert!(log.lines().count() > 5 && log.lines().all(is_ours), "{log}");
        places.push(("log".to_owned(), log.into_bytes()));
        places.push(("command line".to_owned(), command_line.into_bytes()));
        places.extend(stored(world));

        let secret_part = |key: &str| key.split_once('.').expect("prefix and secret").1.to_owned();
        for secret in [
            secret_part(&owner),
            secret_part(&ada),
            secret_part(&void),
            SECRET_ACCESS_KEY.to_owned(),
            SESSION_TOKEN.to_owned(),
            BASE_SECRET.to_owned(),
        ] {
            for (place, bytes) in &places {
                let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!is_there, "{secret} is in {place}");
            }
        }
        // Prove that the search finds a text that exists.
        let is_found = |bytes: &[u8]| bytes.windows(11).any(|window| window == b"ASIAGRANTED");
        assert!(places.iter().any(|(place, bytes)| place != "log" && is_found(bytes)));
    }
}
