//! The search of a large audit: what it finds, how far it looks, and that it holds up nobody.

use crate::browser::Visit;
use crate::world::{World, on_both_stores};

/// Fills the audit with 50 000 rows, one a second from 2001-09-09 01:46:41 UTC on. The first one has values of its own.
fn fill(world: &World) -> String {
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    world.done(&["project", "add", "churn"]);
    world.sql("delete from audit");
    world.sql(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000) \
         insert into audit (id, at, actor, action, outcome, project_id, project_name, role_arn, session_name, access_key_id) \
         select 'row' || (100000 + i), 1000000000000 + 1000 * i, 'user' || (i % 100) || '@example.org', 'session-token', \
         case when i % 1000 = 0 then 'refused' when i % 1000 = 1 then 'asked' else 'granted' end, 7, 'fraud', \
         'arn:aws:iam::123456789012:role/common', 'job-' || i, 'ASIA' || (100000 + i) from n",
    );
    world.sql(
        "update audit set id = '00ff00ff', actor = 'First@Example.org', project_id = 1, project_name = 'old_name', \
         role_arn = 'arn:aws:iam::123456789012:role/First', session_name = 'the-very-first', access_key_id = 'ASIAFIRST', \
         outcome = 'refused', reason = 'not a member', times = 37, last_at = 1000000060000, key_prefix = 'abc123', \
         project_role = 'Data owner', source_identity = 'somebody' where id = 'row100001'",
    );
    key
}

/// Returns the times of the rows of a page.
fn rows(page: &str) -> Vec<String> {
    let cells = page.split("class=\"time\">").skip(1);
    cells.map(|cell| cell.split('<').next().expect("its end").to_owned()).collect()
}

/// Returns the address of a link of a page.
fn link<'a>(page: &'a str, text: &str) -> Option<String> {
    let before =
        page.split_once(&format!("\">{text}</a>")).or_else(|| page.split_once(&format!(" rel=\"next\">{text}</a>")))?.0;
    let before: &'a str = before.trim_end_matches('"');
    Some(before.rsplit("href=\"").next()?.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

on_both_stores! {
    fn an_exact_value_is_found_in_all_rows_however_old(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        for text in [
            "asiafirst", "ASIAFIRST", "First@Example.org", "00FF00FF", "1", "churn",
            "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2FFirst",
        ] {
            let page = admin.page(&format!("/admin/audit?q={text}&outcome=refused&match=exact"));
            assert_eq!(rows(&page).last().map(String::as_str), Some("2001-09-09 01:46:41"), "{text}: {page}");
        }
        let page = admin.page("/admin/audit?q=ASIAFIRST");
        assert_eq!(rows(&page).len(), 1, "{page}");
        for shown in [
            "37 times until 2001-09-09 01:47:40", "abc123", "Data owner", "somebody", "not a member", "old_name",
        ] {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }

    fn a_part_of_a_text_is_searched_in_some_rows_and_the_page_says_how_far_and_goes_on(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        let mut page = admin.page("/admin/audit?q=VERY-first");
        for searched_back_to in ["2001-09-09 10:06:42", "2001-09-09 04:33:22"] {
            assert!(rows(&page).is_empty() && page.contains("No records found."), "{page}");
            assert!(page.contains(&format!("within 20000 rows, back to {searched_back_to} UTC")), "{page}");
            page = admin.page(&link(&page, "Search the older rows").expect("a link"));
        }
        assert_eq!(rows(&page), ["2001-09-09 01:46:41"], "{page}");
        assert!(!page.contains("The search looked for"), "{page}");
        // A range of time, or an outcome, that has fewer rows is searched as a whole.
        for query in ["to=2001-09-09&outcome=refused", "to=2001-09-08&from=2001-09-08", "outcome=refused"] {
            let page = admin.page(&format!("/admin/audit?q=very-first&{query}"));
            assert_eq!(rows(&page).len(), usize::from(query.contains("refused")), "{query}: {page}");
            assert!(!page.contains("The search looked for"), "{page}");
        }
    }

    fn older_pages_go_on_exactly_where_the_page_before_ends(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let admin = Visit::sign_in(&server, &key);
        for (query, number, last) in [
            ("q=user7@example.org", 500, "2001-09-09 01:46:47"),
            ("q=user7@example.org&outcome=granted&to=2001-09-09", 500, "2001-09-09 01:46:47"),
            ("outcome=asked", 49, "2001-09-09 02:03:21"),
            ("outcome=refused&from=2001-09-09", 51, "2001-09-09 01:46:41"),
            ("from=2001-09-10&outcome=refused", 0, ""),
        ] {
            let (mut found, mut page) = (Vec::new(), admin.page(&format!("/admin/audit?{query}")));
            for _ in 0..40 {
                found.extend(rows(&page));
                let Some(older) = link(&page, "Older") else { break };
                page = admin.page(&older);
                assert!(link(&page, "Newest").is_some() || page.contains("rel=\"first\">Newest"), "{page}");
            }
            assert_eq!((found.len(), found.last().map_or("", String::as_str)), (number, last), "{query}");
            assert!(found.is_sorted_by(|left, right| left > right), "{query}: newest first, each once");
        }
    }

    fn the_outcome_of_a_request_may_not_be_known(world: &World) {
        let key = fill(world);
        let server = world.serve();
        let page = Visit::sign_in(&server, &key).page("/admin/audit?outcome=asked");
        assert!(page.contains("<option value=\"asked\" selected>Asked, outcome not known</option>"), "{page}");
    }
}

#[test]
fn who_waits_for_the_searches_of_others_is_told_so_and_everybody_else_is_served() {
    let world = World::postgres();
    let key = world.done(&["user", "add", "admin@example.org", "--admin"]);
    let server = world.serve();
    let admin = Visit::sign_in(&server, &key);
    crate::world::block_on(async {
        use sqlx::{Connection, Executor};
        let mut connection = crate::world::connect(&world.database).await;
        let mut transaction = connection.begin().await.expect("a transaction");
        transaction.execute("lock table audit in access exclusive mode").await.expect("the lock");
        std::thread::scope(|scope| {
            let searching: Vec<_> = (0..12).map(|_| scope.spawn(|| admin.get("/admin/audit?q=x"))).collect();
            for _ in 0..20 {
                assert_eq!(server.get("/admin/cloud/role-mappings", &key).status, 200);
            }
            let answers: Vec<_> = searching.into_iter().map(|search| search.join().expect("no panic")).collect();
            assert!(answers.iter().all(|answer| answer.status == 503), "{answers:?}");
            let told = "Other searches of the audit are running; try again in a moment.";
            assert_eq!(answers.iter().filter(|answer| answer.text.contains(told)).count(), 11, "{answers:?}");
        });
    });
    assert_eq!(server.get("/admin/cloud/role-mappings", &key).status, 200);
}
