//! A large database: lists and pages cost what they show, not what there is.

use crate::browser::Visit;
use crate::world::{World, on_both_stores};

const LIST: &str = "/admin/cloud/role-mappings";

/// Fills the database: 300 projects, 300 users who are members of project 1 and of one more, and 30 000 mappings, a hundred in each
/// project but the last one, which has the rest. Returns the key of an administrator, who is a member of all projects.
fn fill(world: &World) -> String {
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    world.sql(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300) \
         insert into projects (id, name) select i, case when i % 2 = 0 then 'b_' else 'B-' end || i from n",
    );
    world.sql(
        "with recursive n(i) as (select 2 union all select i + 1 from n where i < 301) \
         insert into users (id, email, is_admin, key_prefix, key_hash) \
         select i, 'u_' || i || '@example.org', 0, 'prefix' || i, 'x' from n",
    );
    world.sql("insert into members (project_id, user_id, project_role) select id, 1, 'DATA_OWNER' from projects");
    world.sql("insert into members (project_id, user_id, project_role) select 1, id, 'DATA_SCIENTIST' from users where id > 1");
    world.sql(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000) \
         insert into role_mappings (id, project_id, project_role, role_arn, is_default) \
         select i, 1 + (i - 1) / 100, case i % 3 when 0 then 'ALL' when 1 then 'DATA_OWNER' else 'DATA_SCIENTIST' end, \
         'arn:aws:iam::123456789012:role/' || case when i % 2 = 0 then 'r_' else 'R-' end || (i % 1000), 0 from n",
    );
    world.sql("update counters set last = case noun when 'role mapping' then 30000 else 301 end");
    key
}

/// Returns the most memory that a process has had.
pub fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

on_both_stores! {
    fn a_list_is_ordered_byte_by_byte_and_by_ids_where_keys_are_equal(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let check = |query: &str, count: u64, ids: &[i64]| {
            let answer = server.get(&format!("{LIST}?{query}"), &key);
            assert_eq!((answer.json["count"].as_u64(), answer.ids()), (Some(count), ids.to_vec()), "{query}");
        };
        check("limit=2", 30_000, &[1, 2]);
        check("sort_by=id:desc&limit=2", 30_000, &[30_000, 29_999]);
        check("sort_by=cloud_role&limit=2", 30_000, &[1, 1001]);
        check("sort_by=cloud_role:desc&limit=2", 30_000, &[998, 1998]);
        check("sort_by=cloud_role:desc,id:desc&limit=2", 30_000, &[29_998, 28_998]);
        check("sort_by=project_role:asc&limit=2&offset=9999", 30_000, &[30_000, 1]);
        check("sort_by=project_role:desc,project_id:desc&limit=2", 30_000, &[29_903, 29_906]);
        check("sort_by=project_id:desc,cloud_role:asc&limit=1", 30_000, &[29_901]);
        check("offset=29999", 30_000, &[30_000]);
        check("offset=18446744073709551615&limit=18446744073709551615", 30_000, &[]);
        check("limit=0", 30_000, &[]);
        check("filter_by=project_id:3&filter_by=project_role:Data%20owner&limit=2", 33, &[202, 205]);
        check("filter_by=cloud_role:arn:aws:iam::123456789012:role/R-1&filter_by=project_id:11", 1, &[1001]);
        check("filter_by=project_id:3&filter_by=project_id:4&filter_by=project_id:5", 0, &[]);
        let member = server.get("/project/3/cloud/role-mappings?sort_by=cloud_role:desc&limit=1&offset=1", &key);
        assert_eq!((member.json["count"].as_u64(), member.ids()), (Some(100), vec![298]));
        let member = server.get("/project/3/cloud/role-mappings?filter_by=project_id:4&filter_by=project_id:5", &key);
        assert_eq!((member.json["count"].as_u64(), member.ids()), (Some(0), vec![]));
    }

    fn keys_and_filters_that_are_repeated_thousands_of_times_cost_nothing(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let keys = vec!["cloud_role"; 2_000].join(",");
        let answer = server.get(&format!("{LIST}?limit=1&sort_by={keys}"), &key);
        assert_eq!((answer.status, answer.ids()), (200, vec![1]));
        let filters: String = (0..700).map(|id| format!("&filter_by=project_id:{id}")).collect();
        let answer = server.get(&format!("{LIST}?limit=1{filters}"), &key);
        assert_eq!((answer.status, answer.json["count"].as_u64()), (200, Some(0)));
    }

    fn a_list_without_a_limit_has_all_mappings_and_needs_little_memory(world: &World) {
        let key = fill(world);
        let server = world.serve();
        assert_eq!(server.get(&format!("{LIST}?limit=25"), &key).status, 200);
        let before = peak_kib(server.process());
        let answer = server.get(LIST, &key);
        let grown = peak_kib(server.process()) - before;
        assert_eq!(answer.json["count"], 30_000);
        assert!(answer.ids().into_iter().eq(1..=30_000), "every mapping, in the order of the ids");
        assert_eq!(answer.json["items"][29_999]["projectName"], "b_300");
        assert_eq!(answer.header("content-type"), "application/json");
        // The answer itself has eight megabytes.
        assert!(grown < 6 * 1024, "{grown} KiB");
    }

    fn pages_show_a_part_of_what_there_is_and_offer_a_search(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        let home = admin.page("/?q=B_");
        assert!(home.contains("Role mappings: 30000.") && home.contains("Projects: 300."), "{home}");
        assert!(home.contains("1 to 25 of 150, filtered from 300") && home.matches("/projects/").count() < 60, "{home}");
        for (path, summary, first) in [
            ("/admin/projects?page=12", "276 to 300 of 300", "b_"),
            ("/admin/projects?q=b_29", "1 to 5 of 5, filtered from 300", "b_290"),
            ("/admin/projects?q=77", "1 to 3 of 3, filtered from 300", "B-77"),
            ("/admin/users?page=99", "301 to 301 of 301", "u_9@example.org"),
            ("/admin/users?q=PREFIX30", "1 to 3 of 3, filtered from 301", "u_30@example.org"),
            ("/admin/users?q=u_%25", "None, filtered from 301", "No users found."),
            ("/admin/projects/1?q=u_30", "1 to 3 of 3, filtered from 301", "u_300@example.org"),
            ("/admin/projects/1", "1 to 25 of 301", "admin@example.org"),
            ("/admin/role-mappings?q=r_1&sort=role&order=desc&page=2", "26 to 50 of 1650, filtered from 30000", "r_198"),
            ("/admin/role-mappings?q=4711", "1 to 1 of 1, filtered from 30000", "4711"),
        ] {
            let page = admin.page(path);
            assert!(page.contains(summary) && page.contains(first), "{path}: {summary}, {first}: {page}");
            assert!(page.matches("<option").count() < 120 && page.len() < 60_000, "{path}: {page}");
        }
        let mappings = admin.page("/admin/role-mappings");
        assert!(mappings.contains("The list offers the first 100; you can type any other."), "{mappings}");
        let role = "arn:aws:iam::123456789012:role/new";
        let added = admin.post("/admin/role-mappings", &[("project", "b_300"), ("project_role", "ALL"), ("role", role)]);
        assert_eq!((added.status, added.header("location")), (303, "/admin/role-mappings?done=mapping-added"));
    }

    fn no_text_that_is_searched_makes_a_page_fail(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        let long = "_".repeat(26_000);
        for text in ["%25", "!", "%5C", "_", "'", "%27%20or%201=1--", "%E2%80%AE", &long] {
            for path in ["/", "/admin/role-mappings", "/admin/projects", "/admin/projects/1", "/admin/users", "/admin/audit"] {
                admin.page(&format!("{path}?q={text}"));
            }
        }
        for text in ["%00", "a%00b"] {
            assert_eq!(admin.get(&format!("/admin/audit?q={text}")).status, 400);
        }
    }
}
