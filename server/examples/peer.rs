//! What `make bench-server` needs beside the server: an STS that grants every role at once, and a bare server with nothing behind it.
//!
//! `GET` answers with the content of the file in the first argument, `POST` as STS does. Prints its address.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::Router;
use axum::http::header;
use axum::routing::get;

#[tokio::main]
async fn main() {
    let file = std::env::args().nth(1).expect("the argument is a file");
    let text = std::fs::read_to_string(file).expect("the file is readable");
    let bare = get(async move || ([(header::CONTENT_TYPE, "application/json")], text.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("listening on http://{}", listener.local_addr().expect("an address"));
    axum::serve(listener, Router::new().fallback(bare.post(answer_as_sts))).await.expect("it serves");
}

async fn answer_as_sts(body: String) -> ([(header::HeaderName, String); 2], String) {
    // The header has no place for a fraction of a second.
    let now = DateTime::from_secs(DateTime::from(SystemTime::now()).secs());
    let expiration = DateTime::from_secs(now.secs() + 3600).fmt(Format::DateTime).expect("legal");
    let xml = if body.contains("Action=AssumeRole") {
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIABENCH</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
             <Expiration>{expiration}</Expiration></Credentials></AssumeRoleResult>\
             <ResponseMetadata><RequestId>bench</RequestId></ResponseMetadata></AssumeRoleResponse>"
        )
    } else {
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::123456789012:user/base</Arn><UserId>AIDA</UserId><Account>123456789012</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>bench</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
            .to_owned()
    };
    let date = now.fmt(Format::HttpDate).expect("legal");
    ([(header::CONTENT_TYPE, "text/xml".to_owned()), (header::DATE, date)], xml)
}
