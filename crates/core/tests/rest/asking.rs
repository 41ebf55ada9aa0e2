//! The requests to a server that answers as the contract says.

use std::time::{Duration, SystemTime};

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::error::Error;
use hops_credentials_core::request::{AssumeRole, Extras, SessionDuration};
use hops_credentials_core::role::{ProjectRole, RoleMapping};
use hops_credentials_core::source::Source;

use crate::loopback::{Server, answer, header, json, session_token};
use crate::{READER, member, message, no_base, settings};

fn mapping(id: u32) -> String {
    format!(
        r#"{{"href":"/x","id":{id},"projectId":119,"projectName":"churn","projectRole":"Data scientist","cloudRole":"arn:aws:iam::123456789012:role/r{id}","defaultRole":{}}}"#,
        id == 1
    )
}

/// Returns the value of `name` in the query of a request.
fn queried(head: &str, name: &str) -> usize {
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
    let query = line.split_once('?').map_or("", |(_, query)| query);
    let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    pair.expect("the query has it").1.parse().expect("a number")
}

/// Serves the mappings with these ids page by page; `count` as given.
fn paging(ids: Vec<u32>, count: Option<usize>) -> Server {
    Server::start(move |head| {
        let (offset, limit) = (queried(head, "offset"), queried(head, "limit"));
        let page: Vec<String> = ids.iter().skip(offset).take(limit).map(|id| mapping(*id)).collect();
        let count = count.map_or(String::new(), |count| format!(r#""count":{count},"#));
        if page.is_empty() {
            json("200 OK", &format!(r#"{{{count}"href":"/x"}}"#))
        } else {
            json("200 OK", &format!(r#"{{{count}"href":"/x","items":[{}]}}"#, page.join(",")))
        }
    })
}

fn ids(mappings: &[RoleMapping]) -> Vec<u32> {
    mappings.iter().map(|mapping| mapping.id).collect()
}

#[test]
fn all_pages_of_role_mappings_are_read_and_sorted_by_id() {
    let server = paging((1..=250).rev().collect(), Some(250));
    let mappings = block_on(member(&server.endpoint, &[]).role_mappings()).expect("mappings");
    assert_eq!(ids(&mappings), (1..=250).collect::<Vec<u32>>());
    assert_eq!(mappings[0].role.as_str(), "arn:aws:iam::123456789012:role/r1");
    assert_eq!(mappings[0].project_role, ProjectRole::DataScientist);
    assert!(mappings[0].is_default && !mappings[1].is_default);
    assert_eq!(
        server.lines(),
        [0, 100, 200]
            .map(|offset| format!("GET /hopsworks-api/api/project/119/cloud/role-mappings?offset={offset}&limit=100"))
    );
}

#[test]
fn a_list_ends_with_a_page_without_new_mappings_whatever_its_count_says() {
    let server = paging(vec![], Some(0));
    assert_eq!(ids(&block_on(member(&server.endpoint, &[]).role_mappings()).expect("none")), [0; 0]);
    assert_eq!(server.lines().len(), 1);
    for count in [None, Some(1000)] {
        let server = paging((1..=150).collect(), count);
        let mappings = block_on(member(&server.endpoint, &[]).role_mappings()).expect("mappings");
        assert_eq!(mappings.len(), 150);
        assert_eq!(server.lines().len(), 3);
    }
    let always_the_same = Server::answering(vec![json("200 OK", &format!(r#"{{"items":[{}]}}"#, mapping(1)))]);
    assert_eq!(ids(&block_on(member(&always_the_same.endpoint, &[]).role_mappings()).expect("one")), [1]);
    assert_eq!(always_the_same.lines().len(), 2);
}

#[test]
fn one_role_mapping_is_requested_by_id_or_as_the_default() {
    let server = Server::answering(vec![json("200 OK", &mapping(7))]);
    let member = member(&server.endpoint, &[]);
    assert_eq!(block_on(member.role_mapping(Some(7))).expect("a mapping").id, 7);
    assert_eq!(block_on(member.role_mapping(None)).expect("a mapping").id, 7);
    assert_eq!(
        server.lines(),
        [
            "GET /hopsworks-api/api/project/119/cloud/role-mappings/7",
            "GET /hopsworks-api/api/project/119/cloud/role-mappings/default"
        ]
    );
}

#[test]
fn the_values_of_a_request_are_percent_encoded() {
    let server = Server::answering(vec![session_token()]);
    let request = AssumeRole {
        role: Some("arn:aws:iam::123456789012:role/team/a+b=c,d.e@f".parse().expect("an ARN")),
        session_name: Some("me+you=us,we@home".parse().expect("a session name")),
        duration: SessionDuration::from_seconds(900).expect("a duration"),
        ..AssumeRole::default()
    };
    block_on(member(&server.endpoint, &[]).assume_role(&request)).expect("credentials");
    assert_eq!(
        server.lines(),
        [
            "GET /hopsworks-api/api/project/119/cloud/aws/session-token?durationSeconds=900&roleARN=arn%3Aaws%3Aiam%3A%3A\
          123456789012%3Arole%2Fteam%2Fa%2Bb%3Dc%2Cd.e%40f&roleSessionName=me%2Byou%3Dus%2Cwe%40home"
        ]
    );
}

#[test]
fn the_server_chooses_what_a_request_does_not_name() {
    let server = Server::answering(vec![session_token()]);
    let credentials = block_on(member(&server.endpoint, &[]).assume_role(&AssumeRole::default())).expect("credentials");
    assert_eq!(server.lines(), ["GET /hopsworks-api/api/project/119/cloud/aws/session-token?durationSeconds=3600"]);
    assert_eq!(credentials.role(), None);
    assert_eq!(header(&server.requests()[0], "accept"), Some("application/json"));
    assert_eq!(header(&server.requests()[0], "user-agent"), Some("hops-credentials/0.1.0"));
}

#[test]
fn only_a_request_for_credentials_that_are_renewed_says_so() {
    let server = Server::answering(vec![session_token()]);
    for renews in [false, true] {
        let request = AssumeRole { renews, ..AssumeRole::default() };
        block_on(member(&server.endpoint, &[]).assume_role(&request)).expect("credentials");
    }
    let [first, second] = &server.requests()[..] else { panic!("two requests") };
    assert_eq!([header(first, "hops-renews"), header(second, "hops-renews")], [None, Some("true")]);
}

#[test]
fn without_an_expiration_the_validity_counts_from_the_request() {
    // The clock of such a server does not matter.
    let token = r#"{"accessKeyId":"ASIA1","secretAccessKey":"canary-secret","sessionToken":"canary-token"}"#;
    let server = Server::answering(vec![answer("200 OK", "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n", token)]);
    let request = AssumeRole { role: Some(READER.parse().expect("an ARN")), ..AssumeRole::default() };
    let before = SystemTime::now();
    let credentials = block_on(member(&server.endpoint, &[]).assume_role(&request)).expect("credentials");
    let hour = Duration::from_secs(3600);
    assert!(credentials.expiration() >= before + hour && credentials.expiration() <= SystemTime::now() + hour);
    assert!(credentials.valid_for() <= hour && credentials.valid_for() > hour - Duration::from_secs(60));
    assert_eq!(credentials.access_key_id(), "ASIA1");
    assert_eq!(credentials.secret_access_key(), "canary-secret");
    assert_eq!(credentials.session_token(), "canary-token");
    assert_eq!(credentials.role().map(|role| role.as_str()), Some(READER));
}

#[test]
fn with_an_expiration_the_validity_counts_from_the_date_of_the_answer() {
    let body = r#"{"accessKeyId":"A","secretAccessKey":"s","sessionToken":"t","expiration":"2030-01-01T12:00:02Z"}"#;
    let server = Server::answering(vec![answer("200 OK", "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n", body)]);
    let member = member(&server.endpoint, &[]);
    let credentials = block_on(member.assume_role(&AssumeRole::default())).expect("two seconds are enough");
    assert_eq!(credentials.valid_for(), Duration::from_secs(2));
    assert_eq!(credentials.expiration(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_499_202));
}

#[test]
fn the_session_name_is_the_servers_else_the_callers_and_never_an_illegal_one() {
    let body = |name: &str| {
        format!(r#"{{"accessKeyId":"A","secretAccessKey":"s","sessionToken":"t","roleSessionName":{name}}}"#)
    };
    let asked = AssumeRole { session_name: Some("mine".parse().expect("legal")), ..AssumeRole::default() };
    for (answered, asked, expected) in [
        (body(r#""ada-churn""#), AssumeRole::default(), Some("ada-churn")),
        (body(r#""ada-churn""#), asked.clone(), Some("ada-churn")),
        (body("null"), asked.clone(), Some("mine")),
        (body(r#""two\nlines""#), asked, Some("mine")),
        (body("7"), AssumeRole::default(), None),
    ] {
        let server = Server::answering(vec![answer("200 OK", "", &answered)]);
        let member = member(&server.endpoint, &[]);
        let credentials = block_on(member.assume_role(&asked)).expect("credentials");
        assert_eq!(credentials.session_name().map(|name| name.as_str()), expected, "{answered}");
    }
}

#[test]
fn clocks_that_differ_by_more_than_five_minutes_give_a_warning_with_both_times() {
    let server = Server::answering(vec![answer(
        "200 OK",
        "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n",
        r#"{"accessKeyId":"A","secretAccessKey":"s","sessionToken":"t"}"#,
    )]);
    let member = member(&server.endpoint, &[]);
    assert_eq!(member.take_warnings(), [""; 0]);
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    let warnings = member.take_warnings();
    let [warning] = warnings.as_slice() else { panic!("one warning: {warnings:?}") };
    assert!(warning.starts_with("clocks differ: here it is 20"), "{warning}");
    let there = format!(", at {} it is 2030-01-01T12:00:00Z; set the one that is wrong", server.endpoint);
    assert!(warning.ends_with(&there), "{warning}");
    assert_eq!(member.take_warnings(), [""; 0]);
}

#[test]
fn fields_that_only_sts_takes_are_refused_before_anything_is_sent() {
    let server = Server::answering(vec![session_token()]);
    let member = member(&server.endpoint, &[]);
    let given = || Some("canary".to_owned());
    for (extras, field) in [
        (Extras { external_id: given(), ..Extras::default() }, "external id"),
        (Extras { policy: given(), ..Extras::default() }, "policy"),
        (Extras { policy_arns: vec!["canary".to_owned()], ..Extras::default() }, "policy ARNs"),
        (Extras { tags: vec![("canary".to_owned(), String::new())], ..Extras::default() }, "tags"),
        (Extras { source_identity: given(), ..Extras::default() }, "source identity"),
    ] {
        let error = block_on(member.assume_role(&AssumeRole { extras, ..AssumeRole::default() })).expect_err(field);
        assert!(matches!(error, Error::InvalidArgument { .. }));
        assert_eq!(
            message(&error, &server.endpoint),
            format!(
                "invalid {field}: a role-mapping server does not carry it; leave it out, or unset hopsworks.restendpoint / \
                 REST_ENDPOINT to ask AWS STS directly"
            )
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn three_calls_in_one_process_reach_a_server_that_keeps_connections_alive() {
    let server = Server::answering(vec![session_token()]);
    let settings = settings(&server.endpoint, &[]);
    for _ in 0..3 {
        let assumed =
            block_on(async { Source::from_settings(&settings, &no_base())?.assume_role(&AssumeRole::default()).await });
        assert_eq!(assumed.expect("credentials").access_key_id(), "ASIA1");
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn debug_shows_no_login() {
    let server = Server::answering(vec![session_token()]);
    let source = Source::from_settings(&settings(&server.endpoint, &[]), &no_base()).expect("settings");
    assert_eq!(
        format!("{source:?}"),
        format!("Hopsworks(Hopsworks {{ address: {}, project: 119, .. }})", server.endpoint)
    );
}
