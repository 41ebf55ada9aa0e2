//! PostgreSQL's own housekeeping beside the server.

use std::time::Duration;

use sqlx::Executor;

use crate::postgres;
use crate::world::{World, block_on, connect};

/// PostgreSQL vacuums the audit, whose rows come and go, whenever it likes, and ends a vacuum that a statement waits for.
#[test]
fn a_migration_does_not_fail_because_postgres_vacuums_the_audit() {
    let world = World::postgres();
    block_on(async {
        let mut connection = connect(&world.database).await;
        postgres::older_schema().run(&mut connection).await.expect("an older schema");
        // Slow: some pages a second.
        connection
            .execute(
                "insert into audit (id, at, actor, action, outcome) \
                 select 'row' || i, i, repeat('a', 500) || i, 'session-token', 'granted' from generate_series(1, 4000) i; \
                 alter table audit set (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, \
                     autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1); \
                 delete from audit where at % 2 = 0",
            )
            .await
            .expect("it runs");
    });
    postgres::vacuum_often(&world.database, true);
    let vacuums =
        "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker' and query like '%audit%'";
    while world.sql(vacuums) == [["0"]] {
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = world.serve().stop();
    assert!(!log.contains("waiting to migrate"), "{log}");
    postgres::vacuum_often(&world.database, false);
}
