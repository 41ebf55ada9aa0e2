//! Rows that somebody edited by hand: a damaged one counts for nobody, says what is wrong with it, and hides no other one.

use sqlx::{AssertSqlSafe, Executor};

use crate::browser::Visit;
use crate::delegated::{page, signed_in};
use crate::sts::{Sts, value};
use crate::world::{Server, World, block_on, connect, on_both_stores};

const ADMIN: &str = "/admin/cloud/role-mappings";
const TOKEN: &str = "/project/1/cloud/aws/session-token";
const GOOD: &str = "arn:aws:iam::123456789012:role/good";
const VICTIM: &str = "arn:aws:iam::123456789012:role/victim";

/// Values that are wrong in each database, and those that only SQLite takes.
struct Column {
    table: &'static str,
    column: &'static str,
    row: &'static str,
    wrong: &'static [&'static str],
    wrong_type: &'static [&'static str],
}

impl Column {
    const fn new(
        table: &'static str,
        column: &'static str,
        row: &'static str,
        wrong: &'static [&'static str],
        wrong_type: &'static [&'static str],
    ) -> Self {
        Self { table, column, row, wrong, wrong_type }
    }
}

const ROLE_MAPPINGS: [Column; 5] = [
    Column::new("role_mappings", "role_arn", "id = 2", &["'x'", "''"], &["x'ff'"]),
    Column::new("role_mappings", "project_role", "id = 2", &["'BOSS'"], &["x'ff'"]),
    Column::new("role_mappings", "is_default", "id = 2", &["2", "-1"], &["'x'", "0.5"]),
    Column::new("role_mappings", "external_id", "id = 2", &["'a b'", "''"], &["x'ff'"]),
    Column::new("role_mappings", "source_identity", "id = 2", &["7"], &["'x'", "x'ff'"]),
];

const OTHERS: [Column; 7] = [
    Column::new("projects", "name", "id = 2", &["'a b'", "''", "'1'", "'a\nb'"], &["x'ff'"]),
    Column::new("users", "email", "id = 2", &["'bob'", "''"], &["x'ff'"]),
    Column::new("users", "is_admin", "id = 2", &["7"], &["'x'"]),
    Column::new("users", "key_hash", "id = 2", &["'x'", "''"], &["x'ff'"]),
    Column::new("users", "key_prefix", "id = 2", &["'x'"], &["x'ff'"]),
    Column::new("members", "project_role", "project_id = 2 and user_id = 2", &["'BOSS'", "''"], &["x'ff'"]),
    Column::new("members", "project_role", "project_id = 2", &["'ALL'"], &["x'ff'"]),
];

const CHURN_ADDED: &str = "action = 'project add' and project_name = 'churn'";

const AUDIT: [Column; 8] = [
    Column::new("audit", "at", CHURN_ADDED, &["-1", "9223372036854775807"], &["'x'", "0.5"]),
    Column::new("audit", "last_at", CHURN_ADDED, &["9223372036854775807"], &["'x'"]),
    Column::new("audit", "times", CHURN_ADDED, &["-7"], &["'x'"]),
    Column::new("audit", "outcome", CHURN_ADDED, &["'x'"], &["x'ff'"]),
    Column::new("audit", "actor", CHURN_ADDED, &["''"], &["x'ff'"]),
    Column::new("audit", "project_id", CHURN_ADDED, &["-1"], &["'x'"]),
    Column::new("audit", "state_after", CHURN_ADDED, &["'{'"], &["x'ff'"]),
    Column::new("audit", "duration_seconds", CHURN_ADDED, &["-1"], &["'x'"]),
];

/// A company: in project 1 a good role mapping and one that is damaged, in project 2 a good one for bob.
struct Company {
    server: Server,
    sts: Sts,
    ada: String,
    bob: String,
}

fn company(world: &World) -> Company {
    let ada = world.done(&["user", "add", "ada@example.org", "--admin"]);
    let bob = world.done(&["user", "add", "bob@example.org"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["project", "add", "fraud"]);
    world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
    world.done(&["member", "set", "fraud", "bob@example.org", "data-scientist"]);
    world.done(&["mapping", "add", "churn", "all", GOOD, "--default"]);
    world.done(&["mapping", "add", "churn", "data-owner", VICTIM]);
    world.done(&["mapping", "add", "fraud", "all", GOOD, "--default"]);
    let sts = Sts::start();
    Company { server: sts.serve(world), sts, ada, bob }
}

/// Damages each column with each value in turn, lets `check` look, and puts the row back.
fn for_each_damage(world: &World, columns: &[Column], mut check: impl FnMut(&Column, &str)) {
    let is_sqlite = world.database.starts_with("sqlite");
    for damaged in columns {
        let Column { table, column, row, wrong, wrong_type } = damaged;
        let values = wrong.iter().chain(if is_sqlite { *wrong_type } else { &[] });
        for value in values {
            let copy = format!("create table kept as select * from {table} where {row}");
            let damage = format!("update {table} set {column} = {value} where {row}");
            execute(world, &[&copy, &damage]);
            check(damaged, value);
            let back = format!("update {table} set {column} = (select {column} from kept) where {row}");
            execute(world, &[&back, "drop table kept"]);
        }
    }
}

/// Makes sure that every reader shows what is good.
fn everything_good_is_shown(world: &World, company: &Company, visit: &Visit, what: &str) {
    let Company { server, ada, .. } = company;
    for path in
        [ADMIN.to_owned(), format!("{ADMIN}?sort_by=cloud_role:desc"), "/project/1/cloud/role-mappings".to_owned()]
    {
        let list = server.get(&path, ada);
        assert!(list.status == 200 && list.ids().contains(&1), "{what}: {path}: {}", list.text);
    }
    let token = server.get(TOKEN, ada);
    assert_eq!(token.status, 200, "{what}: {}", token.text);
    for (path, good) in [
        ("/", "churn"),
        ("/projects/1", "role/good"),
        ("/admin/role-mappings", "role/good"),
        ("/admin/role-mappings?q=good", "role/good"),
        ("/admin/projects", "churn"),
        ("/admin/projects/1", "ada@example.org"),
        ("/admin/users", "ada@example.org"),
        ("/admin/audit", "session-token"),
        ("/admin/audit?q=churn", "session-token"),
        ("/admin/audit?q=ada@example.org&match=exact", "session-token"),
    ] {
        let page = visit.get(path);
        assert!(page.status == 200 && page.text.contains(good), "{what}: {path}: {} {}", page.status, page.text);
    }
    for command in [&["mapping", "list"][..], &["mapping", "list", "churn"], &["mapping", "export"]] {
        let ran = world.run(command);
        assert!(ran.code == Some(0) && ran.stdout.contains(GOOD), "{what}: {command:?}: {}", ran.stderr);
    }
}

/// Runs statements on one connection, one after the other, without the checks that keep values from being damaged.
fn execute(world: &World, statements: &[&str]) {
    let without_checks = if world.database.starts_with("sqlite") {
        &["pragma ignore_check_constraints = on"][..]
    } else {
        &[
            "alter table members drop constraint if exists members_project_role",
            "alter table role_mappings drop constraint if exists role_mappings_project_role",
            "alter table role_mappings drop constraint if exists role_mappings_is_default",
            "alter table users drop constraint if exists users_is_admin",
        ]
    };
    block_on(async {
        let mut connection = connect(&world.database).await;
        for statement in without_checks.iter().chain(statements) {
            connection.execute(AssertSqlSafe((*statement).to_owned())).await.expect("the statement runs");
        }
    });
}

on_both_stores! {
    fn an_edited_row_is_for_nobody_and_the_others_go_on(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org", "--admin"]);
        world.done(&["user", "add", "bob@example.org"]);
        world.done(&["project", "add", "churn"]);
        world.done(&["project", "add", "fraud"]);
        for project in ["churn", "fraud"] {
            world.done(&["member", "set", project, "ada@example.org", "data-owner"]);
        }
        world.done(&["member", "set", "churn", "bob@example.org", "data-owner"]);
        for role in ["one", "two", "three"] {
            world.done(&["mapping", "add", "churn", "all", &format!("arn:aws:iam::123456789012:role/{role}")]);
        }
        execute(world, &[
            "update role_mappings set role_arn = 'arn:aws:iam::1:role/x' where id = 2",
            "update role_mappings set project_role = 'BOSS' where id = 3",
            "update members set project_role = 'BOSS' where project_id = 2",
            "update members set project_role = 'BOSS' where user_id = 2",
        ]);
        let sts = Sts::start();
        let server = sts.serve(world);
        assert_eq!(server.get("/project/1/cloud/role-mappings", &key).ids(), [1]);
        assert_eq!(server.get(ADMIN, &key).ids(), [1]);
        assert_eq!(server.get(&format!("{ADMIN}/2"), &key).error().1, 380_003);
        assert_eq!(server.get("/project/2/cloud/role-mappings", &key).error().1, 160_000);
        for arn in ["arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:role/three"] {
            let refused = server.get(&format!("/project/1/cloud/aws/session-token?roleARN={arn}"), &key);
            assert_eq!(refused.status, 400, "{}", refused.text);
        }
        assert_eq!(server.get("/project/1/cloud/aws/session-token?roleARN=arn:aws:iam::123456789012:role/one", &key).status, 200);
        let cookie = signed_in(&server, &key);
        for path in ["/", "/projects/1", "/admin/role-mappings", "/admin/projects/1", "/admin/projects"] {
            assert_eq!(page(&server, path, &cookie).status, 200, "{path}");
        }
        let log = server.stop();
        for row in ["role mapping 2 of project 1", "role mapping 3 of project 1", "member ada@example.org of project 2"] {
            assert_eq!(log.matches(&format!("damaged row: {row}: ")).count(), 1, "{log}");
        }
        assert!(log.contains("it counts for nobody; remove it with: role-mapping-server mapping remove 2"), "{log}");
        let listed = world.run(&["mapping", "list"]);
        assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 1), "{}", listed.stderr);
        assert_eq!(world.run(&["mapping", "remove", "2"]).code, Some(0));
        assert_eq!(world.run(&["mapping", "remove", "3"]).code, Some(0));
        assert_eq!(world.run(&["member", "set", "fraud", "ada@example.org", "data-scientist"]).code, Some(0));
        assert_eq!(world.run(&["member", "remove", "churn", "bob@example.org"]).code, Some(0));
        assert_eq!(world.sql("select id from role_mappings"), [["1"]]);
        assert_eq!(world.sql("select project_id, project_role from members order by 1"), [["1", "DATA_OWNER"], ["2", "DATA_SCIENTIST"]]);
    }

    fn a_damaged_role_mapping_is_for_nobody_says_what_is_wrong_and_hides_no_other(world: &World) {
        let company = company(world);
        let Company { server, sts, ada, .. } = &company;
        let visit = Visit::sign_in(server, ada);
        let file = world.directory.join("mappings.json");
        let entry = |project: &str, role: &str| format!("{{\"project\":\"{project}\",\"project_role\":\"all\",\"role\":\"{role}\",\"default\":{}}}", role == GOOD);
        let lines = [entry("churn", GOOD), entry("fraud", GOOD), entry("churn", VICTIM)];
        let path = file.to_str().expect("UTF-8");
        for_each_damage(world, &ROLE_MAPPINGS, |Column { column, .. }, value| {
            let what = format!("{column} = {value}");
            everything_good_is_shown(world, &company, &visit, &what);
            let refused = server.get(&format!("{TOKEN}?roleARN={VICTIM}"), ada);
            assert!((400..500).contains(&refused.status), "{what}: {}", refused.text);
            let sentence = format!("role mapping 2 of project 1 is damaged in the database: column {column} of table role_mappings: ");
            let one = server.get(&format!("{ADMIN}/2"), ada);
            assert!(one.status == 400 && one.error().2.starts_with(&sentence), "{what}: {}", one.text);
            for page in ["", "/remove", "/try"] {
                assert_eq!(visit.get(&format!("/admin/role-mappings/2{page}")).status, 400, "{what}");
            }
            // What is good is applied; so is what takes the place of nothing.
            std::fs::write(&file, format!("[{}]", lines[..2].join(","))).expect("a file");
            let ran = world.run(&["mapping", "apply", path]);
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{what}: {}", ran.stderr);
            if *column == "role_arn" {
                return;
            }
            std::fs::write(&file, format!("[{}]", lines.join(","))).expect("a file");
            for command in [
                &["mapping", "apply", path][..],
                &["mapping", "apply", path, "--dry-run"],
                &["mapping", "add", "churn", "data-scientist", VICTIM],
            ] {
                let ran = world.run(command);
                assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{what}: {command:?}");
                let last = ran.stderr.lines().last().expect("a line");
                assert!(last.starts_with(&sentence), "{what}: {command:?}: {}", ran.stderr);
                assert!(last.ends_with("remove it with: role-mapping-server mapping remove 2"), "{}", ran.stderr);
            }
            let add = server.ask("POST", &format!("{ADMIN}?cloudRole={VICTIM}&projectId=1&projectRole=ALL"), ada);
            assert!(add.status == 400 && add.error().2.starts_with(&sentence), "{what}: {}", add.text);
            assert!(!add.text.contains("role-mapping-server "), "only the command line tells commands: {}", add.text);
        });
        assert!(sts.asked().iter().all(|asked| value(asked, "RoleArn") != VICTIM));
        assert_eq!(world.sql("select count(*) from role_mappings"), [["3"]]);
        let log = company.server.stop();
        assert!(!log.contains("the database failed") && !log.contains("panicked"), "{log}");
    }

    fn a_damaged_user_project_or_membership_counts_for_nobody_and_hides_no_other(world: &World) {
        let company = company(world);
        let Company { server, sts, ada, bob } = &company;
        let visit = Visit::sign_in(server, ada);
        let other = World::sqlite();
        let of_fraud = "/project/2/cloud/aws/session-token";
        assert_eq!(server.get(of_fraud, bob).status, 200);
        sts.asked();
        for_each_damage(world, &OTHERS, |Column { table, column, .. }, value| {
            let what = format!("{table}.{column} = {value}");
            everything_good_is_shown(world, &company, &visit, &what);
            let refused = server.get(of_fraud, bob);
            assert!([401, 403].contains(&refused.status), "{what}: {}", refused.text);
            assert!(server.get("/project/2/cloud/role-mappings", bob).status >= 400, "{what}");
            let listed = world.run(&["mapping", "list"]).stdout;
            assert!(listed.lines().all(|line| line.split('\t').count() == 6), "{what}: {listed}");
            // A file always leads back to the same project.
            let exported = world.run(&["mapping", "export"]).stdout;
            let name = if *table == "projects" { "\"2\"" } else { "\"fraud\"" };
            assert!(exported.contains(&format!("{{\"project\":{name},")), "{what}: {exported}");
            let ran = other.run_with(&["import", "--from", &server.url], &[("API_KEY", ada.as_str())]);
            if *table == "projects" {
                assert!(ran.code == Some(1) && ran.stderr.contains(" of that server: a project name has "), "{what}: {}", ran.stderr);
            } else {
                assert_eq!(ran.code, Some(0), "{what}: {}", ran.stderr);
            }
        });
        assert_eq!(server.get(of_fraud, bob).status, 200, "all is repaired");
        assert!(sts.asked().len() <= 2);
        let log = company.server.stop();
        assert!(!log.contains("the database failed") && !log.contains("panicked"), "{log}");
        for column in ["name of table projects", "email of table users", "is_admin of table users", "project_role of table members"] {
            assert!(log.contains(&format!(": column {column}: ")), "{column}: {log}");
        }
    }

    fn a_damaged_row_of_the_audit_hides_no_other(world: &World) {
        let company = company(world);
        let visit = Visit::sign_in(&company.server, &company.ada);
        for_each_damage(world, &AUDIT, |Column { column, .. }, value| {
            everything_good_is_shown(world, &company, &visit, &format!("{column} = {value}"));
        });
        let log = company.server.stop();
        assert!(!log.contains("the database failed") && !log.contains("panicked"), "{log}");
    }

    fn a_damaged_row_does_not_make_a_long_list_a_short_one(world: &World) {
        let ada = world.done(&["user", "add", "ada@example.org"]);
        world.done(&["project", "add", "churn"]);
        world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
        let entry = |number: i32| format!("{{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"{GOOD}{number}\"}}");
        let file = world.directory.join("mappings.json");
        std::fs::write(&file, format!("[{}]", (1..=205).map(entry).collect::<Vec<_>>().join(","))).expect("a file");
        world.done(&["mapping", "apply", file.to_str().expect("UTF-8")]);
        world.sql("update role_mappings set external_id = 'a b' where id = 2");
        let list = world.serve().get("/project/1/cloud/role-mappings", &ada);
        assert_eq!(list.ids().last(), Some(&205), "{}", list.text);
    }

    fn damaged_defaults_hide_no_other_default_however_many_there_are(world: &World) {
        let ada = world.done(&["user", "add", "ada@example.org"]);
        world.done(&["project", "add", "churn"]);
        world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
        world.done(&["mapping", "add", "churn", "data-owner", GOOD, "--default"]);
        execute(world, &[
            "update role_mappings set id = 1001",
            "update counters set last = 1001 where noun = 'role mapping'",
            "insert into role_mappings (id, project_id, project_role, role_arn, is_default) \
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 500) \
             select i, 1, 'BOSS' || i, 'arn:aws:iam::123456789012:role/boss' || i, 1 from n",
        ]);
        let sts = Sts::start();
        let server = sts.serve(world);
        assert_eq!(server.get("/project/1/cloud/role-mappings/default", &ada).json["id"], 1001);
        let token = server.get(TOKEN, &ada);
        assert_eq!(token.status, 200, "{}", token.text);
        assert_eq!(value(&sts.asked()[0], "RoleArn"), GOOD);
        let page = Visit::sign_in(&server, &ada).page("/projects/1");
        assert!(page.contains("Use your default role, good"), "{page}");
        // A new default takes its place, and the audit says so.
        world.run(&["mapping", "add", "churn", "data-owner", VICTIM, "--default"]);
        let default = server.get("/project/1/cloud/role-mappings/default", &ada);
        assert_eq!(default.json["id"], 1002, "{}", default.text);
        let before = world.sql("select state_before from audit where action = 'mapping add' order by at desc, id");
        assert!(before[0][0].contains(GOOD), "{before:?}");
        // One that is damaged stands in the way of another default of its project role.
        execute(world, &["update role_mappings set external_id = 'a b' where id = 1002"]);
        let third = world.run(&["mapping", "add", "churn", "data-owner", "arn:aws:iam::123456789012:role/third", "--default"]);
        assert!(third.code == Some(1) && third.stderr.contains("role mapping 1002 of project 1 is damaged"), "{}", third.stderr);
    }

    fn a_session_with_a_damaged_instant_has_ended(world: &World) {
        let company = company(world);
        let instants = ["used_at", "started_at"].map(|column| {
            Column::new("browser_sessions", column, "user_id = 2", &["9223372036854775807", "-1"], &["'x'", "x'ff'"])
        });
        let (good, victim) = (Visit::sign_in(&company.server, &company.ada), Visit::sign_in(&company.server, &company.bob));
        for_each_damage(world, &instants, |Column { column, .. }, value| {
            assert_eq!(victim.get("/").status, 303, "{column} = {value}");
            assert_eq!(good.get("/").status, 200, "{column} = {value}");
        });
        assert_eq!(victim.get("/").status, 200, "all is repaired");
    }
}
