//! Which variables are the base, which are ours, and what a child goes on with.

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::from_pairs(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn credentials_that_we_issued_are_never_the_base() {
    let inherited = environment(&[
        (ACCESS_KEY_ID, "ASIAISSUED"),
        (SECRET_ACCESS_KEY, "canary-secret"),
        (SESSION_TOKEN, "canary-token"),
        (ISSUED, "ASIAISSUED"),
    ]);
    for name in [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN] {
        assert_eq!(inherited.get(name), None, "{name}");
        assert!(inherited.to_sdk_env(&[]).get(name).is_err(), "{name}");
    }
    assert_eq!(inherited.inherited_mark(), Some("ASIAISSUED"));
}

#[test]
fn keys_that_somebody_else_set_after_us_are_the_base() {
    let own = environment(&[(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, "secret"), (ISSUED, "ASIAISSUED")]);
    assert_eq!(own.get(ACCESS_KEY_ID), Some("AKIAOWN"));
    assert_eq!(own.inherited_mark(), None);
}

#[test]
fn our_own_endpoint_is_never_the_base() {
    let url = "http://127.0.0.1:40001/role";
    let inherited = environment(&[(CONTAINER_URL, url), (CONTAINER_TOKEN, "canary-token"), (ISSUED, url)]);
    assert_eq!(inherited.get(CONTAINER_URL), None);
    assert_eq!(inherited.get(CONTAINER_TOKEN), None);
    assert_eq!(inherited.inherited_mark(), Some(url));
    let own = environment(&[(CONTAINER_URL, "http://169.254.170.23/v1/credentials"), (ISSUED, url)]);
    assert_eq!(own.get(CONTAINER_URL), Some("http://169.254.170.23/v1/credentials"));
}

#[test]
fn a_mark_may_name_the_last_and_the_newest() {
    for key in ["ASIAOLD", "ASIANEW"] {
        let torn = environment(&[(ACCESS_KEY_ID, key), (SECRET_ACCESS_KEY, "s"), (ISSUED, "ASIAOLD,ASIANEW")]);
        assert_eq!((torn.get(ACCESS_KEY_ID), torn.inherited_mark()), (None, Some(key)));
    }
    assert_eq!(environment(&[(ACCESS_KEY_ID, "ASIA"), (ISSUED, "ASIAOLD,ASIANEW")]).get(ACCESS_KEY_ID), Some("ASIA"));
}

fn written(name: &str, before: Option<&str>, ours: Option<&str>) -> Written {
    Written::new(name, before.map(str::to_owned), ours.map(str::to_owned)).expect("a variable that we write")
}

#[test]
fn what_we_wrote_gives_way_to_what_stood_there_before() {
    let record = [
        written(ISSUED, None, Some("ASIAROLE")),
        written(ACCESS_KEY_ID, Some("AKIABASE"), Some("ASIAROLE")),
        written(SECRET_ACCESS_KEY, Some("base secret"), Some("role secret")),
        written(SESSION_TOKEN, None, Some("role token")),
        written(PROFILE[0], Some("base"), None),
    ];
    let ours = [
        (ISSUED, "ASIAROLE"),
        (ACCESS_KEY_ID, "ASIAROLE"),
        (SECRET_ACCESS_KEY, "role secret"),
        (SESSION_TOKEN, "role token"),
    ];
    let base = environment(&ours).before(&record);
    assert_eq!(base.get(ACCESS_KEY_ID), Some("AKIABASE"));
    assert_eq!(base.get(SECRET_ACCESS_KEY), Some("base secret"));
    assert_eq!((base.get(SESSION_TOKEN), base.get_raw(ISSUED), base.get(PROFILE[0])), (None, None, Some("base")));
    // The mark tells of a newer set that the record does not know yet.
    let torn = environment(&[
        (ISSUED, "ASIAROLE,ASIANEXT"),
        (ACCESS_KEY_ID, "ASIANEXT"),
        (SECRET_ACCESS_KEY, "next secret"),
        (SESSION_TOKEN, "role token"),
    ]);
    assert_eq!(torn.before(&record).saved(), base.saved());
    let later = [ours.as_slice(), &[(PROFILE[0], "prod"), ("AWS_REGION", "eu-north-1")]].concat();
    let later = environment(&later).before(&record);
    assert_eq!((later.get(PROFILE[0]), later.get("AWS_REGION")), (Some("prod"), Some("eu-north-1")));
}

#[test]
fn keys_that_somebody_set_over_ours_do_not_get_the_rest_of_the_earlier_ones() {
    let record = [
        written(ISSUED, None, Some("ASIAROLE")),
        written(ACCESS_KEY_ID, Some("ASIABASE"), Some("ASIAROLE")),
        written(SECRET_ACCESS_KEY, Some("base secret"), Some("role secret")),
        written(SESSION_TOKEN, Some("base token"), Some("role token")),
    ];
    let own = environment(&[
        (ISSUED, "ASIAROLE"),
        (ACCESS_KEY_ID, "AKIAOWN"),
        (SECRET_ACCESS_KEY, "own secret"),
        (SESSION_TOKEN, "role token"),
    ]);
    let base = own.before(&record);
    assert_eq!((base.get(ACCESS_KEY_ID), base.get(SESSION_TOKEN)), (Some("AKIAOWN"), None));
}

#[test]
fn a_child_goes_on_with_the_base_of_its_parent_unless_it_has_one_of_its_own() {
    let inherited = [
        (ACCESS_KEY_ID, "ASIAROLE"),
        (ISSUED, "ASIAROLE"),
        ("HOPS_BASE_AWS_PROFILE", "base"),
        (CONTAINER_PATH, "/v2/credentials"),
        ("HOPS_BASE_AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials"),
    ];
    let child = environment(&inherited);
    assert_eq!(child.get(PROFILE[0]), Some("base"));
    assert_eq!(child.to_sdk_env(&[]).get(PROFILE[0]).as_deref(), Ok("base"));
    for own in [(PROFILE[0], "prod"), (WEB_IDENTITY_TOKEN_FILE, "/token"), (ACCESS_KEY_ID, "AKIAOWN")] {
        let own = environment(&[inherited.as_slice(), &[own]].concat());
        assert_eq!(own.get(PROFILE[0]).filter(|profile| *profile != "prod"), None);
    }
    let unmarked = environment(&inherited[2..]);
    assert_eq!(unmarked.get(PROFILE[0]), None);
}

#[test]
fn a_child_whose_parent_had_keys_looks_for_no_other_base() {
    let inherited = [(ACCESS_KEY_ID, "ASIAROLE"), (ISSUED, "ASIAROLE"), (HANDED_ON_KEY, "AKIABASE")];
    let error = environment(&inherited).check_complete().expect_err("the keys of the parent");
    assert_eq!(
        error.to_string(),
        "this process has no base identity of its own: that of the process that assumed the role, access key \
         AKIABASE, is not handed on; call assumeRole in the process that has the base identity, or give this one its \
         own (AWS_PROFILE, a service account, a container or an instance profile)"
    );
    environment(&[inherited.as_slice(), &[(PROFILE[0], "own")]].concat()).check_complete().expect("a profile");
}

#[test]
fn an_incomplete_base_identity_is_refused() {
    let cases: [(&[(&str, &str)], &str); 3] = [
        (
            &[(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, " ")],
            "the base identity is incomplete: AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not; set \
             AWS_SECRET_ACCESS_KEY, or remove AWS_ACCESS_KEY_ID",
        ),
        (
            &[(SECRET_ACCESS_KEY, "canary-secret")],
            "the base identity is incomplete: AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not; set \
             AWS_ACCESS_KEY_ID, or remove AWS_SECRET_ACCESS_KEY",
        ),
        (
            &[(WEB_IDENTITY_TOKEN_FILE, "/var/run/token")],
            "the base identity is incomplete: AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not; set \
             AWS_ROLE_ARN, or remove AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
    ];
    for (variables, message) in cases {
        let error = environment(variables).check_complete().expect_err("incomplete");
        assert_eq!(error.to_string(), message);
    }
    environment(&[]).check_complete().expect("nothing is set");
    environment(&[(ACCESS_KEY_ID, "a"), (SECRET_ACCESS_KEY, "b")]).check_complete().expect("both are set");
}

#[test]
fn a_key_that_no_header_can_hold_is_refused_without_being_repeated() {
    let good = [(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, "secret"), (SESSION_TOKEN, "token")];
    for (name, value) in
        [(ACCESS_KEY_ID, "AKIAOWN\r"), (SECRET_ACCESS_KEY, "sec\nret"), (SESSION_TOKEN, "canary token")]
    {
        let pairs: Vec<_> = good.into_iter().filter(|(good, _)| *good != name).chain([(name, value)]).collect();
        let error = environment(&pairs).check_complete().expect_err("illegible");
        assert_eq!(
            error.to_string(),
            "the base identity (environment) has a key or a token with a blank, a line end or another character that AWS \
             uses in none; correct it, for example the line end after a key in a secret or in a file of variables"
        );
    }
}

#[test]
fn keys_that_the_sdk_signs_with_are_not_refused() {
    let keys = [(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, "a secret of ceph, \u{e9}")];
    environment(&keys).check_complete().expect("a secret stands in no header");
    // The SDK trims it.
    environment(&[keys[0], keys[1], (SESSION_TOKEN, " token\r\n")]).check_complete().expect("a line end after it");
    environment(&[(SESSION_TOKEN, "left over")]).check_complete().expect("nobody uses a token without a key");
}

#[test]
fn debug_shows_names_and_no_value() {
    let shown = format!("{:?}", environment(&[(ACCESS_KEY_ID, "AKIAOWN"), (SECRET_ACCESS_KEY, "canary-secret")]));
    assert_eq!(shown, "{\"AWS_ACCESS_KEY_ID\", \"AWS_SECRET_ACCESS_KEY\"}");
}
