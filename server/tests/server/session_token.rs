//! `GET …/session-token`: who gets credentials of which role, and what the server asks STS.

use std::time::{Duration, Instant, SystemTime};

use aws_smithy_types::date_time::Format;

use crate::sts::{Mood, SECRET_ACCESS_KEY, SESSION_TOKEN, Sts, in_seconds, value};
use crate::world::{API, Answer, Server, World, in_time, on_both_stores};

pub const TOKEN: &str = "/project/1/cloud/aws/session-token";

/// Project 1 `churn`: `everybody` is the default of all members, `owners` that of data owners, `scientists` is not a default.
pub struct Churn {
    pub server: Server,
    pub sts: Sts,
    pub owner: String,
    pub scientist: String,
    pub stranger: String,
}

pub fn churn(world: &World) -> Churn {
    let user = |name: &str| world.done(&["user", "add", &format!("{name}@example.org")]);
    let (owner, scientist, stranger) = (user("owner"), user("ada.lovelace"), user("stranger"));
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "owner@example.org", "data-owner"]);
    world.done(&["member", "set", "churn", "ada.lovelace@example.org", "data-scientist"]);
    for (project_role, role, is_default) in
        [("all", "everybody", true), ("data-owner", "owners", true), ("data-scientist", "scientists", false)]
    {
        let role = format!("arn:aws:iam::123456789012:role/{role}");
        let arguments = ["mapping", "add", "churn", project_role, &role, "--default"];
        world.done(&arguments[..if is_default { 6 } else { 5 }]);
    }
    let sts = Sts::start();
    Churn { server: sts.serve(world), sts, owner, scientist, stranger }
}

impl Churn {
    pub fn get(&self, query: &str, key: &str) -> Answer {
        self.server.get(&format!("{TOKEN}?{query}"), key)
    }
}

pub fn audit(world: &World) -> Vec<Vec<String>> {
    world.sql(
        "select id, actor, client_address, outcome, project_id, project_name, role_arn, session_name, duration_seconds, \
         access_key_id, sts_request_id, reason from audit where action = 'session-token' order by at, id",
    )
}

on_both_stores! {
    fn a_member_gets_credentials_of_the_default_role_with_their_expiration(world: &World) {
        let churn = churn(world);
        let begin = SystemTime::now();
        let answer = churn.get("", &churn.scientist);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json["accessKeyId"], "ASIAGRANTED");
        assert_eq!(answer.json["secretAccessKey"], SECRET_ACCESS_KEY);
        assert_eq!(answer.json["sessionToken"], SESSION_TOKEN);
        assert_eq!(answer.json["roleSessionName"], "ada.lovelace-churn");
        let expiration = answer.json["expiration"].as_str().expect("an instant");
        // Instants of RFC 3339 in one form sort as text.
        let in_an_hour = |seconds: u64| in_seconds(begin + Duration::from_secs(3600 + seconds), Format::DateTime);
        assert!(in_an_hour(0).as_str() <= expiration && expiration <= in_an_hour(30).as_str(), "{expiration}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let asked = churn.sts.asked();
        assert_eq!(asked.len(), 1);
        churn.server.wait_for_log(" base identity arn:aws:iam::123456789012:user/base, from ");
        assert_eq!(value(&asked[0], "RoleArn"), "arn:aws:iam::123456789012:role/everybody");
        assert_eq!(value(&asked[0], "RoleSessionName"), "ada.lovelace-churn");
        assert_eq!(value(&asked[0], "DurationSeconds"), "3600");
        assert_eq!(
            audit(world),
            [[
                answer.header("x-request-id"), "ada.lovelace@example.org", "127.0.0.1", "granted", "1", "churn",
                "arn:aws:iam::123456789012:role/everybody", "ada.lovelace-churn", "3600", "ASIAGRANTED", "sts-request-1", "-",
            ]]
        );
    }

    fn the_default_of_a_members_own_project_role_goes_before_that_of_all_members(world: &World) {
        let churn = churn(world);
        assert_eq!(churn.get("", &churn.owner).status, 200);
        assert_eq!(value(&churn.sts.asked()[0], "RoleArn"), "arn:aws:iam::123456789012:role/owners");
    }

    fn a_caller_chooses_role_session_name_and_duration(world: &World) {
        let churn = churn(world);
        let answer = churn.get(
            "roleARN=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fscientists&roleSessionName=night%2Bjob%3D1&durationSeconds=900",
            &churn.scientist,
        );
        assert_eq!(answer.status, 200, "{}", answer.text);
        let asked = churn.sts.asked();
        assert_eq!(value(&asked[0], "RoleArn"), "arn:aws:iam::123456789012:role/scientists");
        assert_eq!(value(&asked[0], "RoleSessionName"), "night+job=1");
        assert_eq!(value(&asked[0], "DurationSeconds"), "900");
    }

    fn a_role_that_is_not_for_the_caller_is_refused_without_asking_sts(world: &World) {
        let churn = churn(world);
        let owners = "arn:aws:iam::123456789012:role/owners";
        let other = "arn:aws:iam::123456789012:role/other";
        assert_eq!(
            churn.get(&format!("roleARN={owners}"), &churn.scientist).error(),
            (
                403,
                380_002,
                "a Data scientist of this project may not assume arn:aws:iam::123456789012:role/owners; ask an \
                 administrator to map it to your project role"
            )
        );
        assert_eq!(
            churn.get("roleARN=arn:aws:iam::123456789012:role/scientists", &churn.owner).error().1,
            380_002,
            "a data owner is not a data scientist"
        );
        assert_eq!(
            churn.get(&format!("roleARN={other}"), &churn.scientist).error(),
            (
                400,
                380_003,
                "arn:aws:iam::123456789012:role/other is not mapped to this project; ask an administrator to map it"
            )
        );
        assert_eq!(churn.get("", &churn.stranger).error().0, 403);
        world.done(&["mapping", "remove", "1"]);
        assert_eq!(churn.get("", &churn.scientist).error().1, 380_003);
        assert_eq!(churn.sts.asked().len(), 0);
        let refusals: Vec<(String, String)> =
            audit(world).into_iter().map(|row| (row[3].clone(), row[11].split(';').next().unwrap_or_default().to_owned())).collect();
        assert_eq!(refusals.len(), 5, "{refusals:?}");
        assert!(refusals.iter().all(|(outcome, reason)| outcome == "refused" && reason != "-"), "{refusals:?}");
        assert!(refusals.contains(&("refused".to_owned(), "you are not a member of project 1".to_owned())));
    }

    fn an_illegal_parameter_is_refused_without_asking_sts(world: &World) {
        let churn = churn(world);
        for (query, text) in [
            ("durationSeconds=899", "invalid duration: 899 s is not between 900 and 43200 seconds"),
            ("durationSeconds=43201", "invalid duration: 43201 s is not between 900 and 43200 seconds"),
            ("durationSeconds=-1", "invalid duration: -1 s is not between 900 and 43200 seconds"),
            ("durationSeconds=0", "invalid duration: 0 s is not between 900 and 43200 seconds"),
            ("durationSeconds=hour", "durationSeconds: invalid digit found in string"),
            (
                "roleSessionName=a%20b",
                "roleSessionName: invalid session name: \"a b\" is not 2 to 64 letters, digits and characters of _+=,.@-",
            ),
            (
                "roleARN=reader",
                "roleARN: invalid role ARN: \"reader\" is not of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>",
            ),
            ("durationSeconds=900&durationSeconds=900", "durationSeconds: it is given twice"),
        ] {
            assert_eq!(churn.get(query, &churn.scientist).error(), (400, 120_001, text), "{query}");
        }
        assert_eq!(churn.sts.asked().len(), 0);
    }

    fn a_damaged_parameter_is_a_refusal_on_record(world: &World) {
        let churn = churn(world);
        let answer = churn.get("roleSessionName=a%00b", &churn.scientist);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(audit(world).iter().map(|row| row[3].as_str()).collect::<Vec<_>>(), ["refused"]);
        assert_eq!(churn.sts.asked().len(), 0);
    }

    fn a_refusal_of_sts_is_passed_on_with_its_code_and_message(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::Refuses);
        let answer = churn.get("", &churn.scientist);
        let (status, code, text) = answer.error();
        assert_eq!((status, code), (400, 380_001), "{text}");
        assert!(text.contains("AccessDenied"), "{text}");
        assert!(text.contains("User: arn:aws:iam::123456789012:user/base is not authorized to perform: sts:AssumeRole"), "{text}");
        assert_eq!(audit(world)[0][3], "refused");
        assert!(text.contains(&format!("request id {}", answer.header("x-request-id"))), "{text}");
        let reason = &audit(world)[0][11];
        assert!(reason.contains("AccessDenied: User: ") && reason.contains("; check both policies: "), "{reason}");
    }

    fn an_sts_that_cannot_be_reached_is_a_502(world: &World) {
        let churn = churn(world);
        churn.sts.is(Mood::HangsUp);
        let answer = churn.get("", &churn.scientist);
        assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (502, Some(380_001)), "{}", answer.text);
        assert_eq!(audit(world)[0][3], "refused");
    }

    fn sts_gets_the_external_id_of_the_mapping_and_the_members_address_where_that_is_switched_on(world: &World) {
        let churn = churn(world);
        let role = "arn:aws:iam::123456789012:role/tenant";
        let arguments = ["mapping", "add", "churn", "all", role, "--external-id", "tenant-7", "--source-identity"];
        world.done(&arguments);
        assert_eq!(churn.get(&format!("roleARN={role}"), &churn.scientist).status, 200);
        let asked = churn.sts.asked();
        assert_eq!(value(&asked[0], "ExternalId"), "tenant-7");
        assert_eq!(value(&asked[0], "SourceIdentity"), "ada.lovelace@example.org");
        assert_eq!(
            world.sql("select source_identity from audit where outcome = 'granted'"),
            [["ada.lovelace@example.org"]]
        );
        assert_eq!(churn.get("", &churn.scientist).status, 200);
        let asked = churn.sts.asked();
        assert_eq!((value(&asked[0], "ExternalId"), value(&asked[0], "SourceIdentity")), ("", ""), "off by default");
    }

    fn an_address_that_sts_refuses_gets_no_session_where_the_server_names_members_to_sts(world: &World) {
        let churn = churn(world);
        let name = format!("{}@example.org", "x".repeat(60));
        let key = world.done(&["user", "add", &name]);
        let variables = churn.sts.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = world.serve_with(&["--source-identity"], &variables);
        assert_eq!(server.get(TOKEN, &churn.scientist).status, 200);
        assert_eq!(value(&churn.sts.asked()[0], "SourceIdentity"), "ada.lovelace@example.org");
        // The command line does not know the switch of the server.
        world.done(&["member", "set", "churn", &name, "data-scientist"]);
        let answer = server.get(TOKEN, &key);
        let (status, code, text) = answer.error();
        assert_eq!((status, code), (400, 120_001), "{text}");
        assert!(text.contains(&name) && text.contains("source identity"), "{text}");
        assert_eq!(churn.sts.asked().len(), 0);
    }

    fn a_change_by_the_command_line_counts_from_the_next_request_on(world: &World) {
        let churn = churn(world);
        let scientists = "roleARN=arn:aws:iam::123456789012:role/scientists";
        assert_eq!(churn.get(scientists, &churn.scientist).status, 200);
        world.done(&["mapping", "remove", "3"]);
        assert_eq!(churn.get(scientists, &churn.scientist).error().1, 380_003);
        world.done(&["member", "remove", "churn", "ada.lovelace@example.org"]);
        assert_eq!(churn.get("", &churn.scientist).status, 403);
    }
}

#[test]
fn an_sts_that_does_not_answer_is_a_502_before_a_client_gives_up() {
    let world = World::sqlite();
    let churn = churn(&world);
    churn.sts.is(Mood::KeepsSilent);
    in_time(Duration::from_secs(9), || {
        let begin = Instant::now();
        let answer = churn.get("", &churn.scientist);
        assert_eq!((answer.status, answer.json["errorCode"].as_u64()), (502, Some(380_001)), "{}", answer.text);
        assert_eq!(churn.sts.asked().len(), 2);
        begin.elapsed()
    });
    assert!(audit(&world)[0][11].contains("no answer in time"), "{:?}", audit(&world));
}

#[test]
fn a_request_that_waits_for_sts_does_not_delay_the_end_of_the_server() {
    in_time(Duration::from_secs(5), || {
        let world = World::sqlite();
        let Churn { server, sts, scientist, .. } = churn(&world);
        sts.is(Mood::KeepsSilent);
        let begin = std::thread::scope(|scope| {
            scope.spawn(|| {
                let authorization = format!("Authorization: ApiKey {scientist}");
                server.try_send("GET", &format!("{}{TOKEN}", API), &[&authorization])
            });
            sts.wait();
            server.signal("TERM");
            Instant::now()
        });
        assert_eq!(server.wait().0, Some(0));
        begin.elapsed()
    });
}

#[test]
fn a_request_that_runs_at_the_end_of_the_server_is_answered() {
    let world = World::sqlite();
    let Churn { server, sts, scientist, .. } = churn(&world);
    sts.is(Mood::Thinks);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| server.get(TOKEN, &scientist));
        sts.wait();
        server.signal("TERM");
        server.wait_for_log(" stopping");
        sts.is(Mood::Grants);
        assert_eq!(answer.join().expect("no panic").status, 200);
    });
    assert_eq!(server.wait().0, Some(0));
    assert_eq!(world.sql("select count(*) from audit where outcome = 'granted'"), [["1"]]);
}

#[test]
fn without_a_base_identity_the_answer_is_380001_with_the_reason() {
    let world = World::sqlite();
    let key = world.done(&["user", "add", "ada@example.org"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["member", "set", "churn", "ada@example.org", "data-owner"]);
    world.done(&["mapping", "add", "churn", "all", "arn:aws:iam::123456789012:role/r", "--default"]);
    let server = world.serve_with(&[], &[("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "eu-north-1")]);
    let answer = server.get(TOKEN, &key);
    let (status, code, text) = answer.error();
    assert_eq!((status, code), (400, 380_001), "{text}");
    assert!(text.contains("base identity"), "{text}");
}
