//! The pages as a browser opens them, over HTTP.

use crate::world::{Answer, Server};

/// A signed-in browser.
pub struct Visit<'a> {
    server: &'a Server,
    pub cookie: String,
    token: String,
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn post(server: &Server, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form(fields);
    let headers = [
        format!("Cookie: {cookie}"),
        format!("Origin: {}", server.url),
        "Content-Type: application/x-www-form-urlencoded".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    server.try_send_with("POST", path, &headers.each_ref().map(String::as_str), &body).expect("an answer")
}

impl<'a> Visit<'a> {
    pub fn sign_in(server: &'a Server, key: &str) -> Self {
        let signed_in = post(server, "/sign-in", "none=x", &[("key", key)]);
        assert_eq!((signed_in.status, signed_in.header("location")), (303, "/"), "{}", signed_in.text);
        let cookie = signed_in.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        let mut visit = Self { server, cookie, token: String::new() };
        let home = visit.page("/");
        let token = home.split_once("name=\"form_token\" value=\"").expect("a token").1;
        visit.token = token.split('"').next().expect("its end").to_owned();
        visit
    }

    pub fn get(&self, path: &str) -> Answer {
        self.server.send("GET", path, &[&format!("Cookie: {}", self.cookie), "Accept: text/html"])
    }

    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        post(self.server, path, &self.cookie, &[fields, &[("form_token", &self.token)]].concat())
    }

    /// Sends a form that the server must accept; returns where it redirects to.
    pub fn send_form(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, fields);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
        answer.header("location").to_owned()
    }
}
