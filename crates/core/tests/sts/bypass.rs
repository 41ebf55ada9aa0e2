//! The doctor looks for a base identity in each place by itself, whatever the variables of the job say.

use hops_credentials_core::doctor::examine;

use super::base::generous;
use super::metadata::instance;
use super::*;

/// Answers as a role-mapping server with one role.
fn server(role: &'static str) -> impl Fn(&Request) -> Reply {
    move |_| {
        let mapping = format!(
            r#"{{"count":1,"items":[{{"id":1,"cloudRole":"{role}","projectRole":"ALL","defaultRole":true}}]}}"#
        );
        Reply::http("200 OK", "Content-Type: application/json\r\n", mapping)
    }
}

/// Returns what the doctor says about a bypass to a job with these variables, when that role is mapped.
async fn bypass_of(role: &'static str, sts: &Fake, variables: &[(&str, &str)]) -> String {
    let server = Fake::start(server(role)).await;
    let settings = [("REST_ENDPOINT", server.url()), ("HOPSWORKS_PROJECT_ID", "119".into()), ("API_KEY", "k.k".into())];
    let settings = Settings::new([], []).with_environment(settings.map(|(name, value)| (name.to_owned(), value)));
    let url = sts.url();
    // The metadata service of the machine that runs the tests is never asked.
    let here = [
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ("HOME", "/nonexistent"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
    ];
    let variables = [here.as_slice(), variables].concat();
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let found = examine(&settings, &Environment::from_pairs(owned)).await;
    let finding = found.iter().find(|finding| finding.check == "bypass").expect("a finding");
    assert!(!finding.text.contains("canary"), "{}", finding.text);
    finding.to_string()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIACARELESS"), ("AWS_SECRET_ACCESS_KEY", "canary-secret")];

#[tokio::test(start_paused = true)]
async fn a_variable_that_hides_a_base_identity_does_not_hide_it_from_the_doctor() {
    let sts = generous().await;
    let home = format!("{}/home_of_job", env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(format!("{home}/.aws")).expect("a directory");
    let profile = "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = canary-secret\n";
    std::fs::write(format!("{home}/.aws/credentials"), profile).expect("a file");
    let malformed = file("hides", "[default]\nno property\n");
    let metadata = Fake::start(|request| match instance(request) {
        Reply::Bytes(bytes) if request.line.contains("token") => Reply::Late(Duration::from_millis(1500), bytes),
        reply => reply,
    })
    .await;
    let metadata = metadata.url();
    let keys = |more: &[(&'static str, &'static str)]| [KEYS.as_slice(), more].concat();
    let at_home = ("HOME", home.as_str());
    for (variables, place) in [
        (keys(&[]), "AKIACARELESS (environment)"),
        (keys(&[("AWS_PROFILE", "typo")]), "AKIACARELESS (environment)"),
        ([KEYS.as_slice(), &[("AWS_CONFIG_FILE", malformed.as_str())]].concat(), "AKIACARELESS (environment)"),
        (vec![at_home], "AKIAOTHER (profile \"other\")"),
        (vec![at_home, ("AWS_PROFILE", "typo")], "AKIAOTHER (profile \"other\")"),
        (vec![at_home, ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")], "AKIAOTHER (profile \"other\")"),
        (vec![at_home, ("AWS_CONFIG_FILE", &malformed)], "AKIAOTHER (profile \"other\")"),
        (
            vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")],
            "ASIAHOP (instance profile)",
        ),
    ] {
        let found = bypass_of(ROLE, &sts, &variables).await;
        let expected = format!(
            "PROBLEM bypass: this job can bypass its role mappings: it reaches arn:aws:iam::123456789012:user/{place}, \
             which may itself assume {ROLE}; "
        );
        assert!(found.starts_with(&expected), "{variables:?}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_from_which_sts_cannot_be_reached_waits_for_less_than_a_minute() {
    let silent = Fake::start(|_| Reply::Silence).await;
    let profiles: String = (0..9)
        .map(|number| format!("[profile p{number}]\naws_access_key_id=AKIA{number}\naws_secret_access_key=canary\n"))
        .collect();
    let config = file("many_profiles", &profiles);
    let begin = tokio::time::Instant::now();
    let found = bypass_of(ROLE, &silent, &[("AWS_CONFIG_FILE", &config)]).await;
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert!(found.contains("; profile \"p0\", since "), "{found}");
    assert!(found.contains("; profile \"p8\", since other places took 40 s"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_at_is_said_and_never_counts_as_none() {
    let sts = generous().await;
    let malformed = file("unseen", "[default]\nno property\n");
    let found = bypass_of(ROLE, &sts, &[("AWS_CONFIG_FILE", &malformed)]).await;
    assert!(
        found.starts_with(
            "ok      bypass: this job reaches no base identity where it could be looked for; not checked: ~/.aws/config or \
             ~/.aws/credentials is malformed on line 2"
        ),
        "{found}"
    );
    let programs = file("starts_a_program", "[profile tool]\ncredential_process = false\n");
    let found = bypass_of(ROLE, &sts, &[("AWS_CONFIG_FILE", &programs)]).await;
    assert!(found.contains("not checked: profile \"tool\", since it starts a program"), "{found}");
    let found = bypass_of(ROLE, &sts, &[("AWS_ACCESS_KEY_ID", "AKIA")]).await;
    assert!(found.contains("; environment, since the base identity is incomplete"), "{found}");
    let metadata = Fake::start(|_| Reply::http("500 Internal Server Error", "", "canary")).await;
    let found = bypass_of(ROLE, &sts, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.url())]).await;
    assert!(found.contains("; instance profile, since loading the base identity failed"), "{found}");
    assert_eq!(
        bypass_of(ROLE, &sts, &[]).await,
        "ok      bypass: this job reaches no base identity where it could be looked for; not checked: instance profile at \
         the usual address, since AWS_EC2_METADATA_SERVICE_ENDPOINT names another one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_role_of_any_partition_is_tried_in_a_region_of_its_partition() {
    const SOVEREIGN: &str = "arn:aws-eusc:iam::123456789012:role/reader";
    let sts = generous().await;
    for region in [vec![], vec![("AWS_REGION", "us-east-1")]] {
        let found = bypass_of(SOVEREIGN, &sts, &[KEYS.as_slice(), &region].concat()).await;
        assert!(found.contains(&format!("which may itself assume {SOVEREIGN}; ")), "{found}");
        let asked = sts.seen();
        assert!(asked.last().expect("a request").head.contains("/eusc-de-east-1/sts/"), "{region:?}");
    }
}
