//! The endpoints of members: what each answers, and to whom.

use serde_json::json;

use crate::world::{Server, World, on_both_stores};

const LIST: &str = "/project/1/cloud/role-mappings";

/// Project 1 `churn` with a data owner, a data scientist and four mappings; project 2 `fraud` with a member and a mapping of
/// its own.
struct Churn {
    server: Server,
    owner: String,
    scientist: String,
    stranger: String,
    admin: String,
}

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn churn(world: &World) -> Churn {
    let user = |name: &str| world.done(&["user", "add", &format!("{name}@example.org")]);
    let (owner, scientist, stranger) = (user("owner"), user("scientist"), user("stranger"));
    let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["project", "add", "fraud"]);
    world.done(&["member", "set", "churn", "owner@example.org", "data-owner"]);
    world.done(&["member", "set", "churn", "scientist@example.org", "data-scientist"]);
    world.done(&["member", "set", "fraud", "stranger@example.org", "data-owner"]);
    world.done(&["mapping", "add", "churn", "all", &role("everybody"), "--default"]);
    world.done(&["mapping", "add", "churn", "data-owner", &role("owners"), "--default"]);
    world.done(&["mapping", "add", "churn", "data-scientist", &role("scientists")]);
    world.done(&["mapping", "add", "churn", "data-scientist", &role("others")]);
    world.done(&["mapping", "add", "fraud", "all", &role("fraud")]);
    Churn { server: world.serve(), owner, scientist, stranger, admin }
}

fn defaults(world: &World) -> Vec<Vec<String>> {
    world.sql("select id from role_mappings where is_default = 1 order by id")
}

on_both_stores! {
    fn the_list_shows_all_mappings_of_the_project_in_the_order_of_their_ids(world: &World) {
        let churn = churn(world);
        let answer = churn.server.get(LIST, &churn.scientist);
        assert_eq!(answer.status, 200);
        assert_eq!((answer.json["count"].as_u64(), answer.ids()), (Some(4), vec![1, 2, 3, 4]));
        assert_eq!(answer.json["href"], "/hopsworks-api/api/project/1/cloud/role-mappings");
        assert_eq!(
            answer.json["items"][1],
            json!({
                "href": "/hopsworks-api/api/project/1/cloud/role-mappings/2",
                "id": 2,
                "projectId": 1,
                "projectName": "churn",
                "projectRole": "Data owner",
                "cloudRole": "arn:aws:iam::123456789012:role/owners",
                "defaultRole": true,
            })
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    fn the_list_is_filtered_sorted_and_paged(world: &World) {
        let churn = churn(world);
        let check = |query: &str, count: u64, ids: &[i64]| {
            let answer = churn.server.get(&format!("{LIST}?{query}"), &churn.owner);
            assert_eq!((answer.json["count"].as_u64(), answer.ids()), (Some(count), ids.to_vec()), "{query}");
            assert_eq!(answer.json["href"], "/hopsworks-api/api/project/1/cloud/role-mappings");
            assert_eq!(answer.json.get("items").is_some(), !ids.is_empty(), "{query}");
        };
        check("filter_by=project_role:Data%20scientist&sort_by=id:desc", 2, &[4, 3]);
        check("filter_by=project_role:DATA_SCIENTIST&filter_by=cloud_role:arn:aws:iam::123456789012:role/others", 1, &[4]);
        check("sort_by=project_role:asc,cloud_role:asc&offset=1&limit=2", 4, &[2, 4]);
        check("limit=0", 4, &[]);
        check("offset=4", 4, &[]);
        for query in ["limit=-1", "limit=x", "offset=-1", "sort_by=colour", "filter_by=colour:red", "filter_by=project_id:x"] {
            let answer = churn.server.get(&format!("{LIST}?{query}"), &churn.owner);
            assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (400, Some(120_001)), "{query}");
        }
    }

    fn a_mapping_is_found_by_its_id_only_in_its_own_project(world: &World) {
        let churn = churn(world);
        let answer = churn.server.get(&format!("{LIST}/3"), &churn.owner);
        assert_eq!((answer.status, answer.json["cloudRole"].as_str()), (200, Some(role("scientists").as_str())));
        assert_eq!(answer.json["href"], "/hopsworks-api/api/project/1/cloud/role-mappings/3");
        for (id, text) in [(5, "there is no role mapping with id 5"), (99, "there is no role mapping with id 99")] {
            assert_eq!(churn.server.get(&format!("{LIST}/{id}"), &churn.owner).error(), (400, 380_003, text));
        }
        assert_eq!(
            churn.server.get(&format!("{LIST}/first"), &churn.owner).error(),
            (400, 120_001, "id: \"first\" in the path is not a number")
        );
    }

    fn digits_alone_are_an_id_in_a_path(world: &World) {
        let churn = churn(world);
        for text in ["%2B1", "-1", "1.0", "0x1", "1e0", "%201", "1%20", "%D9%A1", "9223372036854775808", "%2B0"] {
            for (path, key) in [
                (format!("/project/{text}/cloud/role-mappings"), &churn.owner),
                (format!("/project/{text}/cloud/role-mappings/default"), &churn.owner),
                (format!("/project/{text}/cloud/aws/session-token"), &churn.owner),
                (format!("{LIST}/{text}"), &churn.owner),
                (format!("/admin/cloud/role-mappings/{text}"), &churn.admin),
            ] {
                let answer = churn.server.get(&path, key);
                assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (400, Some(120_001)), "{path}: {}", answer.text);
            }
            let removed = churn.server.ask("DELETE", &format!("/admin/cloud/role-mappings/{text}"), &churn.admin);
            assert_eq!(removed.status, 400, "{text}");
        }
        assert_eq!(world.sql("select count(*) from role_mappings"), [["5"]]);
    }

    fn the_default_is_that_of_the_members_own_project_role_or_else_that_of_all_members(world: &World) {
        let churn = churn(world);
        let id_for = |key: &str| churn.server.get(&format!("{LIST}/default"), key).json["id"].as_i64();
        assert_eq!((id_for(&churn.owner), id_for(&churn.scientist)), (Some(2), Some(1)));
        world.done(&["mapping", "remove", "1"]);
        assert_eq!(
            churn.server.get(&format!("{LIST}/default"), &churn.scientist).error(),
            (
                400,
                380_003,
                "this project has no default role for a Data scientist; name a role, or ask a data owner to set a default"
            )
        );
    }

    fn a_data_owner_moves_the_default_within_its_project_role(world: &World) {
        let churn = churn(world);
        let put = |path: &str, key: &str| churn.server.ask("PUT", path, key);
        let moved = put(&format!("{LIST}/3?defaultRole=true"), &churn.owner);
        assert_eq!((moved.status, moved.json["defaultRole"].as_bool()), (200, Some(true)));
        assert_eq!(defaults(world), [["1"], ["2"], ["3"]]);
        put(&format!("{LIST}/4?defaultRole=true"), &churn.owner);
        assert_eq!(defaults(world), [["1"], ["2"], ["4"]]);
        let cleared = put(&format!("{LIST}/4?defaultRole=false"), &churn.owner);
        assert_eq!((cleared.status, cleared.json["defaultRole"].as_bool()), (200, Some(false)));
        assert_eq!(defaults(world), [["1"], ["2"]]);
        assert_eq!(put(&format!("{LIST}/4"), &churn.owner).error(), (400, 120_001, "defaultRole: it is missing"));
        assert_eq!(put(&format!("{LIST}/4?defaultRole=maybe"), &churn.owner).status, 400);
        assert_eq!(
            put(&format!("{LIST}/5?defaultRole=true"), &churn.owner).error(),
            (400, 380_003, "there is no role mapping with id 5")
        );
        assert_eq!(defaults(world), [["1"], ["2"]]);
    }

    fn a_data_scientist_may_not_move_the_default(world: &World) {
        let churn = churn(world);
        assert_eq!(
            churn.server.ask("PUT", &format!("{LIST}/3?defaultRole=true"), &churn.scientist).error(),
            (403, 150_068, "only data owners of the project may change its default role mapping")
        );
        assert_eq!(defaults(world), [["1"], ["2"]]);
    }

    fn a_stranger_cannot_tell_an_unknown_project_from_one_that_is_not_theirs(world: &World) {
        let churn = churn(world);
        for (method, path) in [
            ("GET", "/project/N/cloud/role-mappings"),
            ("GET", "/project/N/cloud/role-mappings/1"),
            ("GET", "/project/N/cloud/role-mappings/default"),
            ("PUT", "/project/N/cloud/role-mappings/1?defaultRole=true"),
            ("GET", "/project/N/cloud/aws/session-token"),
        ] {
            // The administrator is not a member of either project.
            for key in [&churn.stranger, &churn.admin] {
                for project in [1, 77] {
                    let answer = churn.server.ask(method, &path.replace('N', &project.to_string()), key);
                    let text = format!("you are not a member of project {project}; ask an administrator of the project to add you");
                    let expected = json!({"errorCode": 160_000, "errorMsg": "No role in this project", "usrMsg": text});
                    assert_eq!((answer.status, answer.json), (403, expected), "{path}");
                }
            }
        }
        assert_eq!(defaults(world), [["1"], ["2"]]);
    }

    fn without_a_valid_key_every_endpoint_answers_401(world: &World) {
        let churn = churn(world);
        // Each endpoint gets requests from an address of its own: after twenty wrong keys an address has to wait.
        let server = world.serve_with(&["--behind-proxy"], &[("AWS_EC2_METADATA_DISABLED", "true")]);
        for (number, (method, path)) in [
            ("GET", LIST),
            ("GET", "/project/1/cloud/role-mappings/1"),
            ("GET", "/project/1/cloud/role-mappings/default"),
            ("PUT", "/project/1/cloud/role-mappings/1?defaultRole=true"),
            ("GET", "/project/1/cloud/aws/session-token"),
            ("GET", "/admin/cloud/role-mappings"),
            ("POST", "/admin/cloud/role-mappings?cloudRole=x&projectId=1&projectRole=ALL"),
            ("GET", "/admin/cloud/role-mappings/1"),
            ("PUT", "/admin/cloud/role-mappings/1?defaultRole=true"),
            ("DELETE", "/admin/cloud/role-mappings/1"),
            ("GET", "/admin/cloud/role-mappings/isAvailable"),
        ]
        .into_iter()
        .enumerate()
        {
            let hop = format!("X-Forwarded-For: 192.0.2.{number}");
            let prefix = churn.owner.split_once('.').expect("prefix and secret").0;
            for authorization in [
                String::new(),
                "Authorization: ApiKey".to_owned(),
                "Authorization: ApiKey x.y".to_owned(),
                format!("Authorization: ApiKey {prefix}.{}", "0".repeat(64)),
                format!("Authorization: Bearer {}", churn.owner),
                format!("Authorization: {}", churn.owner),
                format!("Cookie: key={}", churn.owner),
            ] {
                let headers = [hop.as_str(), &authorization];
                let headers = if authorization.is_empty() { &headers[..1] } else { &headers };
                let answer = server.send(method, &format!("/hopsworks-api/api{path}"), headers);
                assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (401, Some(320_013)), "{path}");
                assert_eq!(answer.header("www-authenticate"), "ApiKey realm=\"role-mapping-server\"");
            }
        }
        assert_eq!(world.sql("select count(*) from role_mappings"), [["5"]]);
    }

    fn a_change_of_membership_counts_from_the_next_request_on(world: &World) {
        let churn = churn(world);
        assert_eq!(churn.server.get(LIST, &churn.owner).status, 200);
        world.done(&["member", "set", "churn", "owner@example.org", "data-scientist"]);
        assert_eq!(churn.server.ask("PUT", &format!("{LIST}/3?defaultRole=true"), &churn.owner).status, 403);
        world.done(&["member", "remove", "churn", "owner@example.org"]);
        assert_eq!(churn.server.get(LIST, &churn.owner).status, 403);
    }
}
