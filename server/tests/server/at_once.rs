//! Many clients, several servers and the command line use one database at the same time: every rule holds.

use std::process::{Child, Stdio};
use std::sync::Barrier;

use crate::world::{Server, World, on_both_stores};

const CLIENTS: usize = 50;

fn role(number: usize) -> String {
    format!("arn:aws:iam::123456789012:role/r{number}")
}

/// Runs a function for each client, all at the same moment.
pub fn at_once<T: Send>(clients: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(clients);
    let run = |client| {
        start.wait();
        act(client)
    };
    std::thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..clients).map(|client| scope.spawn(move || run(client))).collect();
        running.into_iter().map(|client| client.join().expect("no panic")).collect()
    })
}

/// Starts two servers on one database; returns them and the key of an administrator who is a data owner of project 1.
fn two_servers(world: &World) -> ([Server; 2], String) {
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "admin@example.org", "data-owner"]);
    ([world.serve(), world.serve()], key)
}

on_both_stores! {
    fn several_first_commands_at_once_make_one_schema(world: &World) {
        let names: Vec<String> = (0..24).map(|client| format!("p{client}")).collect();
        let start = |name: &String| world.program(&["project", "add", name]).stdout(Stdio::null()).spawn().expect("it starts");
        let running: Vec<Child> = names.iter().map(start).collect();
        let codes = running.into_iter().map(|mut child| child.wait().expect("it ends").code());
        assert_eq!(codes.collect::<Vec<_>>(), [Some(0); 24]);
        assert_eq!(world.sql("select count(*), count(distinct id) from projects"), [["24", "24"]]);
        assert_eq!(world.sql("select version from _sqlx_migrations order by version"), [["1"], ["2"], ["3"], ["4"]]);
    }

    fn concurrent_changes_leave_exactly_one_default(world: &World) {
        let (servers, key) = two_servers(world);
        for client in 0..CLIENTS {
            let path = format!("/admin/cloud/role-mappings?cloudRole={}&projectId=1&projectRole=ALL", role(client));
            assert_eq!(servers[0].ask("POST", &path, &key).status, 201);
        }
        let answers = at_once(CLIENTS, |client| {
            (0..5)
                .map(|round| {
                    let id = 1 + (client + round) % CLIENTS;
                    let path = format!("/project/1/cloud/role-mappings/{id}?defaultRole=true");
                    servers[client % 2].ask("PUT", &path, &key).status
                })
                .collect::<Vec<_>>()
        });
        assert!(answers.iter().flatten().all(|status| *status == 200), "{answers:?}");
        assert_eq!(world.sql("select count(*) from role_mappings where is_default = 1"), [["1"]]);
        let shown = world.done(&["mapping", "list"]);
        assert_eq!(shown.lines().filter(|line| line.ends_with("\ttrue")).count(), 1, "{shown}");
        assert_eq!(world.sql("select count(*) from role_mappings"), [[CLIENTS.to_string()]]);
    }

    fn the_database_itself_refuses_a_second_default(world: &World) {
        world.done(&["project", "add", "churn"]);
        world.done(&["mapping", "add", "churn", "all", &role(1), "--default"]);
        world.done(&["mapping", "add", "churn", "all", &role(2)]);
        let refused = world.try_sql("update role_mappings set is_default = 1 where id = 2").expect_err("two defaults");
        assert!(refused.as_database_error().is_some_and(|error| error.is_unique_violation()), "{refused}");
    }

    fn only_one_of_many_concurrent_duplicates_is_mapped(world: &World) {
        let (servers, key) = two_servers(world);
        let path = format!("/admin/cloud/role-mappings?cloudRole={}&projectId=1&projectRole=ALL&defaultRole=true", role(0));
        let answers = at_once(CLIENTS, |client| servers[client % 2].ask("POST", &path, &key));
        let count = |status, code| {
            answers.iter().filter(|answer| (answer.status, answer.json["errorCode"].as_u64()) == (status, code)).count()
        };
        assert_eq!((count(201, None), count(400, Some(380_004))), (1, CLIENTS - 1));
        assert_eq!(world.sql("select count(*) from role_mappings"), [["1"]]);
    }

    fn new_defaults_from_two_servers_and_the_command_line_leave_exactly_one(world: &World) {
        let (servers, key) = two_servers(world);
        let done = at_once(9, |client| match client % 3 {
            2 => world.run(&["mapping", "add", "churn", "all", &role(client), "--default"]).code == Some(0),
            server => {
                let query = format!("cloudRole={}&projectId=1&projectRole=ALL&defaultRole=true", role(client));
                servers[server].ask("POST", &format!("/admin/cloud/role-mappings?{query}"), &key).status == 201
            }
        });
        assert_eq!(done, [true; 9]);
        assert_eq!(world.sql("select count(*), count(case when is_default = 1 then 1 end) from role_mappings"), [["9", "1"]]);
    }

    fn a_server_killed_while_it_writes_leaves_a_consistent_database(world: &World) {
        let (servers, key) = two_servers(world);
        let add = |server: &Server, number: usize| {
            let query = format!("cloudRole={}&projectId=1&projectRole=ALL&defaultRole=true", role(number));
            let target = format!("{}/admin/cloud/role-mappings?{query}", crate::world::API);
            server.try_send("POST", &target, &[&format!("Authorization: ApiKey {key}")]).map(|answer| answer.status)
        };
        let [victim, other] = &servers;
        let written = Barrier::new(5);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|client| {
                    let (add, written) = (&add, &written);
                    scope.spawn(move || {
                        let first = add(victim, client * 1000);
                        written.wait();
                        (1..1000).map(|number| add(victim, client * 1000 + number)).take_while(Option::is_some).count()
                            + usize::from(first.is_some())
                    })
                })
                .collect();
            written.wait();
            victim.signal("KILL");
            let answered: usize = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
            assert!(answered >= 4, "{answered}");
            let mapped: usize = world.sql("select count(*) from role_mappings")[0][0].parse().expect("a number");
            // Every answered request is in the database; of the four others, each may be.
            assert!((answered..=answered + 4).contains(&mapped), "{answered} answered, {mapped} mapped");
        });
        assert_eq!(world.sql("select count(case when is_default = 1 then 1 end) from role_mappings"), [["1"]]);
        assert_eq!(
            world.sql("select (select count(*) from role_mappings) - (select count(*) from audit where action = 'mapping add')"),
            [["0"]]
        );
        assert_eq!(add(other, 9_999), Some(201));
        assert_eq!(world.sql("select count(case when is_default = 1 then 1 end) from role_mappings"), [["1"]]);
    }
}

#[test]
fn a_writer_waits_for_another_long_one_instead_of_failing() {
    let world = World::sqlite();
    world.done(&["project", "add", "churn"]);
    let (locked, release) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            crate::world::block_on(async {
                use sqlx::Connection;
                let mut connection = crate::world::connect(&world.database).await;
                let transaction = connection.begin_with("begin immediate").await.expect("the lock");
                locked.wait();
                release.wait();
                transaction.rollback().await.expect("the end");
            });
        });
        locked.wait();
        let mut command = world.program(&["project", "add", "fraud"]);
        let child: Child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        // The program reads while the other transaction writes; only its write waits.
        assert_eq!(world.done(&["mapping", "list"]), "");
        release.wait();
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"2\n"[..]));
    });
}
