//! `mapping apply` and `import` beside everybody else: no deadlock, all or nothing, short.

use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::at_once::at_once;
use crate::browser::Visit;
use crate::fairness::{project_with_a_member, while_sessions_are_granted};
use crate::sts::Sts;
use crate::world::{World, on_both_stores};

const PROJECTS: usize = 8;

/// Adds the projects q2 to q10001.
const INSERT_PROJECTS: &str = "with recursive numbers(id) as (select cast(2 as bigint) union all select id + 1 from numbers where id < 10001) \
                               insert into projects (id, name) select id, 'q' || cast(id as text) from numbers";

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn line(project: &str, role_name: &str) -> String {
    format!("{{\"project\":\"{project}\",\"project_role\":\"all\",\"role\":\"{}\"}}", role(role_name))
}

/// Writes a file of these lines; returns its path.
fn file(world: &World, name: &str, lines: &[String]) -> String {
    let path = world.directory.join(name);
    std::fs::write(&path, format!("[{}]", lines.join(","))).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

fn add_projects(world: &World) {
    (1..=PROJECTS).for_each(|number| drop(world.done(&["project", "add", &format!("p{number}")])));
}

on_both_stores! {
    fn applies_and_changes_over_rest_at_the_same_time_all_succeed(world: &World) {
        let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
        add_projects(world);
        let server = world.serve();
        let failures: Vec<String> = at_once(8, |client| {
            let mut failures = Vec::new();
            for round in 0..6 {
                if client < 4 {
                    // Each is new in some projects and the same in others, and needs ids while others hold projects.
                    let lines: Vec<String> = (1..=PROJECTS)
                        .filter(|number| (number + client) % 3 != 0)
                        .map(|number| line(&format!("p{number}"), &format!("c{client}-{round}")))
                        .collect();
                    let ran = world.run(&["mapping", "apply", &file(world, &format!("{client}.json"), &lines)]);
                    if ran.code != Some(0) {
                        failures.push(ran.stderr);
                    }
                } else {
                    for project in (1..=PROJECTS).rev() {
                        let query = format!("cloudRole={}&projectId={project}&projectRole=ALL&defaultRole=true", role(&format!("r{client}-{round}")));
                        let added = server.ask("POST", &format!("/admin/cloud/role-mappings?{query}"), &key);
                        let id = added.json["id"].as_i64().unwrap_or(0);
                        let path = format!("/admin/cloud/role-mappings/{id}");
                        let changed = server.ask("PUT", &format!("{path}?defaultRole=false"), &key);
                        let removed = server.ask("DELETE", &path, &key);
                        // An apply may have removed it already.
                        let is_good = added.status == 201 && [200, 400].contains(&changed.status) && removed.status == 204;
                        if !is_good {
                            failures.push(format!("{} {} {}", added.text, changed.text, removed.text));
                        }
                    }
                }
            }
            failures
        }).into_iter().flatten().collect();
        assert!(failures.is_empty(), "{} failures: {failures:?}\n{}", failures.len(), server.stop());
        assert_eq!(world.sql("select count(*) - count(distinct id) from role_mappings"), [["0"]]);
    }

    fn an_import_that_fails_changes_nothing(world: &World) {
        let there = World::sqlite();
        let key = there.done(&["user", "add", "admin@example.org", "--admin"]);
        for name in ["aa", "bb"] {
            there.done(&["project", "add", name]);
            there.done(&["mapping", "add", name, "all", &role("reader")]);
        }
        // A name that another server allows and this one does not.
        there.sql("update projects set name = '42' where name = 'bb'");
        let server = there.serve();
        world.done(&["project", "add", "mine"]);
        let before = (world.sql("select * from projects"), world.sql("select * from counters order by noun"), world.sql("select count(*) from audit"));
        for options in [&[][..], &["--dry-run"]] {
            let refused = world.run_with(&[&["import", "--from", &server.url], options].concat(), &[("API_KEY", &key)]);
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
            assert_eq!(
                refused.stderr,
                "the project \"42\" of that server: a project name has 1 to 64 letters, digits and characters of _.- and is not digits only\n"
            );
            let after = (world.sql("select * from projects"), world.sql("select * from counters order by noun"), world.sql("select count(*) from audit"));
            assert_eq!(after, before);
        }
    }

    fn an_import_adds_projects_and_role_mappings_and_records_both(world: &World) {
        let there = World::sqlite();
        let key = there.done(&["user", "add", "admin@example.org", "--admin"]);
        for name in ["aa", "bb"] {
            there.done(&["project", "add", name]);
            there.done(&["mapping", "add", name, "all", &role("reader"), "--default"]);
        }
        let server = there.serve();
        world.done(&["project", "add", "bb"]);
        let ran = world.run_with(&["import", "--from", &server.url], &[("API_KEY", &key)]);
        assert_eq!((ran.code, ran.stdout.lines().count(), ran.stderr.as_str()), (Some(0), 2, ""));
        assert_eq!(world.sql("select id, name from projects order by id"), [["1", "bb"], ["2", "aa"]]);
        let mappings = world.sql("select id, project_id, is_default from role_mappings order by id");
        assert_eq!(mappings, [["1", "1", "1"], ["2", "2", "1"]]);
        assert_eq!(
            world.sql("select action, project_id, case when state_after is null then 1 else 0 end from audit where action <> 'user add' order by action, project_id"),
            [["mapping change", "1", "0"], ["mapping change", "2", "0"], ["project add", "1", "0"], ["project add", "2", "0"]]
        );
        assert_eq!(world.done(&["project", "add", "cc"]), "3");
        assert_eq!(world.done(&["mapping", "add", "cc", "all", &role("reader")]), "3");
    }

    fn a_dry_run_waits_for_nobody_and_touches_no_row(world: &World) {
        add_projects(world);
        let lines: Vec<String> = (1..=PROJECTS).map(|number| line(&format!("p{number}"), "new")).collect();
        let path = file(world, "new.json", &lines);
        crate::world::block_on(async {
            use sqlx::Connection;
            let mut connection = crate::world::connect(&world.database).await;
            let begin = if world.database.starts_with("sqlite") { "begin immediate" } else { "begin" };
            let mut writer = connection.begin_with(begin).await.expect("a writer");
            for update in ["update projects set name = name", "update counters set last = last"] {
                sqlx::query(update).execute(&mut *writer).await.expect("all rows are locked");
            }
            let shown = world.done(&["mapping", "apply", &path, "--dry-run"]);
            assert_eq!(shown.lines().count(), PROJECTS);
            writer.rollback().await.expect("the end");
        });
        assert_eq!(world.sql("select count(*) from role_mappings"), [["0"]]);
        assert_eq!(world.sql("select last from counters where noun = 'role mapping'"), [["0"]]);
    }

    fn a_project_that_stays_as_it_is_is_locked_by_nobody(world: &World) {
        add_projects(world);
        let mut lines: Vec<String> = (1..=PROJECTS).map(|number| line(&format!("p{number}"), "same")).collect();
        world.done(&["mapping", "apply", &file(world, "first.json", &lines)]);
        lines.push(line("p1", "new"));
        let path = file(world, "second.json", &lines);
        if world.database.starts_with("sqlite") {
            return;
        }
        crate::world::block_on(async {
            use sqlx::Connection;
            let mut connection = crate::world::connect(&world.database).await;
            let mut writer = connection.begin().await.expect("a writer");
            sqlx::query("update projects set name = name where id <> 1").execute(&mut *writer).await.expect("locked");
            assert_eq!(world.done(&["mapping", "apply", &path]).lines().count(), 1);
            writer.rollback().await.expect("the end");
        });
    }

    fn thousands_of_lines_are_applied_changed_and_removed(world: &World) {
        add_projects(world);
        let count = 3_000;
        let lines = |suffix: &str| (0..count).map(|number| line(&format!("p{}", 1 + number % PROJECTS), &format!("r{number}{suffix}"))).collect::<Vec<_>>();
        let path = file(world, "many.json", &lines(""));
        assert_eq!(world.done(&["mapping", "apply", &path]).lines().count(), count);
        assert_eq!(world.sql("select count(*), min(id), max(id) from role_mappings"), [["3000", "1", "3000"]]);
        assert_eq!(world.done(&["mapping", "apply", &path]), "");
        let owners: Vec<String> = lines("").iter().map(|line| line.replace("\"all\"", "\"data-owner\"")).collect();
        assert_eq!(world.done(&["mapping", "apply", &file(world, "owners.json", &owners)]).lines().count(), 2 * count);
        assert_eq!(world.sql("select count(*), max(id) from role_mappings where project_role = 'DATA_OWNER'"), [["3000", "3000"]]);
        assert_eq!(world.done(&["mapping", "apply", &file(world, "others.json", &lines("x"))]).lines().count(), 2 * count);
        assert_eq!(world.sql("select count(*), min(id), max(id) from role_mappings"), [["3000", "3001", "6000"]]);
        assert_eq!(world.sql("select count(*) from audit where action = 'mapping change'"), [[(3 * PROJECTS).to_string()]]);
    }

    fn sessions_are_granted_while_a_large_file_is_applied_for_the_first_time(world: &World) {
        let key = project_with_a_member(world);
        let (projects, lines) = (1_000, 10_000);
        world.sql(INSERT_PROJECTS);
        let mut all: Vec<String> = (0..lines).map(|number| line(&format!("q{}", 2 + number % projects), &format!("r{number}"))).collect();
        all.push(line("churn", "r0").replace("}", ",\"default\":true}"));
        let path = file(world, "large.json", &all);
        let sts = Sts::start();
        let server = sts.serve(world);
        let (_, _, longest) = while_sessions_are_granted(&server, &key, 4, || {
            assert_eq!(world.done(&["mapping", "apply", &path]).lines().count(), lines);
            assert_eq!(world.done(&["mapping", "apply", &path]), "");
        });
        assert!(longest < Duration::from_secs(9), "{longest:?}");
    }

    fn sessions_are_granted_while_files_are_applied_and_imported_and_forms_are_saved(world: &World) {
        const LINES: usize = 5_000;
        let key = project_with_a_member(world);
        let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
        let there = World::sqlite();
        let admin_there = there.done(&["user", "add", "admin@example.org", "--admin"]);
        for place in [world, &there] {
            place.sql(INSERT_PROJECTS);
        }
        let lines = |name: &str| (0..LINES).map(|number| line(&format!("q{}", 2 + number % 1_000), &format!("{name}{number}"))).collect::<Vec<_>>();
        there.done(&["mapping", "apply", &file(&there, "there.json", &lines("there"))]);
        let mut here = lines("here");
        here.push(line("churn", "r0").replace("}", ",\"default\":true}"));
        let path = file(world, "here.json", &here);
        let (sts, other) = (Sts::start(), there.serve());
        let server = sts.serve(world);
        let browser = Visit::sign_in(&server, &admin);
        let is_over = AtomicBool::new(false);
        let save = || {
            (0..).take_while(|_| !is_over.load(Ordering::Relaxed)).map(|number| {
                let role = role(&format!("form{number}"));
                browser.send_form("/admin/role-mappings", &[("project", "churn"), ("project_role", "ALL"), ("role", &role)])
            }).count()
        };
        let (saved, _, longest) = while_sessions_are_granted(&server, &key, 4, || std::thread::scope(|scope| {
            let saving = scope.spawn(save);
            let applied = world.run(&["mapping", "apply", &path]);
            let imported = world.run_with(&["import", "--from", &other.url], &[("API_KEY", &admin_there)]);
            is_over.store(true, Ordering::Relaxed);
            let saved = saving.join().expect("each form is saved");
            assert_eq!((applied.code, applied.stderr.as_str()), (Some(0), ""));
            assert_eq!((imported.code, imported.stderr.as_str()), (Some(0), ""));
            assert_eq!(imported.stdout.lines().count(), LINES);
            saved
        }));
        assert!(saved > 0);
        assert!(longest < Duration::from_secs(9), "{longest:?}");
        let count = "select count(*) from role_mappings where role_arn like '%/here%' or role_arn like '%/there%'";
        assert_eq!(world.sql(count), [[(2 * LINES).to_string()]]);
    }

    fn a_key_that_nobody_could_read_changes_nothing(world: &World) {
        let run = |arguments: &[&str]| {
            let mut command = world.program(arguments);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
            drop(child.stdout.take());
            let output = child.wait_with_output().expect("it ends");
            let mut said = String::new();
            write!(said, "{}", String::from_utf8_lossy(&output.stderr)).expect("a text takes all");
            (output.status.code(), said)
        };
        let old = world.done(&["user", "add", "ada@example.org"]);
        let everything = || (world.sql("select * from users order by id"), world.sql("select * from audit order by id"));
        let before = everything();
        for arguments in [["user", "add", "bob@example.org"], ["user", "key", "ada@example.org"]] {
            let (code, said) = run(&arguments);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.starts_with("writing to stdout failed: "), "{said}");
            assert_eq!(everything(), before, "{arguments:?}");
        }
        assert_eq!(world.serve().get("/admin/cloud/role-mappings/isAvailable", &old).status, 200);
    }
}
