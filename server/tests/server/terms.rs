//! External id and source identity of a role mapping, wherever a role mapping is.

use crate::world::{World, on_both_stores};

const READER: &str = "arn:aws:iam::123456789012:role/reader";
const WRITER: &str = "arn:aws:iam::123456789012:role/writer";

/// Makes project 1 with two members; STS does not take the address of the second one. Returns the key of the first, an administrator.
fn project_with_members(world: &World) -> String {
    let key = world.done(&["user", "add", "ada@example.org", "--admin"]);
    world.done(&["user", "add", "o'neil@example.org"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
    key
}

const PROBLEM: &str =
    "\"o'neil@example.org\" cannot be a source identity, which has 2 to 64 letters, digits and characters of _+=,.@-";

/// Applies a file.
fn apply(world: &World, text: &str) -> (Option<i32>, String, String) {
    let file = world.directory.join("mappings.json");
    std::fs::write(&file, text).expect("a file");
    let ran = world.run(&["mapping", "apply", file.to_str().expect("UTF-8")]);
    (ran.code, ran.stdout, ran.stderr)
}

on_both_stores! {
    fn both_are_shown_only_where_they_are_set(world: &World) {
        let key = project_with_members(world);
        world.done(&["mapping", "add", "churn", "all", READER, "--external-id", "9f:3c/42", "--source-identity"]);
        world.done(&["mapping", "add", "churn", "all", WRITER]);
        assert_eq!(
            world.done(&["mapping", "list"]),
            format!("1\t1\tchurn\tall\t{READER}\tfalse\t9f:3c/42\ttrue\n2\t1\tchurn\tall\t{WRITER}\tfalse")
        );
        let export = world.done(&["mapping", "export"]);
        assert_eq!(
            export,
            format!(
                "[\n{{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"{READER}\",\"default\":false,\"external_id\":\"9f:3c/42\",\"source_identity\":true}},\n\
                 {{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"{WRITER}\",\"default\":false}}\n]"
            )
        );
        assert_eq!(apply(world, &export), (Some(0), String::new(), String::new()));
        let server = world.serve();
        for list in ["/admin/cloud/role-mappings", "/project/1/cloud/role-mappings"] {
            let items = &server.get(list, &key).json["items"];
            assert_eq!((items[0]["externalId"].as_str(), items[0]["sourceIdentity"].as_bool()), (Some("9f:3c/42"), Some(true)));
            assert!(items[1].get("externalId").is_none() && items[1].get("sourceIdentity").is_none(), "{items}");
        }
        let audit = world.sql("select state_after from audit where action = 'mapping add' order by at, project_role, id");
        let with = audit.iter().filter(|row| row[0].contains("\"externalId\":\"9f:3c/42\"") && row[0].contains("\"sourceIdentity\":true"));
        assert_eq!((audit.len(), with.count()), (2, 1));
    }

    fn a_changed_external_id_is_a_change_of_the_mapping_which_keeps_its_id(world: &World) {
        project_with_members(world);
        world.done(&["mapping", "add", "churn", "all", READER, "--external-id", "old"]);
        let other = world.done(&["mapping", "export"]).replace("\"old\"", "\"new\"");
        assert_eq!(apply(world, &other).1.lines().count(), 2);
        assert_eq!(world.done(&["mapping", "export"]), other);
        assert_eq!(apply(world, &other.replace(",\"external_id\":\"new\"", "")).1.lines().count(), 2);
        assert_eq!(world.sql("select id, external_id from role_mappings"), [["1", "-"]]);
        assert_eq!(world.sql("select count(*) from audit where action = 'mapping change'"), [["2"]]);
    }

    fn rest_sets_changes_and_removes_both(world: &World) {
        let key = project_with_members(world);
        let server = world.serve();
        let add = format!("/admin/cloud/role-mappings?cloudRole={READER}&projectId=1&projectRole=ALL");
        let added = server.ask("POST", &format!("{add}&externalId=a%2Bb&sourceIdentity=true"), &key);
        assert_eq!((added.status, added.json["externalId"].as_str()), (201, Some("a+b")), "{}", added.text);
        assert_eq!(added.json["sourceIdentity"].as_bool(), Some(true));
        let put = |query: &str| server.ask("PUT", &format!("/admin/cloud/role-mappings/1?{query}"), &key);
        let unchanged = put("projectRole=DATA_OWNER");
        assert_eq!((unchanged.json["externalId"].as_str(), unchanged.json["sourceIdentity"].as_bool()), (Some("a+b"), Some(true)));
        assert_eq!(put("externalId=c:d").json["externalId"].as_str(), Some("c:d"));
        assert_eq!(put("removeExternalId=true&externalId=x1").error(), (400, 120_001, "removeExternalId: externalId is given as well"));
        let without = put("removeExternalId=true&sourceIdentity=false");
        assert!(without.json.get("externalId").is_none() && without.json.get("sourceIdentity").is_none(), "{}", without.text);
        for illegal in ["externalId=a", "externalId=a%20b", "externalId=ab%00", "sourceIdentity=yes"] {
            assert_eq!((put(illegal).status, put(illegal).json["errorCode"].as_u64()), (400, Some(120_001)), "{illegal}");
        }
    }

    fn an_address_that_sts_does_not_take_is_refused_when_the_switch_is_set(world: &World) {
        let key = project_with_members(world);
        world.done(&["member", "set", "churn", "o'neil@example.org", "data-scientist"]);
        world.done(&["mapping", "add", "churn", "all", WRITER]);
        let refused = format!("members have addresses that STS does not take: {PROBLEM}");
        assert_eq!(world.failed(&["mapping", "add", "churn", "all", READER, "--source-identity"]), refused);
        let wanted = world.done(&["mapping", "export"]).replace("false", "false,\"source_identity\":true");
        assert_eq!(apply(world, &wanted), (Some(1), String::new(), format!("{refused}\n")));
        let server = world.serve();
        let answer = server.ask("PUT", "/admin/cloud/role-mappings/1?sourceIdentity=true", &key);
        assert_eq!(answer.error(), (400, 120_001, refused.as_str()));
        let serve = world.run(&["serve", "--listen", "127.0.0.1:0", "--source-identity"]);
        assert_eq!((serve.code, serve.stderr), (Some(1), format!("{refused}\n")));
        world.done(&["member", "remove", "churn", "o'neil@example.org"]);
        assert_eq!(apply(world, &wanted).0, Some(0));
        assert_eq!(
            world.failed(&["member", "set", "churn", "o'neil@example.org", "data-scientist"]),
            format!("a role mapping of project churn names its members to STS: {PROBLEM}")
        );
    }

    fn an_import_takes_both_over_and_leaves_what_the_other_server_does_not_say(world: &World) {
        let there = World::sqlite();
        let key = project_with_members(&there);
        there.done(&["mapping", "add", "churn", "all", READER, "--external-id", "theirs", "--source-identity"]);
        there.done(&["mapping", "add", "churn", "data-owner", WRITER]);
        world.done(&["project", "add", "churn"]);
        world.done(&["mapping", "add", "churn", "all", WRITER, "--external-id", "ours"]);
        let ran = world.run_with(&["import", "--from", &there.serve().url], &[("API_KEY", &key)]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert_eq!(
            world.sql("select id, role_arn, project_role, external_id, source_identity from role_mappings order by id"),
            [["1", WRITER, "DATA_OWNER", "ours", "0"], ["2", READER, "ALL", "theirs", "1"]]
        );
    }
}
