//! What was good stays in use: failures of whoever gives the base identity, while an earlier one has time left.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::base::{generous, with_sts};
use super::*;

/// Returns the JSON of a container's endpoint, with credentials that are looked for anew at each call.
fn nearly_ended() -> Reply {
    let end = instant(SystemTime::now() + Duration::from_secs(50));
    Reply::http(
        "200 OK",
        "",
        format!(
            "{{\"AccessKeyId\":\"ASIATASK\",\"SecretAccessKey\":\"canary-base-secret\",\"Token\":\"canary-base-token\",\
             \"Expiration\":\"{end}\"}}"
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn a_base_identity_is_used_to_its_end_whatever_keeps_a_newer_one_away() {
    let failures: [fn() -> Reply; 5] = [
        || Reply::Silence,
        || Reply::http("500 Internal Server Error", "", ""),
        || Reply::http("403 Forbidden", "", "canary"),
        || Reply::http("200 OK", "Content-Type: text/html\r\n", "<html>canary</html>"),
        || Reply::Bytes(Vec::new()),
    ];
    let sts = generous().await;
    for (number, failure) in failures.into_iter().enumerate() {
        let asked = AtomicUsize::new(0);
        let container = Fake::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => nearly_ended(),
            _ => failure(),
        })
        .await;
        let url = format!("{}/role", container.url());
        let client =
            sts_client(&with_sts(&sts, &[("AWS_REGION", "eu-north-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]));
        let first = assume(&client, ROLE, 3600, &Extras::default()).await.expect("the container answers");
        assert_eq!(first.warnings, [""; 0]);
        let second = assume(&client, ROLE, 3600, &Extras::default()).await.expect("what was found is good");
        assert!(container.seen().len() > 1, "{number}: it was not looked for again");
        let [warning] = second.warnings.as_slice() else { panic!("{number}: {:?}", second.warnings) };
        assert!(
            warning.starts_with("the base identity found earlier is used on, since loading the base identity"),
            "{warning}"
        );
        assert!(!warning.contains("canary"), "{warning}");
    }
}

#[tokio::test]
async fn a_base_identity_is_used_on_while_its_file_is_damaged() {
    let sts = generous().await;
    let profile = "[default]\naws_access_key_id = AKIABASE\naws_secret_access_key = canary-base-secret\n";
    let tool = format!(
        "[default]\ncredential_process = echo '{{\"Version\":1,\"AccessKeyId\":\"ASIATOOL\",\"SecretAccessKey\":\
         \"canary-base-secret\",\"SessionToken\":\"canary-base-token\",\"Expiration\":\"{}\"}}'\n",
        instant(SystemTime::now() + Duration::from_secs(50))
    );
    let config = file("damaged-later", &tool);
    let client = sts_client(&with_sts(&sts, &[("AWS_CONFIG_FILE", &config), ("AWS_REGION", "eu-north-1")]));
    assume(&client, ROLE, 3600, &Extras::default()).await.expect("the tool answers");
    file("damaged-later", "[default]\nno property\n");
    let issued = assume(&client, ROLE, 3600, &Extras::default()).await.expect("what was found is good");
    assert!(issued.warnings[0].contains("malformed"), "{:?}", issued.warnings);
    file("damaged-later", profile);
    assume(&client, ROLE, 3600, &Extras::default()).await.expect("the new keys");
    assert_eq!(sts.seen().last().map(|request| request.signer().to_owned()).as_deref(), Some("AKIABASE"));
}
