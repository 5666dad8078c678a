//! A part that commands talk with over HTTP: a registry, a Connect worker, a scheduler. What an answer means is the caller's.

use std::{io::Write as _, pin::pin, time::Duration};

use base::problem::root;
use cloud::registry::without_user;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde_json::Value;

use crate::notices::beside_the_bar;

/// What answers at all has done so by then, nearly always. From then on whoever waits knows for what.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) struct Part {
    /// With the article.
    what: &'static str,
    url: String,
    answer_timeout: Duration,
}

impl Part {
    pub fn at(what: &'static str, url: &str, answer_timeout: Duration) -> Self {
        Self { what, url: url.trim_end_matches('/').to_owned(), answer_timeout }
    }

    /// Its address, as it may be shown.
    pub fn url(&self) -> String {
        without_user(&self.url)
    }

    /// The address of what lies below it, each segment escaped.
    ///
    /// # Errors
    /// Why its own is none.
    pub fn below<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Result<Url, String> {
        let mut url = Url::parse(&self.url).map_err(|error| format!("it is no address: {error}"))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(url)
    }

    /// What it answers: JSON, or a text where it is none.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn answer(&self, request: RequestBuilder) -> Result<(StatusCode, Value), String> {
        let mut answering = pin!(async {
            let response = request.timeout(self.answer_timeout).send().await?;
            let status = response.status();
            Ok((status, response.text().await?))
        });
        let answered = match tokio::time::timeout(SILENCE, &mut answering).await {
            Ok(answered) => answered,
            Err(_) => {
                self.tell_silence();
                answering.await
            }
        };
        let (status, text) =
            answered.map_err(|error: reqwest::Error| root(&error.without_url()).to_string())?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    fn tell_silence(&self) {
        let (what, url) = (self.what, self.url());
        let (silence_s, timeout_s) = (SILENCE.as_secs(), self.answer_timeout.as_secs());
        // Where nobody listens any more the line is lost, and not the answer.
        beside_the_bar(|| {
            writeln!(
                std::io::stderr(),
                "{what} at {url} has not answered for {silence_s} s; it is given {timeout_s} s"
            )
            .ok()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_password() {
        let part = Part::at("the registry", "http://me:secret@127.0.0.1:8081/", SILENCE);
        assert_eq!(part.url(), "http://127.0.0.1:8081");
        let below = part.below(["subjects", "a/b"]).expect("an address");
        assert_eq!(below.as_str(), "http://me:secret@127.0.0.1:8081/subjects/a%2Fb");
        let wrong = Part::at("the registry", "http://me:sec/ret@127.0.0.1:8081", SILENCE);
        assert_eq!(
            (wrong.below(["subjects"]).is_err(), wrong.url()),
            (true, "***@127.0.0.1:8081".to_owned())
        );
    }
}
