//! `process` in direct mode: what is kept when STS, or the place of the base identity, fails.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::process::{edit, key, make_due};
use super::server::{Server, rfc3339};
use super::{PROGRAM, READER, directory, output, private, text};

/// Who fails: STS, or the endpoint from which a container has its base identity.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Sts,
    Container,
}

fn error_of_sts(code: &str) -> String {
    format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>")
}

fn issued_by_sts() -> String {
    let expiration = rfc3339(SystemTime::now() + Duration::from_secs(3600));
    format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>canary-secret\
         </SecretAccessKey><SessionToken>canary-token</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    )
}

fn base_of_container() -> String {
    let expiration = rfc3339(SystemTime::now() + Duration::from_secs(3600));
    let [id, secret, token] = ["ASIABASE", "canary-base", "canary-base-token"];
    json!({ "AccessKeyId": id, "SecretAccessKey": secret, "Token": token, "Expiration": expiration }).to_string()
}

fn process(server: &Server, directory: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["process", "--role", READER]).env_clear().current_dir(directory);
    command.envs([("PATH", "/nowhere"), ("AWS_REGION", "eu-north-1"), ("HOPS_CLOUD_ROLES", READER)]);
    command.env("HOME", directory).env("XDG_RUNTIME_DIR", directory.join("run"));
    command.env("AWS_ENDPOINT_URL_STS", &server.endpoint);
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/base", server.endpoint));
    command
}

#[test]
fn what_is_kept_is_used_to_its_end_unless_sts_says_no_to_the_role() {
    use Place::{Container, Sts};
    let page = || "<html>sign in</html>".to_owned();
    for (number, (place, status, body, is_used)) in [
        (Sts, "403 Forbidden", error_of_sts("AccessDenied"), false),
        (Sts, "403 Forbidden", error_of_sts("ExpiredToken"), true),
        (Sts, "403 Forbidden", page(), true),
        (Sts, "500 Internal Server Error", error_of_sts("InternalFailure"), true),
        (Sts, "200 OK", page(), true),
        (Container, "403 Forbidden", page(), true),
        (Container, "404 Not Found", page(), true),
        (Container, "500 Internal Server Error", page(), true),
        (Container, "200 OK", page(), true),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{status} {body}");
        let failing = Arc::new(AtomicBool::new(false));
        let fails = failing.clone();
        let server = Server::start(move |head| {
            let asked = if head.starts_with("GET /base") { Container } else { Sts };
            match asked {
                _ if asked == place && fails.load(Ordering::SeqCst) => (status.to_owned(), body.clone()),
                Sts => ("200 OK".to_owned(), issued_by_sts()),
                Container => ("200 OK".to_owned(), base_of_container()),
            }
        });
        let directory = directory(&format!("direct-{number}"));
        private(&directory.join("run"));
        assert_eq!(key(&output(process(&server, &directory))), "ASIA1", "{name}");
        failing.store(true, Ordering::SeqCst);
        edit(&directory, make_due);
        let done = output(process(&server, &directory));
        if is_used {
            assert_eq!(key(&done), "ASIA1", "{name}");
            assert!(text(&done.stderr).contains("renewing fails, the credentials end in 35"), "{}", text(&done.stderr));
        } else {
            assert_eq!((done.status.code(), done.stdout.len()), (Some(3), 0), "{name}");
        }
    }
}

#[test]
fn a_path_that_is_not_text_is_found_or_refused_and_never_another_identity() -> std::io::Result<()> {
    let server = Server::start(|head| {
        let body = if head.starts_with("GET /base") { base_of_container() } else { issued_by_sts() };
        ("200 OK".to_owned(), body)
    });
    let directory = directory("latin");
    // Latin-1.
    let home = directory.join(OsStr::from_bytes(b"jos\xe9"));
    let file = home.join(".aws/credentials");
    std::fs::create_dir_all(home.join(".aws"))?;
    std::fs::write(&file, "[default]\naws_access_key_id = AKIALATIN\naws_secret_access_key = canary\n")?;
    let mut command = process(&server, &directory);
    command.env("HOME", &home);
    assert_eq!(key(&output(command)), "ASIA1");
    let requests = server.requests();
    assert!(requests.iter().any(|head| head.contains("Credential=AKIALATIN/")), "{requests:?}");
    for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        let mut command = process(&server, &directory);
        command.env(variable, &file);
        let refused = output(command);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(4), "{said}");
        assert!(said.contains(&format!("name another one in {variable}")), "{said}");
    }
    assert_eq!(server.requests().len(), requests.len());
    Ok(())
}
