//! Why a service did not do what was asked, in the words of whoever knew it. Clients put one error into another, and each repeats what
//! lies in it: ten lines, of which the last says something.

use std::{error::Error as StdError, fmt};

use base::{BoxError, problem::root};
use serde_json::Value;

use crate::calls::element;

/// What a service says at length is cut here: a proxy may answer with a page.
const TEXT_CHARS_MAX: usize = 300;
/// How `object_store` begins what it makes of an answer.
const ANSWERS: [&str; 2] = ["Server returned non-2xx status code: ", "Server returned error response: "];

/// The innermost of an error's causes. All of them are kept, for whoever has to tell them apart (`http::is_nowhere`).
pub struct Reason {
    text: String,
    whole: BoxError,
}

impl Reason {
    pub fn of(error: impl Into<BoxError>) -> BoxError {
        let whole = error.into();
        if whole.is::<Reason>() {
            return whole;
        }
        Box::new(Reason { text: text_of(&*whole), whole })
    }

    pub(crate) fn whole(&self) -> &(dyn StdError + 'static) {
        &*self.whole
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.whole, formatter)
    }
}

/// Without a source: what is in it has been said.
impl StdError for Reason {}

fn text_of(error: &(dyn StdError + 'static)) -> String {
    let text = root(error).to_string();
    if let Some(answer) = ANSWERS.iter().find_map(|start| text.strip_prefix(start)) {
        return answered(answer);
    }
    // Without the number that the system has for it.
    short(text.split(" (os error").next().unwrap_or_default())
}

/// Of a status and a body: the service's own code and message, in XML or in JSON.
fn answered(answer: &str) -> String {
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let error = &json["error"];
    let of_json = |value: &Value| value.as_str().map(str::to_owned);
    let code = element(body, "Code").or_else(|| of_json(&error["errors"][0]["reason"]));
    let message = element(body, "Message").or_else(|| of_json(&error["message"]));
    match (code, message) {
        (Some(code), Some(message)) if message != code => short(&format!("{code}: {message}")),
        (Some(text), _) | (None, Some(text)) => short(&text),
        (None, None) if body.trim().is_empty() => short(status),
        (None, None) => short(answer),
    }
}

fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// As clients do it: each says what the next one says.
    #[derive(Debug, thiserror::Error)]
    #[error("{what}: {source}")]
    struct Around {
        what: &'static str,
        source: BoxError,
    }

    fn check(innermost: &str, said: &str) {
        let source = Around { what: "Error performing PUT", source: innermost.into() };
        let reason = Reason::of(Around { what: "Generic S3 error", source: source.into() });
        assert_eq!(reason.to_string(), said);
        assert!(reason.source().is_none());
    }

    #[test]
    fn a_reason_is_said_once() {
        check("Connection refused (os error 111)", "Connection refused");
        check("invalid peer certificate: UnknownIssuer", "invalid peer certificate: UnknownIssuer");
        check(
            "Server returned non-2xx status code: 503 Service Unavailable: <Error><Code>SlowDown</Code>\
             <Message>Reduce your request rate.</Message><RequestId>7</RequestId></Error>",
            "SlowDown: Reduce your request rate.",
        );
        check("Server returned non-2xx status code: 403 Forbidden: <Error><Code>No</Code></Error>", "No");
        check("Server returned non-2xx status code: 502 Bad Gateway: ", "502 Bad Gateway");
        check(
            "Server returned non-2xx status code: 502 Bad Gateway: no\n upstream",
            "502 Bad Gateway: no upstream",
        );
        check(
            "Server returned non-2xx status code: 429 Too Many Requests: {\"error\":{\"message\":\"later\",\
             \"errors\":[{\"reason\":\"rateLimitExceeded\"}]}}",
            "rateLimitExceeded: later",
        );
        check(&"a".repeat(400), &format!("{}…", "a".repeat(TEXT_CHARS_MAX)));
    }

    #[test]
    fn what_it_is_made_of_is_still_known() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let reason = Reason::of(Around { what: "HTTP error", source: refused().into() });
        assert!(crate::http::is_nowhere(&*reason));
        let again = Reason::of(reason);
        assert!(crate::http::is_nowhere(&*again));
        assert_eq!(again.to_string(), "connection refused");
    }
}
