//! A project with very many role mappings: what a member asks for is found among them, and costs no more memory than it shows.

use crate::browser::Visit;
use crate::fairness::project_with_a_member;
use crate::size::peak_kib;
use crate::sts::Sts;
use crate::world::{World, on_both_stores};

const TOKEN: &str = "/project/1/cloud/aws/session-token";

/// Maps 50 000 roles to the project of [`project_with_a_member`], whose default is the mapping 1.
fn map_many_roles(world: &World) {
    world.sql(
        "with recursive n(i) as (select 1001 union all select i + 1 from n where i < 51000) \
         insert into role_mappings (id, project_id, project_role, role_arn, is_default) \
         select i, 1, case i % 3 when 0 then 'ALL' when 1 then 'DATA_OWNER' else 'DATA_SCIENTIST' end, \
         'arn:aws:iam::123456789012:role/with-a-long-path/and-a-name-that-is-as-long-as-such-names-often-are-' || i, 0 from n",
    );
    world.sql("update counters set last = 51000 where noun = 'role mapping'");
}

on_both_stores! {
    fn what_a_member_asks_for_is_found_among_any_number_of_mappings(world: &World) {
        let key = project_with_a_member(world);
        let admin = world.done(&["user", "add", "admin@example.org", "--admin"]);
        map_many_roles(world);
        let sts = Sts::start();
        let server = sts.serve(world);
        let list = "/project/1/cloud/role-mappings";
        let arn = |id: i64| format!(
            "arn:aws:iam::123456789012:role/with-a-long-path/and-a-name-that-is-as-long-as-such-names-often-are-{id}"
        );
        let visit = Visit::sign_in(&server, &key);
        let requests = |number: i64| {
            assert_eq!(server.get(TOKEN, &key).status, 200);
            assert_eq!(server.get(&format!("{TOKEN}?roleARN={}", arn(1200 + 3 * number)), &key).status, 200);
            let other = server.get(&format!("{TOKEN}?roleARN={}", arn(1202)), &key);
            assert_eq!(other.error().1, 380_002, "{}", other.text);
            assert_eq!(server.get(&format!("{list}/default"), &key).json["id"], 1);
            let page = server.get(&format!("{list}?limit=2&offset=1"), &key);
            assert_eq!((page.json["count"].as_u64(), page.ids()), (Some(50_001), vec![1001, 1002]));
            let changed = server.ask("PUT", &format!("{list}/{}?defaultRole=true", 1210 + 3 * number), &key);
            assert_eq!(changed.status, 200, "{}", changed.text);
            let path = format!("/admin/cloud/role-mappings?projectId=1&projectRole=ALL&cloudRole={}", arn(100 - number));
            let added = server.ask("POST", &path, &admin);
            assert_eq!(added.status, 201, "{}", added.text);
            let path = format!("/admin/cloud/role-mappings/{}", added.json["id"]);
            assert_eq!(server.ask("PUT", &format!("{path}?projectRole=DATA_SCIENTIST"), &admin).status, 200);
            assert_eq!(server.ask("DELETE", &path, &admin).status, 204);
            assert_eq!(server.ask("PUT", &format!("{list}/1?defaultRole=true"), &key).status, 200);
            let unset = server.ask("PUT", &format!("{list}/{}?defaultRole=false", 1210 + 3 * number), &key);
            assert_eq!(unset.status, 200, "{}", unset.text);
            let page = visit.page("/projects/1");
            assert!(page.contains("1 to 25 of 33334") && page.contains("1 to 25 of 16667"), "{page}");
            assert!(page.len() < 60_000 && page.contains("Use your default role"), "{page}");
        };
        requests(0);
        let before = peak_kib(server.process());
        (1..4).for_each(requests);
        let grown = peak_kib(server.process()) - before;
        // SQLite keeps up to 2 MB for each connection. All mappings take some tens of MB.
        assert!(grown < 8 * 1024, "{grown} KiB");
        let peak = peak_kib(server.process());
        assert!(peak < 100 * 1024, "{peak} KiB");
    }

    fn a_page_of_a_project_pages_and_shows_code_for_a_role_on_any_page(world: &World) {
        let key = project_with_a_member(world);
        map_many_roles(world);
        let server = world.serve();
        let visit = Visit::sign_in(&server, &key);
        let page = visit.page("/projects/1?page=2&others=3");
        assert!(page.contains("26 to 50 of 33334") && page.contains("51 to 75 of 16667"), "{page}");
        assert!(page.contains("/projects/1?page=3&#38;others=3") || page.contains("/projects/1?page=3&amp;others=3"), "{page}");
        let page = visit.page("/projects/1?role=50001");
        assert!(page.contains("Use role 50001, "), "{page}");
        // A role of others, or one that does not exist, is as if none was asked for.
        for role in ["1202", "7"] {
            assert!(visit.page(&format!("/projects/1?role={role}")).contains("Use your default role"));
        }
        assert_eq!(visit.send_form("/projects/1/default", &[("id", "50001")]), "/projects/1?done=default-moved");
        assert!(visit.page("/projects/1").contains("Use your default role, and-a-name"), "the new default");
    }
}
