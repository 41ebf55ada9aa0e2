//! A fake STS on loopback: it answers as its mood says, and remembers the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::world::{Server, World};

/// The tests search for it in everything that a run leaves behind.
pub const SECRET_ACCESS_KEY: &str = "canary/secret+access/key";
pub const SESSION_TOKEN: &str = "canary/session+token==";
/// The secret of the base identity.
pub const BASE_SECRET: &str = "canarybasesecretaccesskey";

/// The fake's way of answering AssumeRole.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    Grants,
    /// Grants an hour at most, as to a base identity that is itself a role.
    GrantsAnHour,
    Refuses,
    HangsUp,
    /// Says that there were too many calls.
    Throttles,
    /// Sends nothing until the client hangs up.
    KeepsSilent,
    /// Waits until its mood changes, and then answers as that says.
    Thinks,
}

/// The parameters of an AssumeRole request, in their order.
pub type Asked = Vec<(String, String)>;

pub struct Sts {
    port: u16,
    mood: Arc<(Mutex<Mood>, Condvar)>,
    asked: Arc<Mutex<Vec<Asked>>>,
    identities: Arc<AtomicUsize>,
    arrival: Arc<Condvar>,
    /// How long ago it says that it answers, in seconds.
    age: Arc<AtomicU64>,
}

impl Sts {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sts = Self {
            port,
            mood: Arc::new((Mutex::new(Mood::Grants), Condvar::new())),
            asked: Arc::default(),
            identities: Arc::default(),
            arrival: Arc::default(),
            age: Arc::default(),
        };
        let (mood, asked, arrival) = (sts.mood.clone(), sts.asked.clone(), sts.arrival.clone());
        let (identities, age) = (sts.identities.clone(), sts.age.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mood, asked, arrival) = (mood.clone(), asked.clone(), arrival.clone());
                let (identities, age) = (identities.clone(), age.clone());
                std::thread::spawn(move || converse(&stream, &mood, &asked, &arrival, &identities, &age));
            }
        });
        sts
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.0.lock().expect("no panic") = mood;
        self.mood.1.notify_all();
    }

    /// Dates its answers back, so that what it gives has used up as much of its time.
    pub fn answers_as_if_it_were(&self, minutes_ago: u64) {
        self.age.store(60 * minutes_ago, Ordering::Relaxed);
    }

    /// Waits for an AssumeRole request.
    pub fn wait(&self) {
        let asked = self.asked.lock().expect("no panic");
        let _asked = self.arrival.wait_while(asked, |asked| asked.is_empty()).expect("no panic");
    }

    /// Takes the AssumeRole requests since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }

    /// Returns the number of GetCallerIdentity requests.
    pub fn identities(&self) -> usize {
        self.identities.load(Ordering::Relaxed)
    }

    /// Starts a server with this STS and a base identity.
    pub fn serve(&self, world: &World) -> Server {
        let variables = self.variables();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        world.serve_with(&[], &variables)
    }

    /// Returns the variables by which the server finds this STS and a base identity.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL_STS", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", "AKIABASE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", BASE_SECRET.to_owned()),
            ("AWS_REGION", "eu-north-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            // It changes nothing: there are no levels, and what dependencies say goes nowhere. `secrets` proves it.
            ("RUST_LOG", "trace".to_owned()),
        ]
    }
}

/// Returns the value of a parameter of a request.
pub fn value<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
}

fn converse(
    stream: &TcpStream,
    mood: &(Mutex<Mood>, Condvar),
    asked: &Mutex<Vec<Asked>>,
    arrival: &Condvar,
    identities: &AtomicUsize,
    age: &AtomicU64,
) {
    let mut reader = BufReader::new(stream);
    while let Some(body) = request_body(&mut reader) {
        let parameters: Asked = form_urlencoded::parse(&body).into_owned().collect();
        let age = Duration::from_secs(age.load(Ordering::Relaxed));
        let now = SystemTime::now() - age;
        let answer = match value(&parameters, "Action") {
            "AssumeRole" => {
                asked.lock().expect("no panic").push(parameters.clone());
                arrival.notify_all();
                let thinking = mood.0.lock().expect("no panic");
                let is_thinking = |mood: &mut Mood| matches!(mood, Mood::Thinks);
                let decided = *mood.1.wait_while(thinking, is_thinking).expect("no panic");
                match decided {
                    Mood::GrantsAnHour
                        if value(&parameters, "DurationSeconds").parse::<u32>().is_ok_and(|asked| asked > 3600) =>
                    {
                        ("400 Bad Request", chained())
                    }
                    Mood::Grants | Mood::GrantsAnHour => ("200 OK", granted(&parameters, now)),
                    Mood::Refuses => ("403 Forbidden", refused()),
                    Mood::Throttles => ("400 Bad Request", throttled()),
                    Mood::HangsUp => return,
                    Mood::KeepsSilent | Mood::Thinks => {
                        let _ = reader.read(&mut [0]);
                        return;
                    }
                }
            }
            _ => {
                identities.fetch_add(1, Ordering::Relaxed);
                ("200 OK", identity())
            }
        };
        let (status, xml) = answer;
        let date = in_seconds(now, Format::HttpDate);
        let head = format!(
            "HTTP/1.1 {status}\r\nx-amzn-RequestId: sts-request-1\r\nDate: {date}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
            xml.len()
        );
        let mut writer = stream;
        if writer.write_all(format!("{head}{xml}").as_bytes()).is_err() {
            return;
        }
    }
}

fn request_body(reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// Writes an instant without the fraction of its second.
pub fn in_seconds(instant: SystemTime, format: Format) -> String {
    DateTime::from_secs(DateTime::from(instant).secs()).fmt(format).expect("legal")
}

fn granted(parameters: &Asked, now: SystemTime) -> String {
    let seconds = value(parameters, "DurationSeconds").parse().expect("DurationSeconds is always sent");
    let expiration = in_seconds(now + Duration::from_secs(seconds), Format::DateTime);
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIAGRANTED</AccessKeyId><SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey>\
         <SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/r/x</Arn>\
         </AssumedRoleUser></AssumeRoleResult><ResponseMetadata><RequestId>sts-request-1</RequestId></ResponseMetadata>\
         </AssumeRoleResponse>"
    )
}

fn refused() -> String {
    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
     <Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/base is not authorized to perform: \
     sts:AssumeRole</Message></Error><RequestId>sts-request-2</RequestId></ErrorResponse>"
        .to_owned()
}

fn chained() -> String {
    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
     <Code>ValidationError</Code><Message>The requested DurationSeconds exceeds the 1 hour session limit for roles \
     assumed by role chaining.</Message></Error><RequestId>sts-request-4</RequestId></ErrorResponse>"
        .to_owned()
}

fn throttled() -> String {
    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>Throttling</Code>\
     <Message>Rate exceeded</Message></Error><RequestId>sts-request-3</RequestId></ErrorResponse>"
        .to_owned()
}

fn identity() -> String {
    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
     <Arn>arn:aws:iam::123456789012:user/base</Arn><UserId>AIDA</UserId><Account>123456789012</Account>\
     </GetCallerIdentityResult><ResponseMetadata><RequestId>sts-request-0</RequestId></ResponseMetadata>\
     </GetCallerIdentityResponse>"
        .to_owned()
}
