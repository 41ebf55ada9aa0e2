//! What commands print, and what happens when nobody reads it.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::world::{World, block_on, on_both_stores};

/// Makes a pipe that takes nothing more until somebody reads.
fn full_pipe() -> (std::io::PipeReader, Stdio) {
    block_on(async {
        let (writer, reader) = tokio::net::unix::pipe::pipe().expect("a pipe");
        writer.writable().await.expect("it is empty");
        while writer.try_write(&[b'\n'; 4096]).is_ok() {}
        let reader: OwnedFd = reader.into_blocking_fd().expect("a descriptor");
        (reader.into(), writer.into_blocking_fd().expect("a descriptor").into())
    })
}

/// Waits until the process waits for a reader of its pipe.
fn wait_until_it_prints(child: &Child) {
    let begin = Instant::now();
    let waits = |entry: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(entry.expect("a thread").path().join("wchan"))
            .is_ok_and(|place| place.contains("pipe_write"))
    };
    while !fs::read_dir(format!("/proc/{}/task", child.id())).expect("its threads").any(waits) {
        assert!(begin.elapsed() < Duration::from_secs(30), "it does not print");
    }
}

on_both_stores! {
    fn a_command_whose_output_nobody_reads_holds_no_lock(world: &World) {
        world.done(&["user", "add", "ada@example.org"]);
        world.done(&["project", "add", "churn"]);
        let file = world.directory.join("mappings.json");
        let line = "[{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/other\"}]";
        fs::write(&file, line).expect("a file");
        let commands = [
            &["user", "add", "bob@example.org"][..],
            &["user", "key", "ada@example.org"],
            &["project", "add", "fraud"],
            &["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/reader"],
            &["mapping", "apply", file.to_str().expect("UTF-8")],
        ];
        let server = world.serve();
        for (number, command) in commands.into_iter().enumerate() {
            let (mut reader, writer) = full_pipe();
            let mut child = world.program(command).stdout(writer).spawn().expect("it starts");
            wait_until_it_prints(&child);
            // Others write to the same tables.
            world.done(&["user", "add", &format!("other{number}@example.org")]);
            world.done(&["project", "add", &format!("other{number}")]);
            world.done(&["mapping", "add", &format!("other{number}"), "all", "arn:aws:iam::123456789012:role/reader"]);
            let mut said = String::new();
            reader.read_to_string(&mut said).expect("text");
            assert!(child.wait().expect("it ends").success(), "{command:?}");
            if command[0] == "user" {
                let answer = server.get("/admin/cloud/role-mappings/isAvailable", said.trim());
                assert_eq!(answer.status, 200, "{command:?}: the key counts once the command is done");
            }
        }
    }

    fn a_change_that_is_made_but_cannot_be_printed_says_so(world: &World) {
        world.done(&["project", "add", "churn"]);
        let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        for (command, table) in [
            (&["project", "add", "fraud"][..], "select count(*) from projects"),
            (&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/reader"], "select count(*) + 1 from role_mappings"),
        ] {
            let output = world.program(command).stdout(full()).output().expect("it starts");
            assert_eq!(output.status.code(), Some(3));
            let said = String::from_utf8(output.stderr).expect("UTF-8");
            assert!(said.starts_with("the change was made, so do not repeat it, but writing to stdout failed: "), "{said}");
            assert_eq!(world.sql(table), [["2"]]);
        }
    }

    fn a_key_that_was_printed_in_vain_is_said_to_be_worth_nothing(world: &World) {
        let old = world.done(&["user", "add", "ada@example.org"]);
        world.sql("alter table audit rename to gone");
        for (command, attempted) in
            [(["user", "add", "bob@example.org"], "adding the user"), (["user", "key", "ada@example.org"], "replacing the API key")]
        {
            let ran = world.run(&command);
            assert_eq!(ran.code, Some(1));
            assert!(ran.stderr.starts_with(&format!("do not use the API key on stdout: {attempted} failed: ")), "{}", ran.stderr);
            assert!(!ran.stderr.contains(ran.stdout.trim()));
        }
        world.sql("alter table gone rename to audit");
        assert_eq!(world.sql("select count(*) from users"), [["1"]]);
        assert_eq!(world.serve().get("/admin/cloud/role-mappings/isAvailable", &old).status, 200);
    }
}
