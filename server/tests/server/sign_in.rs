//! Signing in to the pages and out: what the audit says of it, and how little a flood of refusals costs.

use crate::browser::{Visit, post};
use crate::world::{Answer, Server, World, on_both_stores};

fn behind_proxy(world: &World) -> Server {
    world.serve_with(&["--behind-proxy"], &[("AWS_EC2_METADATA_DISABLED", "true")])
}

fn sign_in_from(server: &Server, address: &str, key: &str) -> Answer {
    let form = format!("key={key}");
    let headers = [
        format!("Origin: https://{}", server.address()),
        format!("X-Forwarded-For: {address}"),
        format!("Content-Length: {}", form.len()),
    ];
    server.try_send_with("POST", "/sign-in", &headers.each_ref().map(String::as_str), &form).expect("an answer")
}

const REFUSED: &str =
    "select count(*), cast(sum(times) as bigint) from audit where action = 'sign-in' and outcome = 'refused'";

on_both_stores! {
    fn refused_sign_ins_of_an_address_are_one_row_with_a_count_for_each_reason(world: &World) {
        let server = behind_proxy(world);
        for number in 0..60 {
            let answer = sign_in_from(&server, "192.0.2.7", "nobody.has.this");
            assert_eq!(answer.status, if number < 20 { 403 } else { 429 }, "{}", answer.text);
        }
        assert_eq!(server.metric("sign_ins_total{outcome=\"refused\"}"), 60.0);
        server.stop();
        // Until the first row is durable, the second refusal is a row of its own.
        assert_eq!(
            world.sql(
                "select actor, client_address, project_id, cast(sum(times) as bigint), reason from audit \
                 group by actor, client_address, project_id, reason order by reason"
            ),
            [
                ["nobody", "192.0.2.7", "-", "20", "the request has no valid API key; send the header \"Authorization: ApiKey <key>\""],
                ["nobody", "192.0.2.7", "-", "40", "too many wrong API keys came from this address"],
            ]
        );
        assert_eq!(world.sql(REFUSED), [["2", "60"]]);
    }

    fn a_flood_of_refused_sign_ins_from_many_addresses_is_cut_and_counted(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org"]);
        let server = behind_proxy(world);
        for number in 0..300 {
            let address = match number % 2 {
                0 => format!("10.0.{}.{}", number / 100, number % 100),
                _ => format!("2001:db8::{number}"),
            };
            assert!([403, 429].contains(&sign_in_from(&server, &address, "nobody.has.this").status));
        }
        assert_eq!(sign_in_from(&server, "192.0.2.7", &key).status, 303, "nobody else waits");
        assert_eq!(server.metric("sign_ins_total{outcome=\"refused\"}"), 300.0);
        assert_eq!(server.metric("sign_ins_total{outcome=\"granted\"}"), 1.0);
        server.stop();
        assert_eq!(world.sql(REFUSED), [["21", "300"]]);
    }

    fn a_session_begins_and_ends_in_the_transaction_of_its_row(world: &World) {
        let key = world.done(&["user", "add", "ada@example.org"]);
        let server = world.serve();
        let visit = Visit::sign_in(&server, &key);
        world.sql("alter table audit rename to gone");
        assert_eq!(visit.post("/sign-out", &[]).status, 500);
        assert_eq!(post(&server, "/sign-in", &visit.cookie, &[("key", &key)]).status, 500);
        assert_eq!(world.sql("select count(*) from browser_sessions"), [["1"]]);
        assert_eq!(visit.get("/").status, 200, "the session goes on");
        world.sql("alter table gone rename to audit");
        // Another session of the same browser takes its place.
        let again = post(&server, "/sign-in", &visit.cookie, &[("key", &key)]);
        assert_eq!(again.status, 303);
        assert_eq!(world.sql("select count(*) from browser_sessions"), [["1"]]);
        assert_eq!(visit.get("/").status, 303);
        assert_eq!(
            world.sql("select action, count(*) from audit where action like 'sign-%' group by action"),
            [["sign-in", "2"]]
        );
    }
}
