//! The command line: what it prints, where, and its exit codes. People script against it.

use std::os::unix::fs::PermissionsExt;

use crate::world::{Ran, World, bare_program, on_both_stores};

const READER: &str = "arn:aws:iam::123456789012:role/reader";
const WRITER: &str = "arn:aws-cn:iam::123456789012:role/teams/data/writer";

on_both_stores! {
    fn a_schema_from_which_a_newer_program_took_something_is_left_alone(world: &World) {
        world.done(&["project", "add", "churn"]);
        world.sql("update schema_compatibility set oldest_migration = 99");
        let refused = world.run(&["project", "add", "fraud"]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
        assert!(refused.stderr.starts_with("cannot migrate the schema of the database "), "{}", refused.stderr);
        assert!(refused.stderr.contains("99"), "{}", refused.stderr);
        assert_eq!(world.sql("select name from projects"), [["churn"]]);
    }

    fn a_schema_to_which_a_newer_program_only_added_is_used(world: &World) {
        world.done(&["project", "add", "churn"]);
        world.sql("alter table projects add column colour text");
        world.sql(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
             select 99, 'colours', success, checksum, execution_time from _sqlx_migrations where version = 1",
        );
        world.done(&["project", "add", "fraud"]);
        assert_eq!(world.sql("select name from projects order by id"), [["churn"], ["fraud"]]);
    }

    fn a_database_of_an_older_program_is_migrated_and_keeps_its_rows(world: &World) {
        world.done(&["project", "add", "churn"]);
        for statement in ["drop table identity", "drop table cluster_sessions", "delete from _sqlx_migrations where version = 3"] {
            world.sql(statement);
        }
        world.done(&["project", "add", "fraud"]);
        assert_eq!(world.sql("select name from projects order by id"), [["churn"], ["fraud"]]);
        assert_eq!(world.sql("select count(*) from identity"), [["0"]]);
    }

    fn user_add_prints_a_key_of_32_random_bytes_as_its_only_line(world: &World) {
        let ran = world.run(&["user", "add", "ada@example.org", "--admin"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let key = ran.stdout.strip_suffix('\n').expect("a line");
        let (prefix, secret) = key.split_once('.').expect("prefix and secret");
        assert_eq!((prefix.len(), secret.len()), (12, 64));
        assert_eq!(world.sql("select email, is_admin, key_prefix from users"), [["ada@example.org", "1", prefix]]);
    }

    fn a_known_user_is_not_added_again(world: &World) {
        world.done(&["user", "add", "ada@example.org"]);
        assert_eq!(
            world.failed(&["user", "add", "Ada@Example.org"]),
            "user ada@example.org already exists; make a new key with: role-mapping-server user key ada@example.org"
        );
    }

    fn a_new_key_voids_the_old_one_at_once(world: &World) {
        let server = world.serve();
        let old = world.done(&["user", "add", "ada@example.org"]);
        assert_eq!(server.get("/admin/cloud/role-mappings/isAvailable", &old).status, 200);
        let new = world.done(&["user", "key", "ada@example.org"]);
        assert_eq!(server.get("/admin/cloud/role-mappings/isAvailable", &old).status, 401);
        assert_eq!(server.get("/admin/cloud/role-mappings/isAvailable", &new).status, 200);
        assert_eq!(
            world.failed(&["user", "key", "bob@example.org"]),
            "there is no user bob@example.org; add them with: role-mapping-server user add EMAIL"
        );
    }

    fn project_add_prints_the_id_as_its_only_line(world: &World) {
        let ran = world.run(&["project", "add", "churn"]);
        assert_eq!(ran, Ran { code: Some(0), stdout: "1\n".to_owned(), stderr: String::new() });
        assert_eq!(world.done(&["project", "add", "fraud"]), "2");
        assert_eq!(world.failed(&["project", "add", "churn"]), "project churn already exists");
    }

    fn member_set_replaces_the_project_role_and_member_remove_ends_the_membership(world: &World) {
        world.done(&["user", "add", "ada@example.org"]);
        world.done(&["project", "add", "churn"]);
        assert_eq!(world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]), "");
        assert_eq!(world.done(&["member", "set", "1", "ada@example.org", "data-scientist"]), "");
        assert_eq!(world.sql("select project_id, user_id, project_role from members"), [["1", "1", "DATA_SCIENTIST"]]);
        assert_eq!(
            world.failed(&["member", "set", "2", "ada@example.org", "data-owner"]),
            "there is no project \"2\"; add it with: role-mapping-server project add NAME"
        );
        assert_eq!(
            world.failed(&["member", "set", "churn", "bob@example.org", "data-owner"]),
            "there is no user bob@example.org; add them with: role-mapping-server user add EMAIL"
        );
        assert_eq!(world.done(&["member", "remove", "churn", "ada@example.org"]), "");
        assert_eq!(world.sql("select project_id from members"), Vec::<Vec<String>>::new());
        assert_eq!(
            world.failed(&["member", "remove", "churn", "ada@example.org"]),
            "ada@example.org is not a member of project churn"
        );
    }

    fn mapping_list_prints_six_columns_and_no_header(world: &World) {
        world.done(&["project", "add", "churn"]);
        world.done(&["project", "add", "fraud"]);
        assert_eq!(world.run(&["mapping", "list"]).stdout, "");
        assert_eq!(world.done(&["mapping", "add", "churn", "all", READER, "--default"]), "1");
        assert_eq!(world.done(&["mapping", "add", "2", "data-owner", WRITER]), "2");
        assert_eq!(world.done(&["mapping", "add", "churn", "data-scientist", WRITER]), "3");
        assert_eq!(
            world.run(&["mapping", "list"]).stdout,
            format!(
                "1\t1\tchurn\tall\t{READER}\ttrue\n2\t2\tfraud\tdata-owner\t{WRITER}\tfalse\n3\t1\tchurn\tdata-scientist\t{WRITER}\tfalse\n"
            )
        );
        assert_eq!(
            world.run(&["mapping", "list", "fraud"]).stdout,
            format!("2\t2\tfraud\tdata-owner\t{WRITER}\tfalse\n")
        );
        assert_eq!(world.run(&["mapping", "list", "2"]).stdout, world.run(&["mapping", "list", "fraud"]).stdout);
        assert_eq!(
            world.failed(&["mapping", "list", "nowhere"]),
            "there is no project \"nowhere\"; add it with: role-mapping-server project add NAME"
        );
    }

    fn mapping_add_moves_the_default_and_refuses_a_role_that_is_already_mapped(world: &World) {
        world.done(&["project", "add", "churn"]);
        world.done(&["mapping", "add", "churn", "all", READER, "--default"]);
        world.done(&["mapping", "add", "churn", "all", WRITER, "--default"]);
        assert_eq!(
            world.sql("select id, is_default from role_mappings order by id"),
            [["1", "0"], ["2", "1"]]
        );
        assert_eq!(
            world.failed(&["mapping", "add", "churn", "data-owner", READER, "--default"]),
            format!("project churn already has a role mapping for {READER}; change or remove it")
        );
    }

    fn the_id_of_a_removed_mapping_is_never_used_again(world: &World) {
        world.done(&["project", "add", "churn"]);
        assert_eq!(world.done(&["mapping", "add", "churn", "all", READER]), "1");
        assert_eq!(world.done(&["mapping", "remove", "1"]), "");
        assert_eq!(world.done(&["mapping", "add", "churn", "all", READER]), "2");
        assert_eq!(world.failed(&["mapping", "remove", "1"]), "there is no role mapping with id 1");
    }

    fn the_audit_has_every_change_with_its_states_before_and_after(world: &World) {
        world.done(&["project", "add", "churn"]);
        world.done(&["mapping", "add", "churn", "all", READER, "--default"]);
        world.done(&["mapping", "add", "churn", "all", WRITER, "--default"]);
        let mapping = |id, role, is_default| {
            format!("{{\"cloudRole\":\"{role}\",\"defaultRole\":{is_default},\"id\":{id},\"projectRole\":\"ALL\"}}")
        };
        assert_eq!(
            world.sql(
                "select substr(actor, 1, 14), client_address, action, outcome, project_id, project_name, state_before, state_after \
                 from audit where state_before is not null"
            ),
            [[
                "command line (", "-", "mapping add", "changed", "1", "churn",
                &format!("[{}]", mapping(1, READER, true)),
                &format!("[{},{}]", mapping(1, READER, false), mapping(2, WRITER, true)),
            ]]
        );
        assert_eq!(
            world.sql("select action from audit order by at, action"),
            [["project add"], ["mapping add"], ["mapping add"]]
        );
    }
}

#[test]
fn wrong_usage_ends_with_2_and_prints_nothing_on_stdout() {
    let world = World::sqlite();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["user", "add"],
        &["user", "add", "not an address"],
        &["project", "add", "119"],
        &["member", "set", "churn", "ada@example.org", "all"],
        &["mapping", "add", "churn", "boss", READER],
        &["mapping", "add", "churn", "all", "reader"],
        &["mapping", "remove", "one"],
        &["mapping", "list", "--database", "sqlite:roles.db"],
        &["mapping", "list", "--database", "sqlite://roles.db"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--listen", "127.0.0.1:0", "--identity", "hopsworks"],
        &["serve", "--listen", "127.0.0.1:0", "--tls-cert", "cert.pem"],
    ] {
        let ran = world.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
    let without_database = bare_program(&["mapping", "list"]).output().expect("the program starts");
    assert_eq!(without_database.status.code(), Some(2));
    assert!(!world.directory.join("roles.db").exists(), "wrong usage made a database");
}

#[test]
fn the_option_goes_before_the_variable() {
    let (world, other) = (World::sqlite(), World::sqlite());
    world.done(&["project", "add", "churn", "--database", &other.database]);
    assert_eq!(other.sql("select name from projects"), [["churn"]]);
    assert!(!world.directory.join("roles.db").exists());
}

#[test]
fn the_database_file_is_readable_by_its_owner_only() {
    let world = World::sqlite();
    let server = world.serve();
    world.done(&["project", "add", "churn"]);
    for entry in world.directory.read_dir().expect("a directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
    }
    drop(server);
}

#[test]
fn a_missing_directory_of_the_database_is_not_created() {
    let world = World::sqlite();
    let missing = world.directory.join("missing");
    let url = format!("sqlite://{}/roles.db", missing.display());
    let ran = world.run(&["mapping", "list", "--database", &url]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        ran.stderr,
        format!(
            "cannot open the database {}/roles.db; its directory must exist and be readable and writable for this user: \
             No such file or directory (os error 2)\n",
            missing.display()
        )
    );
    assert!(!missing.exists());
}

#[test]
fn no_message_holds_the_password_of_the_database() {
    for url in
        ["postgres://me:canary@127.0.0.1:1/roles", "postgres://me:canary@127.0.0.1:x/roles", "pg://me:canary@h/d"]
    {
        let output = bare_program(&["mapping", "list", "--database", url]).output().expect("the program starts");
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(!said.contains("canary"), "{said}");
    }
}

#[test]
fn help_shows_a_first_run_and_never_the_value_of_database_url() {
    let world = World::sqlite();
    let help = world.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(
        help.stdout
            .contains("role-mapping-server mapping add churn all arn:aws:iam::123456789012:role/reader --default")
    );
    let help = world.run(&["serve", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("[env: DATABASE_URL]"), "{}", help.stdout);
    assert!(!help.stdout.contains(&world.database));
}
