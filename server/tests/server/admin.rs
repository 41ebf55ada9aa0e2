//! The endpoints of administrators: what each answers, and to whom.

use serde_json::json;

use crate::world::{Server, World, on_both_stores};

const LIST: &str = "/admin/cloud/role-mappings";

/// An administrator, a data owner who is not one, two projects, and no mapping yet.
struct Office {
    server: Server,
    admin: String,
    owner: String,
}

fn office(world: &World) -> Office {
    let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let owner = world.done(&["user", "add", "owner@example.org"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["project", "add", "fraud"]);
    world.done(&["member", "set", "churn", "owner@example.org", "data-owner"]);
    Office { server: world.serve(), admin, owner }
}

impl Office {
    fn post(&self, query: &str) -> crate::world::Answer {
        self.server.ask("POST", &format!("{LIST}?{query}"), &self.admin)
    }

    fn put(&self, id: i64, query: &str) -> crate::world::Answer {
        self.server.ask("PUT", &format!("{LIST}/{id}?{query}"), &self.admin)
    }
}

fn mappings(world: &World) -> Vec<Vec<String>> {
    world.sql("select id, project_id, project_role, role_arn, is_default from role_mappings order by id")
}

on_both_stores! {
    fn post_maps_a_role_and_answers_201_with_the_mapping(world: &World) {
        let office = office(world);
        let answer = office.post(
            "cloudRole=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fa%2Bb&projectId=1&projectRole=Data%20scientist&defaultRole=true",
        );
        assert_eq!(answer.status, 201);
        assert_eq!(
            answer.json,
            json!({
                "href": "/hopsworks-api/api/admin/cloud/role-mappings/1",
                "id": 1,
                "projectId": 1,
                "projectName": "churn",
                "projectRole": "Data scientist",
                "cloudRole": "arn:aws:iam::123456789012:role/a+b",
                "defaultRole": true,
            })
        );
        let second = office.post("cloudRole=arn:aws:iam::123456789012:role/c&projectId=1&projectRole=DATA_SCIENTIST");
        assert_eq!((second.status, second.json["defaultRole"].as_bool()), (201, Some(false)));
        let third = office.post("cloudRole=arn:aws:iam::123456789012:role/d&projectId=1&projectRole=DATA_SCIENTIST&defaultRole=true");
        assert_eq!(third.status, 201);
        assert_eq!(world.sql("select id from role_mappings where is_default = 1"), [["3"]]);
    }

    fn post_refuses_illegal_missing_and_unknown_values_and_mapped_roles(world: &World) {
        let office = office(world);
        office.post("cloudRole=arn:aws:iam::123456789012:role/a&projectId=1&projectRole=ALL");
        let before = mappings(world);
        for (query, error) in [
            ("projectId=1&projectRole=ALL", (400, 120_001, "cloudRole: it is missing")),
            ("cloudRole=arn:aws:iam::123456789012:role/b&projectRole=ALL", (400, 120_001, "projectId: it is missing")),
            ("cloudRole=arn:aws:iam::123456789012:role/b&projectId=1", (400, 120_001, "projectRole: it is missing")),
            (
                "cloudRole=b&projectId=1&projectRole=ALL",
                (
                    400,
                    120_001,
                    "cloudRole: invalid role ARN: \"b\" is not of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>",
                ),
            ),
            (
                "cloudRole=arn:aws:iam::123456789012:role/b&projectId=1&projectRole=boss",
                (
                    400,
                    120_001,
                    "projectRole: invalid project role: \"boss\" is not DATA_OWNER, DATA_SCIENTIST or ALL",
                ),
            ),
            (
                "cloudRole=arn:aws:iam::123456789012:role/b&projectId=77&projectRole=ALL",
                (404, 150_004, "there is no project \"77\""),
            ),
            (
                "cloudRole=arn:aws:iam::123456789012:role/a&projectId=1&projectRole=DATA_OWNER&defaultRole=true",
                (
                    400,
                    380_004,
                    "project churn already has a role mapping for arn:aws:iam::123456789012:role/a; change or remove it",
                ),
            ),
        ] {
            assert_eq!(office.post(query).error(), error, "{query}");
        }
        assert_eq!(mappings(world), before);
    }

    fn the_same_role_may_be_mapped_to_several_projects(world: &World) {
        let office = office(world);
        for project in [1, 2] {
            let query = format!("cloudRole=arn:aws:iam::123456789012:role/a&projectId={project}&projectRole=ALL&defaultRole=true");
            assert_eq!(office.post(&query).status, 201);
        }
        assert_eq!(world.sql("select count(*) from role_mappings where is_default = 1"), [["2"]]);
    }

    fn put_changes_only_the_values_that_it_names(world: &World) {
        let office = office(world);
        office.post("cloudRole=arn:aws:iam::123456789012:role/a&projectId=1&projectRole=ALL&defaultRole=true");
        office.post("cloudRole=arn:aws:iam::123456789012:role/b&projectId=1&projectRole=DATA_OWNER&defaultRole=true");
        let answer = office.put(1, "cloudRole=arn:aws:iam::123456789012:role/c");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json["href"], "/hopsworks-api/api/admin/cloud/role-mappings/1");
        assert_eq!(
            mappings(world)[0],
            ["1", "1", "ALL", "arn:aws:iam::123456789012:role/c", "1"]
        );
        // It stays a default, now of data owners, and so replaces their default.
        assert_eq!(office.put(1, "projectRole=Data%20owner").json["projectRole"], "Data owner");
        assert_eq!(world.sql("select id from role_mappings where is_default = 1"), [["1"]]);
        assert_eq!(office.put(1, "defaultRole=false").json["defaultRole"], false);
        assert_eq!(office.put(2, "").status, 200);
        assert_eq!(
            office.put(2, "cloudRole=arn:aws:iam::123456789012:role/c").error(),
            (
                400,
                380_004,
                "project churn already has a role mapping for arn:aws:iam::123456789012:role/c; change or remove it"
            )
        );
        assert_eq!(office.put(2, "projectRole=boss").status, 400);
        assert_eq!(office.put(77, "defaultRole=true").error(), (400, 380_003, "there is no role mapping with id 77"));
        assert_eq!(
            mappings(world),
            [
                ["1", "1", "DATA_OWNER", "arn:aws:iam::123456789012:role/c", "0"],
                ["2", "1", "DATA_OWNER", "arn:aws:iam::123456789012:role/b", "0"],
            ]
        );
    }

    fn get_finds_a_mapping_or_answers_380003(world: &World) {
        let office = office(world);
        office.post("cloudRole=arn:aws:iam::123456789012:role/a&projectId=2&projectRole=ALL");
        assert_eq!(office.server.get(&format!("{LIST}/1"), &office.admin).json["projectName"], "fraud");
        assert_eq!(
            office.server.get(&format!("{LIST}/2"), &office.admin).error(),
            (400, 380_003, "there is no role mapping with id 2")
        );
    }

    fn delete_answers_204_even_if_the_mapping_did_not_exist(world: &World) {
        let office = office(world);
        office.post("cloudRole=arn:aws:iam::123456789012:role/a&projectId=2&projectRole=ALL");
        for _ in 0..2 {
            let answer = office.server.ask("DELETE", &format!("{LIST}/1"), &office.admin);
            assert_eq!((answer.status, answer.text.as_str()), (204, ""));
        }
        assert_eq!(mappings(world), Vec::<Vec<String>>::new());
        assert_eq!(world.sql("select count(*) from audit where action = 'mapping remove'"), [["1"]]);
    }

    fn the_list_has_all_projects_and_counts_before_paging(world: &World) {
        let office = office(world);
        assert_eq!(
            office.server.get(LIST, &office.admin).text,
            "{\"count\":0,\"href\":\"/hopsworks-api/api/admin/cloud/role-mappings\"}"
        );
        for (role, project) in [("a", 2), ("b", 1), ("c", 2)] {
            let query = format!("cloudRole=arn:aws:iam::123456789012:role/{role}&projectId={project}&projectRole=ALL");
            office.post(&query);
        }
        let check = |query: &str, count: u64, ids: &[i64]| {
            let answer = office.server.get(&format!("{LIST}?{query}"), &office.admin);
            assert_eq!((answer.json["count"].as_u64(), answer.ids()), (Some(count), ids.to_vec()), "{query}");
        };
        check("", 3, &[1, 2, 3]);
        check("sort_by=project_id:asc,id:desc&offset=1&limit=1", 3, &[3]);
        check("filter_by=project_id:2", 2, &[1, 3]);
        check("filter_by=project_id:2&filter_by=cloud_role:arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fc", 1, &[3]);
        check("filter_by=project_id:77", 0, &[]);
    }

    fn only_is_available_is_open_to_every_user(world: &World) {
        let office = office(world);
        assert_eq!(office.server.get(&format!("{LIST}/isAvailable"), &office.owner).text, "{\"enabled\":true}");
        for (method, path) in [
            ("GET", LIST.to_owned()),
            ("GET", format!("{LIST}/1")),
            ("POST", format!("{LIST}?cloudRole=arn:aws:iam::123456789012:role/a&projectId=1&projectRole=ALL")),
            ("PUT", format!("{LIST}/1?defaultRole=true")),
            ("DELETE", format!("{LIST}/1")),
        ] {
            assert_eq!(
                office.server.ask(method, &path, &office.owner).error(),
                (403, 320_003, "only administrators may manage role mappings"),
                "{method} {path}"
            );
        }
        assert_eq!(mappings(world), Vec::<Vec<String>>::new());
    }

    fn the_audit_row_of_a_change_has_the_id_of_its_request(world: &World) {
        let office = office(world);
        let id = office.post("cloudRole=arn:aws:iam::123456789012:role/a&projectId=1&projectRole=ALL");
        assert_eq!(
            world.sql("select id, actor, client_address, action, project_name from audit where client_address is not null"),
            [[id.header("x-request-id"), "admin@example.org", "127.0.0.1", "mapping add", "churn"]]
        );
    }
}
