//! One page over HTTP: asked for again while the answer is one that passes, no faster than it may be, and never longer than its bound.

use std::time::{Duration, Instant};

use base::{Backoff, problem::line};
use cloud::http::Answered;
use futures::StreamExt;
use reqwest::{Response, StatusCode, header};
use url::Url;

use super::{Config, Error};

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// Where it came from in the end: redirections are followed.
    pub(super) url: Url,
    /// The `Link` header with `rel="next"`.
    pub(super) next: Option<String>,
}

pub(super) struct Client {
    http: reqwest::Client,
    answered: Answered,
    /// When the next request may be made.
    due: Option<Instant>,
}

/// What a server asks to wait is waited up to this long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
const WAIT_FIRST_MS: u64 = 200;
const WAIT_MS_MAX: u64 = 20_000;
/// Of what a server says in an error, so much is repeated.
const SAID_BYTES_MAX: usize = 300;
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

impl Client {
    pub(super) fn new() -> Self {
        Self { http: cloud::http::client(), answered: Answered::default(), due: None }
    }

    /// The page at an address of the same server, or of another one: then without the headers, which are nobody else's.
    pub(super) async fn page(&mut self, config: &Config, url: &Url) -> Result<Answer, Error> {
        let mut waits = Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, config.retries_count_max, 17);
        loop {
            self.turn(config).await;
            let (error, asked) = match self.once(config, url).await {
                Ok(answer) => return Ok(answer),
                Err(Failed { error, wait }) => (error, wait),
            };
            let passes = match &error {
                Error::Unreachable { source, .. } => !self.answered.is_final(&**source),
                error => matches!(error, Error::Status { status: 429 | 500..=599, .. }),
            };
            let Some(wait) = waits.next().filter(|_| passes) else { return Err(error) };
            let wait = asked.unwrap_or(wait).min(RETRY_AFTER_MAX);
            let (error, wait_ms) = (line(&error), wait.as_millis() as u64);
            tracing::warn!(error, wait_ms, "asks again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Waits until it is this request's turn.
    async fn turn(&mut self, config: &Config) {
        let Some(rate) = config.rate else { return };
        let now = Instant::now();
        let at = self.due.unwrap_or(now).max(now);
        self.due = Some(at + Duration::from_secs_f64(1.0 / rate));
        tokio::time::sleep_until(at.into()).await;
    }

    async fn once(&self, config: &Config, url: &Url) -> Result<Answer, Failed> {
        let unreachable = |source: reqwest::Error| {
            let (url, source) = (config.name(), cloud::Reason::of(source.without_url()));
            let error = match cloud::http::is_untrusted(&*source) {
                true => Error::Untrusted { url, source },
                false => Error::Unreachable { url, source },
            };
            Failed { error, wait: None }
        };
        let mut request = self.http.get(url.clone()).timeout(Duration::from_millis(config.timeout_ms));
        request = request.header(header::ACCEPT, "application/json, application/x-ndjson, */*;q=0.1");
        if url.origin() == config.url.origin() {
            for (name, value) in &config.headers {
                request = request.header(name, value.reveal());
            }
        }
        let answer = request.send().await.map_err(unreachable)?;
        self.answered.note();
        let status = answer.status();
        if !status.is_success() {
            return Err(refusal(config, answer).await);
        }
        let url = answer.url().clone();
        let next =
            answer.headers().get_all(header::LINK).iter().find_map(|value| next_of(value.to_str().ok()?));
        let body = match body(answer, config.page_bytes_max).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let error = Error::TooLarge { url: config.name(), bytes_max: config.page_bytes_max };
                return Err(Failed { error, wait: None });
            }
            Err(error) => return Err(unreachable(error)),
        };
        Ok(Answer { body, url, next })
    }
}

struct Failed {
    error: Error,
    /// What the server asks to wait.
    wait: Option<Duration>,
}

/// The body, or `None` where it is larger than that.
async fn body(answer: Response, bytes_max: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if body.len() + piece.len() > bytes_max {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

async fn refusal(config: &Config, answer: Response) -> Failed {
    let (url, status) = (config.name(), answer.status());
    let wait = answer.headers().get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
    if matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    ) {
        return Failed { error: Error::Denied { url, status: status.as_u16() }, wait };
    }
    let said = body(answer, ERROR_BODY_BYTES_MAX).await.ok().flatten().unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let said =
        contracts::shorten(said.split_whitespace().collect::<Vec<_>>().join(" ").as_str(), SAID_BYTES_MAX);
    let said = if said.is_empty() { status.canonical_reason().unwrap_or("").to_owned() } else { said };
    Failed { error: Error::Status { url, status: status.as_u16(), said }, wait }
}

/// Seconds, or the moment that a date of HTTP names.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
    let wait_ms = at.timestamp_millis() - base::Clock::now_ms(&base::SystemClock);
    Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
}

/// The address of `<https://host/items?page=2>; rel="next", <…>; rel="last"`.
pub(super) fn next_of(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, link)) = rest.split_once('<') {
        let (address, behind) = link.split_once('>')?;
        // Parameters go on until a comma outside of quotes.
        let mut in_quotes = false;
        let end = behind.find(|one: char| {
            in_quotes ^= one == '"';
            one == ',' && !in_quotes
        });
        let (parameters, others) = behind.split_at(end.unwrap_or(behind.len()));
        let is_next =
            parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
                let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
                name.trim().eq_ignore_ascii_case("rel")
                    && relations.any(|one| one.eq_ignore_ascii_case("next"))
            });
        if is_next {
            return Some(address.trim().to_owned());
        }
        rest = others;
    }
    None
}
