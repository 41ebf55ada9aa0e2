//! A start in front of a cluster writes to the database only when that changes something.

use sqlx::{AssertSqlSafe, Executor};
use tokio::runtime::Runtime;

use crate::cluster::deserted;
use crate::delegated::{LIST, OWNER_JWT, delegated, serve};
use crate::postgres;
use crate::session_audit::wait_for_blocked_writer;
use crate::world::{API, World, block_on, connect, on_both_stores};

/// Runs `act` while nobody can write: another program holds the lock of SQLite, PostgreSQL is read-only.
fn while_nobody_can_write(world: &World, act: impl FnOnce()) {
    if !world.database.starts_with("sqlite") {
        postgres::set_read_only(&world.database, true);
        act();
        return postgres::set_read_only(&world.database, false);
    }
    block_on(async {
        let mut connection = connect(&world.database).await;
        connection.execute("begin immediate").await.expect("the lock");
        act();
        connection.execute("rollback").await.expect("the lock is released");
    });
}

on_both_stores! {
    fn a_second_start_in_front_of_a_cluster_writes_nothing(world: &World) {
        let this = delegated(world);
        while_nobody_can_write(world, || {
            let second = serve(world, &this.cluster.url(), &this.sts);
            let list = second.send("GET", &format!("{API}{LIST}"), &[&format!("Authorization: {OWNER_JWT}")]);
            assert_eq!((list.status, list.ids()), (200, vec![1]), "{}", list.text);
        });
    }

    fn a_database_of_another_identity_is_refused_without_a_write(world: &World) {
        let own = if world.database.starts_with("sqlite") { World::sqlite() } else { World::postgres() };
        own.done(&["user", "add", "ada@example.org"]);
        let this = delegated(world);
        let elsewhere = deserted();
        let start = ["serve", "--listen", "127.0.0.1:0", "--identity", "hopsworks", "--hopsworks-url", &elsewhere];
        let of_cluster = format!("the Hopsworks cluster {}/hopsworks-api/api/", this.cluster.url());
        for (world, identity) in [(world, &*of_cluster), (&own, "users and projects of its own")] {
            while_nobody_can_write(world, || {
                let ran = world.run(&start);
                let text = format!("this database serves {identity}; ");
                assert!(ran.code == Some(1) && ran.stderr.starts_with(&text), "{}", ran.stderr);
            });
        }
    }

    fn a_start_that_is_overtaken_by_one_in_front_of_another_cluster_is_refused(world: &World) {
        world.run(&["mapping", "list"]);
        let (cluster, elsewhere) = (deserted(), deserted());
        // The connection lives in it, also while nobody uses it.
        let runtime = Runtime::new().expect("a runtime");
        let mut other = runtime.block_on(connect(&world.database));
        let begin = if world.database.starts_with("sqlite") { "begin immediate" } else { "begin" };
        let insert = format!("insert into identity (one, hopsworks_url) values (1, '{cluster}')");
        for statement in [begin, &insert] {
            runtime.block_on(other.execute(AssertSqlSafe(statement.to_owned()))).expect("it runs");
        }
        let start = ["serve", "--listen", "127.0.0.1:0", "--identity", "hopsworks", "--hopsworks-url", &elsewhere];
        std::thread::scope(|scope| {
            let overtaken = scope.spawn(|| world.run(&start));
            wait_for_blocked_writer(world);
            runtime.block_on(other.execute("commit")).expect("it commits");
            let ran = overtaken.join().expect("no panic");
            let text = format!("this database serves the Hopsworks cluster {cluster}; ");
            assert!(ran.code == Some(1) && ran.stderr.starts_with(&text), "{}", ran.stderr);
        });
    }

    fn starts_at_once_in_front_of_two_clusters_leave_one_of_them(world: &World) {
        let urls = [deserted(), deserted()];
        let codes = crate::at_once::at_once(6, |client| {
            let url = &urls[client % 2];
            // One that cannot listen ends by itself, after it has made the database its own.
            let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = taken.local_addr().expect("an address").to_string();
            world.run(&["serve", "--listen", &address, "--identity", "hopsworks", "--hopsworks-url", url]).stderr
        });
        let known = world.sql("select hopsworks_url from identity");
        assert_eq!(known.len(), 1);
        for (client, said) in codes.iter().enumerate() {
            let is_known = known[0][0].starts_with(&urls[client % 2]);
            let beginning = if is_known { "cannot listen on " } else { "this database serves the Hopsworks cluster " };
            assert!(said.starts_with(beginning), "{client}: {said}");
        }
    }
}
