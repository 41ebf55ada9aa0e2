//! The plans of the server's own statements on large tables: none reads a whole table, on either database.

use sqlx::AssertSqlSafe;

use crate::browser::Visit;
use crate::postgres;
use crate::sts::Sts;
use crate::world::{World, block_on, connect};

/// The tables that grow.
const LARGE: [&str; 5] = ["audit", "role_mappings", "members", "users", "projects"];

/// Fills the database: 10 000 projects, 10 000 users, 20 000 role mappings, 20 000 rows of the audit. Returns the keys of a data owner of
/// project 5 and of an administrator.
fn fill(world: &World) -> [String; 2] {
    world.done(&["project", "add", "churn"]);
    world.sql(
        "insert into projects (id, name) with recursive n(i) as (select 2 union all select i + 1 from n where i < 10000) \
         select i, 'p' || i from n",
    );
    world.sql(
        "insert into users (id, email, is_admin, key_prefix, key_hash) \
         with recursive n(i) as (select 1001 union all select i + 1 from n where i < 11000) \
         select i, 'u' || i || '@example.org', 0, 'prefix' || i, 'x' from n",
    );
    world.sql(
        "insert into members (project_id, user_id, project_role) select 1 + id % 10000, id, 'DATA_SCIENTIST' from users",
    );
    world.sql(
        "insert into role_mappings (id, project_id, project_role, role_arn, is_default) \
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) \
         select i, 1 + (i - 1) / 2, 'ALL', 'arn:aws:iam::123456789012:role/r' || i, i % 2 from n",
    );
    world.sql(
        "insert into audit (id, at, actor, action, outcome, project_id, project_name, role_arn, session_name, access_key_id) \
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) \
         select 'row' || (100000 + i), 1000000000000 + 1000 * i, 'u' || (1001 + i % 10000) || '@example.org', 'session-token', \
         case i % 10 when 0 then 'refused' else 'granted' end, 1 + i % 10000, 'p', \
         'arn:aws:iam::123456789012:role/r' || i, 'job' || i, 'ASIA' || (100000 + i) from n",
    );
    world
        .sql("update counters set last = case noun when 'role mapping' then 20000 else 10000 end where noun <> 'user'");
    let owner = world.done(&["user", "add", "owner@example.org"]);
    world.done(&["member", "set", "5", "owner@example.org", "data-owner"]);
    [owner, world.done(&["user", "add", "admin@example.org", "--admin"])]
}

/// Makes each kind of request that members and administrators make all the time.
fn make_requests(world: &World, [owner, admin]: &[String; 2]) {
    let sts = Sts::start();
    let server = sts.serve(world);
    for path in [
        "/project/5/cloud/role-mappings",
        "/project/5/cloud/role-mappings?limit=2&offset=1&sort_by=cloud_role:desc",
        "/project/5/cloud/role-mappings?filter_by=cloud_role:arn:aws:iam::123456789012:role/r10",
        "/project/5/cloud/role-mappings/10",
        "/project/5/cloud/role-mappings/default",
        "/project/5/cloud/aws/session-token",
        "/project/5/cloud/aws/session-token?roleARN=arn:aws:iam::123456789012:role/r10",
    ] {
        assert_eq!(server.get(path, owner).status, 200, "{path}");
    }
    assert_eq!(server.ask("PUT", "/project/5/cloud/role-mappings/10?defaultRole=true", owner).status, 200);
    // Refusals.
    assert_eq!(server.get("/project/6/cloud/aws/session-token", owner).status, 403);
    assert_eq!(server.get("/project/6/cloud/role-mappings/11", owner).status, 403);
    assert_eq!(server.get("/project/5/cloud/role-mappings", "no.body").status, 401);
    let list = "/admin/cloud/role-mappings";
    for path in [
        "/10",
        "?limit=25",
        "?limit=25&offset=50",
        "?limit=25&sort_by=id:desc",
        "?limit=25&sort_by=cloud_role",
        "?limit=25&sort_by=project_role",
        "?limit=25&filter_by=project_id:7",
        "?limit=25&filter_by=cloud_role:arn:aws:iam::123456789012:role/r10",
    ] {
        assert_eq!(server.get(&format!("{list}{path}"), admin).status, 200, "{path}");
    }
    let query = "?cloudRole=arn:aws:iam::123456789012:role/new&projectId=7&projectRole=ALL&defaultRole=true";
    let added = server.ask("POST", &format!("{list}{query}"), admin);
    assert_eq!(added.status, 201, "{}", added.text);
    let path = format!("{list}/{}", added.json["id"]);
    assert_eq!(server.ask("PUT", &format!("{path}?defaultRole=false"), admin).status, 200);
    assert_eq!(server.ask("DELETE", &path, admin).status, 204);
    let admin = Visit::sign_in(&server, admin);
    for query in [
        "q=ASIA100007&match=exact",
        "q=u1001%40example.org&match=exact",
        "q=row100007&match=exact",
        "q=7&match=exact",
        "q=p7&match=exact",
        "q=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr7&match=exact",
        "q=u1001%40example.org&match=exact&outcome=refused",
        "outcome=refused",
        "q=job",
        "",
    ] {
        let page = admin.page(&format!("/admin/audit?{query}"));
        assert!(page.contains("class=\"time\""), "{query}: {page}");
        if let Some((_, older)) = page.split_once("before=") {
            let before = older.split(['&', '"']).next().expect("a value");
            admin.page(&format!("/admin/audit?{query}&before={before}"));
        }
    }
    Visit::sign_in(&server, owner).page("/projects/5");
    admin.send_form("/sign-out", &[]);
    server.stop();
}

/// Whether the statement counts all rows, or those that contain a text: no index does that.
fn may_read_all(statement: &str) -> bool {
    statement.starts_with("select count(*)") && (!statement.contains('$') || statement.contains(" like "))
}

#[test]
fn no_request_of_every_day_reads_a_whole_table_on_either_database() {
    let (world, sqlite) = (World::postgres(), World::sqlite());
    let keys = fill(&world);
    fill(&sqlite);
    world.sql("analyze");
    let (mut statements, mut read_all) = (Vec::new(), Vec::new());
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let plans = postgres::record_plans(&world.database, mode, || make_requests(&world, &keys));
        assert!(plans.len() > 40, "{plans:?}");
        for (statement, plan) in plans {
            let is_read = |table: &str| plan.contains(&format!("Seq Scan on {table}"));
            if !may_read_all(&statement) && LARGE.iter().any(|table| is_read(table)) {
                read_all.push(format!("{mode}: {statement}\n{plan}"));
            }
            statements.push(statement);
        }
    }
    // The others, of the driver and of the check of the database, are PostgreSQL's own.
    statements.retain(|statement| LARGE.iter().any(|table| statement.contains(table)));
    statements.sort_unstable();
    statements.dedup();
    block_on(async {
        let mut connection = connect(&sqlite.database).await;
        for statement in &statements {
            let text = statement.replace("collate \"C\"", "collate binary").replace(" for no key update", "");
            let explained =
                sqlx::query_as(AssertSqlSafe(format!("explain query plan {text}"))).fetch_all(&mut connection);
            let plan: Vec<(i64, i64, i64, String)> = explained.await.unwrap_or_else(|error| panic!("{text}: {error}"));
            let steps = plan.iter().map(|(_, _, _, step)| step.as_str());
            let is_sorted = plan.iter().any(|(_, _, _, step)| step.starts_with("USE TEMP B-TREE FOR ORDER BY"));
            let is_read = |step: &str| LARGE.iter().any(|table| step.starts_with(&format!("SCAN {table}")));
            // Along an index it is read as far as the limit goes, unless all of it is sorted.
            if !may_read_all(statement)
                && steps.clone().any(|step| is_read(step) && (is_sorted || !step.contains(" USING ")))
            {
                read_all.push(format!("SQLite: {statement}\n{}", steps.collect::<Vec<_>>().join("\n")));
            }
        }
    });
    assert!(read_all.is_empty(), "{}", read_all.join("\n"));
}
