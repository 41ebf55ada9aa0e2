//! The login of the caller: a token from a file that the platform rewrites, else an API key.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;

use hops_credentials_core::blocking::block_on;
use hops_credentials_core::hopsworks::Hopsworks;
use hops_credentials_core::request::AssumeRole;

use crate::loopback::{Server, header, json, session_token};
use crate::{directory, member, message, quick};

const REFUSED: &str = "assuming the default role for project 119 at <server> was refused: HTTP 401";

/// Makes a directory with this token in it; returns the paths of both.
fn with_token(name: &str, token: &str) -> (PathBuf, PathBuf) {
    let directory = directory(name);
    let file = directory.join("token.jwt");
    fs::write(&file, token).expect("a token file");
    (directory, file)
}

fn logins(server: &Server) -> Vec<String> {
    server.requests().iter().map(|head| header(head, "authorization").unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_token_file_wins_over_an_api_key_and_is_read_for_every_request() {
    let server = Server::answering(vec![session_token()]);
    let (directory, file) = with_token("wins", "canary-one\n");
    let member = member(&server.endpoint, &[("SECRETS_DIR", directory.to_str().expect("UTF-8"))]);
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    fs::write(&file, "canary-two").expect("a new token");
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    fs::remove_file(&file).expect("no token");
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    assert_eq!(logins(&server), ["Bearer canary-one", "Bearer canary-two", "ApiKey canary.key"]);
}

#[test]
fn after_a_401_the_token_file_is_read_once_more() {
    let (directory, file) = with_token("again", "canary-old");
    let place = Mutex::new(file);
    let server = Server::start(move |head| match header(head, "authorization") {
        Some("Bearer canary-new") => session_token(),
        _ => {
            fs::write(&*place.lock().expect("one request at a time"), "canary-new").expect("the platform writes");
            json("401 Unauthorized", "")
        }
    });
    let member = member(&server.endpoint, &[("SECRETS_DIR", directory.to_str().expect("UTF-8"))]);
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    assert_eq!(logins(&server), ["Bearer canary-old", "Bearer canary-new"]);
}

#[test]
fn a_second_401_is_a_refusal() {
    let (directory, file) = with_token("twice", "canary-old");
    let server =
        Server::answering(vec![json("401 Unauthorized", r#"{"errorCode":200003,"usrMsg":"canary-old ended"}"#)]);
    let member = member(&server.endpoint, &[("SECRETS_DIR", directory.to_str().expect("UTF-8"))]);
    let error = block_on(member.assume_role(&AssumeRole::default())).expect_err("a refusal");
    assert_eq!(
        message(&error, &server.endpoint),
        format!(
            "{REFUSED}, code 200003: \"*** ended\"; the token in {} is not accepted: log in again, or restart the job",
            file.display()
        )
    );
    assert_eq!(error.code(), 401);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_api_key_that_is_not_accepted_is_sent_once() {
    let server = Server::answering(vec![json("401 Unauthorized", "")]);
    let error = block_on(member(&server.endpoint, &[]).assume_role(&AssumeRole::default())).expect_err("a refusal");
    assert_eq!(
        message(&error, &server.endpoint),
        format!(
            "{REFUSED}; hopsworks.apikey / API_KEY is not accepted: create a new API key; an old Hopsworks accepts only \
             a token file here"
        )
    );
    assert_eq!(error.code(), 401);
    assert_eq!(server.requests().len(), 1);
}

#[track_caller]
fn check_unsent(more: &[(&str, &str)], expected: &str) {
    let server = Server::answering(vec![session_token()]);
    let error = block_on(member(&server.endpoint, more).assume_role(&AssumeRole::default())).expect_err(expected);
    assert_eq!(message(&error, &server.endpoint), expected);
    assert_eq!(error.code(), 0);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn without_a_login_nothing_is_sent_and_the_message_lists_where_to_put_one() {
    let directory = directory("none");
    check_unsent(
        &[("API_KEY", " "), ("SECRETS_DIR", directory.to_str().expect("UTF-8"))],
        &format!(
            "there is neither a token file ({}/token.jwt, ./token.jwt) nor an API key; set hopsworks.apikey / API_KEY, or \
             SECRETS_DIR to the directory of token.jwt",
            directory.display()
        ),
    );
}

#[test]
fn the_message_names_a_token_file_without_a_token() {
    let (directory, file) = with_token("empty", " \n");
    let secrets = [("SECRETS_DIR", directory.to_str().expect("UTF-8"))];
    check_unsent(
        &secrets,
        &format!(
            "reading the token file {} failed: it is empty; if it stays empty, log in again, or remove it and set \
             hopsworks.apikey / API_KEY",
            file.display()
        ),
    );
    fs::write(&file, "canary one two").expect("a token file");
    check_unsent(
        &secrets,
        &format!(
            "the token file {} holds no token; log in again, or remove it and set hopsworks.apikey / API_KEY",
            file.display()
        ),
    );
    fs::remove_file(&file).expect("the file");
    fs::create_dir(&file).expect("a directory in its place");
    check_unsent(
        &secrets,
        &format!(
            "the token file {} cannot be read: Is a directory (os error 21); make it readable, or remove it and set \
             hopsworks.apikey / API_KEY",
            file.display()
        ),
    );
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn an_api_key_with_illegal_characters_is_not_sent() {
    check_unsent(
        &[("API_KEY", "canary\r\nX-Injected: 1")],
        "hopsworks.apikey / API_KEY is not an API key: it holds characters that no API key has; copy the key again",
    );
}

#[test]
fn an_empty_token_file_that_is_filled_in_time_is_not_an_error() {
    let (directory, file) = with_token("filled", "");
    let server = Server::answering(vec![session_token()]);
    let settings = crate::settings(&server.endpoint, &[("SECRETS_DIR", directory.to_str().expect("UTF-8"))]);
    let filled = crate::directory("filling").join("token.jwt");
    fs::write(&filled, "canary-late").expect("a token");
    *FILLING.lock().expect("nobody else fills") = Some((filled, file));
    // The wait after the first try draws it.
    let retry = hops_credentials_core::retry::Retry { random: fill, ..quick() };
    let member = Hopsworks::from_settings(&settings).expect("settings").with_retry(retry);
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    assert_eq!(*FILLING.lock().expect("nobody else fills"), None, "the empty file was not read");
    assert_eq!(logins(&server), ["Bearer canary-late"]);
}

/// The full token file, and the empty one that it replaces.
static FILLING: Mutex<Option<(PathBuf, PathBuf)>> = Mutex::new(None);

/// Writes the token as the platform does, in place of a random number.
fn fill() -> f64 {
    if let Some((filled, file)) = FILLING.lock().expect("nobody else fills").take() {
        fs::rename(filled, file).expect("the platform writes");
    }
    0.0
}

#[test]
fn a_key_file_of_a_variable_yields_to_a_token_file_and_wins_over_an_api_key() {
    let server = Server::answering(vec![session_token()]);
    let (directory, file) = with_token("variable", "canary-token");
    let key = directory.join("key");
    fs::write(&key, "canary.of.file").expect("a key file");
    let variables =
        [("SECRETS_DIR", directory.to_str().expect("UTF-8")), ("API_KEY_FILE", key.to_str().expect("UTF-8"))];
    let member = member(&server.endpoint, &variables);
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    fs::remove_file(&file).expect("no token");
    block_on(member.assume_role(&AssumeRole::default())).expect("credentials");
    assert_eq!(logins(&server), ["Bearer canary-token", "ApiKey canary.of.file"]);
}
