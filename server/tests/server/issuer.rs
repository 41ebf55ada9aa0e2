//! How often the server asks STS: who shares a call, who gets what STS gave before, and who waits.

use crate::session_token::{TOKEN, audit, churn};
use crate::sts::Mood;
use crate::world::{API, World, block_on, connect, on_both_stores};

on_both_stores! {
    fn callers_of_the_same_at_once_share_one_call_and_each_is_in_the_audit(world: &World) {
        let churn = churn(world);
        // Enough callers to overlap, and few enough to arrive on any machine before the server gives up on STS.
        const CALLERS: u32 = 100;
        churn.sts.is(Mood::Thinks);
        std::thread::scope(|scope| {
            let churn = &churn;
            let everybody = "roleARN=arn:aws:iam::123456789012:role/everybody&roleSessionName=job";
            let ask = |key| scope.spawn(move || churn.get(everybody, key));
            let same: Vec<_> = (0..CALLERS).map(|_| ask(&churn.scientist)).collect();
            let other = ask(&churn.owner);
            let stranger = ask(&churn.stranger);
            assert_eq!(stranger.join().expect("no panic").status, 403);
            churn.server.wait_for_metric("waiting_for_sts", f64::from(CALLERS + 1));
            churn.sts.is(Mood::Grants);
            let answers: Vec<_> = same.into_iter().chain([other]).map(|asked| asked.join().expect("no panic")).collect();
            assert!(answers.iter().all(|answer| answer.json["accessKeyId"] == "ASIAGRANTED"), "{answers:?}");
        });
        assert_eq!(churn.sts.asked().len(), 2, "one for each member");
        assert_eq!(
            world.sql("select actor, outcome, count(distinct id) from audit where action = 'session-token' group by actor, outcome order by actor"),
            [
                ["ada.lovelace@example.org", "granted", &CALLERS.to_string()],
                ["owner@example.org", "granted", "1"],
                ["stranger@example.org", "refused", "1"],
            ]
        );
        assert_eq!(churn.server.metric("sts_calls_total{outcome=\"granted\"}"), 2.0);
        assert_eq!(churn.server.metric("session_tokens_total{outcome=\"granted\"}"), f64::from(CALLERS + 1));
        assert_eq!(churn.server.metric("session_tokens_total{outcome=\"refused\"}"), 1.0);
        assert_eq!(churn.server.metric("waiting_for_sts"), 0.0);
    }

    fn what_sts_gave_is_given_again_and_each_request_is_in_the_audit(world: &World) {
        let churn = churn(world);
        for _ in 0..5 {
            assert_eq!(churn.get("", &churn.scientist).json["accessKeyId"], "ASIAGRANTED");
        }
        assert_eq!(churn.sts.asked().len(), 1);
        assert_eq!(churn.server.metric("session_tokens_reused_total"), 4.0);
        assert_eq!(
            world.sql("select count(distinct id), count(distinct access_key_id) from audit where outcome = 'granted'"),
            [["5", "1"]]
        );
        // Everything that goes to STS, and who asks for what, makes credentials of their own.
        for (query, key) in [
            ("roleSessionName=other", &churn.scientist),
            ("durationSeconds=900", &churn.scientist),
            ("roleARN=arn:aws:iam::123456789012:role/scientists", &churn.scientist),
            ("roleARN=arn:aws:iam::123456789012:role/everybody&roleSessionName=ada.lovelace-churn", &churn.owner),
        ] {
            assert_eq!(churn.get(query, key).status, 200);
            assert_eq!(churn.sts.asked().len(), 1, "{query}");
        }
    }

    fn the_same_role_in_another_project_or_with_other_terms_is_another_call(world: &World) {
        let churn = churn(world);
        let role = "arn:aws:iam::123456789012:role/everybody";
        world.done(&["project", "add", "fraud"]);
        world.done(&["member", "set", "fraud", "ada.lovelace@example.org", "data-scientist"]);
        world.done(&["mapping", "add", "fraud", "all", role]);
        let calls = |project: u8| {
            let path = format!("/project/{project}/cloud/aws/session-token?roleARN={role}&roleSessionName=job");
            assert_eq!(churn.server.get(&path, &churn.scientist).status, 200);
            churn.sts.asked().len()
        };
        assert_eq!([calls(1), calls(2), calls(1), calls(2)], [1, 1, 0, 0]);
        // As another process may leave it: no row of the audit tells this server to drop what it has.
        for terms in ["external_id = 'other'", "source_identity = 1"] {
            let update = format!("update role_mappings set {terms} where id = 1");
            block_on(async {
                let mut connection = connect(&world.database).await;
                sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut connection).await.expect("it is changed");
            });
            assert_eq!([calls(1), calls(1), calls(2)], [1, 0, 0], "{terms}");
        }
    }

    fn who_renews_gets_what_has_half_of_its_time_left_and_others_what_has_nine_tenths(world: &World) {
        let churn = churn(world);
        let asked = |duration: u32, renews: Option<&str>| {
            let login = format!("Authorization: ApiKey {}", churn.scientist);
            let said = renews.map(|renews| format!("Hops-Renews: {renews}"));
            let headers: Vec<&str> = [Some(login.as_str()), said.as_deref()].into_iter().flatten().collect();
            let target = format!("{API}{TOKEN}?durationSeconds={duration}");
            (churn.server.send("GET", &target, &headers).status, churn.sts.asked().len())
        };
        // The query differs, so that each set is asked for anew.
        for (duration, minutes_ago, is_enough_to_renew, is_enough) in
            [(3600, 5, true, true), (3601, 7, true, false), (3602, 29, true, false), (3603, 31, false, false)]
        {
            churn.sts.answers_as_if_it_were(minutes_ago);
            assert_eq!(asked(duration, None), (200, 1), "{minutes_ago} minutes");
            let calls = |is_enough: bool| usize::from(!is_enough);
            assert_eq!(asked(duration, Some("true")), (200, calls(is_enough_to_renew)), "{minutes_ago} minutes");
            assert_eq!(asked(duration, Some("false")), (200, calls(is_enough)), "{minutes_ago} minutes");
            assert_eq!(asked(duration, None), (200, calls(is_enough)), "{minutes_ago} minutes");
        }
        assert_eq!(asked(3600, Some("yes")), (400, 0));
        let refused = world.sql("select reason from audit where outcome = 'refused'");
        assert!(refused[0][0].contains("hops-renews: it is neither true nor false"), "{refused:?}");
    }

    fn a_change_of_mapping_membership_or_key_makes_earlier_credentials_unreachable(world: &World) {
        let churn = churn(world);
        let scientists = "roleARN=arn:aws:iam::123456789012:role/scientists";
        let asked = |key: &str| {
            assert_eq!(churn.get(scientists, key).status, 200);
            churn.sts.asked().len()
        };
        assert_eq!((asked(&churn.scientist), asked(&churn.scientist)), (1, 0));
        world.done(&["mapping", "remove", "3"]);
        assert_eq!(churn.get(scientists, &churn.scientist).error().1, 380_003);
        world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/scientists"]);
        assert_eq!((asked(&churn.scientist), asked(&churn.scientist)), (1, 0), "another mapping");
        let key = world.done(&["user", "key", "ada.lovelace@example.org"]);
        assert_eq!(churn.get(scientists, &churn.scientist).status, 401);
        assert_eq!((asked(&key), asked(&key)), (1, 0), "another key");
        world.done(&["member", "set", "churn", "ada.lovelace@example.org", "data-owner"]);
        assert_eq!((asked(&key), asked(&key)), (1, 0), "another project role");
        world.done(&["member", "remove", "churn", "ada.lovelace@example.org"]);
        assert_eq!(churn.get(scientists, &key).status, 403);
    }

    fn many_workers_that_start_together_cost_one_call_for_each_member_role_and_session_name(world: &World) {
        let churn = churn(world);
        const WORKERS: usize = 400;
        std::thread::scope(|scope| {
            let churn = &churn;
            let asking: Vec<_> = (0..WORKERS)
                .map(|worker| {
                    let key = if worker % 2 == 0 { &churn.scientist } else { &churn.owner };
                    let role = "roleARN=arn:aws:iam::123456789012:role/everybody";
                    let query = format!("{role}&roleSessionName=worker{}", worker % 20);
                    scope.spawn(move || churn.get(&query, key).status)
                })
                .collect();
            assert!(asking.into_iter().all(|asked| asked.join().expect("no panic") == 200));
        });
        assert_eq!(churn.sts.asked().len(), 20);
        assert_eq!(
            world.sql("select count(distinct id) from audit where outcome = 'granted'"),
            [[WORKERS.to_string()]]
        );
        let transactions = churn.server.metric("audit_writes_total{outcome=\"written\"}");
        assert!(transactions < 400.0, "{transactions} transactions for at least 400 rows: they do not share a flush");
    }

    fn when_sts_throttles_who_waits_waits_together_and_gets_credentials_afterwards(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Throttles);
        std::thread::scope(|scope| {
            let churn = &churn;
            let asking: Vec<_> = (0..20)
                .map(|number| scope.spawn(move || churn.get(&format!("roleSessionName=job{number}"), &churn.scientist)))
                .collect();
            churn.sts.wait();
            churn.server.wait_for_metric("waiting_for_sts", 20.0);
            churn.sts.is(Mood::Grants);
            for asked in asking {
                assert_eq!(asked.join().expect("no panic").status, 200);
            }
        });
        let asked = churn.sts.asked().len();
        assert!(asked <= 45, "{asked} calls: each of 20 was throttled once and then tried on its own");
        assert!(churn.server.metric("sts_calls_total{outcome=\"throttled\"}") >= 1.0);
    }

    fn an_sts_that_throttles_on_is_a_503_that_says_when_to_come_back(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Throttles);
        let answer = churn.get("", &churn.scientist);
        assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (503, Some(380_001)), "{}", answer.text);
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=9).contains(&wait), "{wait}");
        assert!(churn.sts.asked().len() <= 4);
        assert_eq!(audit(world)[0][3], "refused");
    }

    fn a_member_who_asks_under_ever_new_session_names_waits_and_others_do_not(world: &World) {
        let churn = churn(world);
        let refused = std::thread::scope(|scope| {
            let churn = &churn;
            // Many at once: on a slow machine a member's calls must not grow back between two requests.
            let asking: Vec<_> = (0..16)
                .map(|client| {
                    scope.spawn(move || {
                        (0..50)
                            .map(|number| churn.get(&format!("roleSessionName=name{client}-{number}"), &churn.scientist))
                            .find(|answer| answer.status != 200)
                    })
                })
                .collect();
            let refused = asking.into_iter().filter_map(|asked| asked.join().expect("no panic")).collect::<Vec<_>>();
            refused.into_iter().next().expect("800 calls at once are too many for one member")
        });
        assert_eq!(refused.status, 429, "{}", refused.text);
        assert!(refused.header("retry-after").parse::<u64>().expect("seconds") >= 1);
        assert_eq!(churn.get("", &churn.owner).status, 200);
        assert_eq!(churn.get("roleSessionName=name0-0", &churn.scientist).status, 200, "what is there costs no call");
    }
}
