//! What others have left in the environment: ours from earlier, and what belongs to other keys.

use super::*;

#[test]
fn an_environment_that_is_put_back_as_it_stood_under_us_is_still_ours() {
    for inherited in [None, Some("OUTER")] {
        let mut held = match inherited {
            None => {
                variables(&[(ACCESS_KEY_ID, "AKIABASE"), (SECRET_ACCESS_KEY, "base secret"), ("AWS_PROFILE", "base")])
            }
            Some(_) => variables(&[(ACCESS_KEY_ID, "ASIAOUTER"), (SECRET_ACCESS_KEY, "s"), (ISSUED, "ASIAOUTER")]),
        };
        let base = held.clone();
        let first = plan(credentials_changes("A", &environment(&base, &[])), &[], get(&base));
        first.writes.iter().for_each(|change| apply(&mut held, change));
        let saved = held.clone();
        let second = plan_renewal(&credentials("B"), &first.written, get(&held)).expect("nobody has touched them");
        let third = plan_renewal(&credentials("C"), &second.written, get(&saved)).expect("they are ours");
        held = saved.clone();
        third.writes.iter().for_each(|change| apply(&mut held, change));
        assert_eq!(held.get(ACCESS_KEY_ID).map(String::as_str), Some("ASIAC"));
        let other = plan(credentials_changes("D", &environment(&saved, &second.written)), &second.written, get(&saved));
        for written in [&second.written, &other.written] {
            held = saved.clone();
            plan_release(written, get(&saved)).iter().for_each(|change| apply(&mut held, change));
            assert_eq!(held, base);
        }
        // What stood there before us is not ours, although another process has marked it.
        assert!(plan_renewal(&credentials("B"), &first.written, get(&base)).is_none());
    }
}

#[test]
fn an_account_that_is_set_becomes_that_of_the_role() {
    let role = "arn:aws:iam::123456789012:role/reader".parse().expect("an ARN");
    let [key, secret, token] = ["ASIAA", "A secret", "A token"].map(str::to_owned);
    let hour = Duration::from_secs(3600);
    let of_role = Credentials::new(key, secret, token, SystemTime::UNIX_EPOCH + hour, hour, Some(role));
    let account = |credentials: &Credentials, pairs: &[(&str, &str)]| {
        let environment = environment(&variables(pairs), &[]);
        let effects = block_on(async { Ok(for_credentials(credentials, &environment).await) }).expect("a runtime");
        let written = effects.changes.into_iter().find(|(name, _)| *name == ACCOUNT);
        written.and_then(|(_, value)| value).map(|value| value.to_string())
    };
    let of_base = [(ACCOUNT, "999999999999")];
    assert_eq!(account(&of_role, &of_base).as_deref(), Some("123456789012"));
    assert_eq!((account(&of_role, &[]), account(&credentials("A"), &of_base)), (None, None));
}

#[test]
fn a_configuration_of_fsspec_loses_its_credentials_and_nothing_else() {
    let client = r#"{"aws_access_key_id":"AKIA","verify":false}"#;
    let configured = [
        ("FSSPEC_S3", r#"{"key":"AKIA","use_ssl":false}"#),
        ("FSSPEC_S3A", r#"{"use_ssl":false}"#),
        ("FSSPEC_S3_CLIENT_KWARGS", client),
        ("FSSPEC_S3A_CLIENT_KWARGS", client),
        ("FSSPEC_S3_ANON", "true"),
    ];
    let base = environment(&variables(&configured), &[]);
    for changes in [credentials_changes("A", &base), endpoint_changes(&base)] {
        let of = |wanted: &str| changes.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_ref());
        let left = of("FSSPEC_S3").flatten().map(|value| value.as_str());
        assert_eq!((left, of("FSSPEC_S3A")), (Some(r#"{"use_ssl":false}"#), None));
        for name in ["FSSPEC_S3_CLIENT_KWARGS", "FSSPEC_S3A_CLIENT_KWARGS"] {
            assert_eq!(of(name).flatten().map(|value| value.as_str()), Some(r#"{"verify":false}"#), "{name}");
        }
        assert_eq!(of("FSSPEC_S3_ANON"), Some(None));
    }
}

#[test]
fn a_file_for_s3fs_is_a_warning_in_both_modes() {
    let directory = file("fsspec", "");
    std::fs::remove_file(&directory).and_then(|()| std::fs::create_dir_all(&directory)).expect("a directory");
    std::fs::write(format!("{directory}/s3.ini"), "[s3]\nkey = AKIASTRANGER\n").expect("a file");
    let base = environment(&variables(&[("FSSPEC_CONFIG_DIR", &directory)]), &[]);
    let with_credentials = block_on(async { Ok(for_credentials(&credentials("A"), &base).await) });
    let with_endpoint = block_on(for_endpoint(URL, "canary-token", Path::new("/run/token"), &base));
    std::fs::remove_dir_all(&directory).expect("it is there");
    for effects in [with_credentials, with_endpoint] {
        assert_eq!(
            effects.expect("readers of everything else find the role").warnings,
            [format!("s3fs prefers the credentials in {directory}/s3.ini, which are not ours")]
        );
    }
}
