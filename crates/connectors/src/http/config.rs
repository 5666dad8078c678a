//! Settings of the source: text -> config, nothing else.

use base::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};
use url::Url;

use super::Error;
use crate::Settings;

/// What is asked, and how the next page is found.
#[derive(Debug, Clone)]
pub struct Config {
    pub url: Url,
    pub paging: Paging,
    /// Where the records are in a page: names from the outside in. `None`: the page's one list, or the page itself.
    pub records: Option<Vec<String>>,
    /// Sent with each request; a value may be a secret.
    pub headers: Vec<(String, Secret)>,
    /// Read no more than these.
    pub pages_wanted: Option<u64>,
    /// Where nobody says how many: an interface that never ends is one that is read wrongly.
    pub pages_count_max: u64,
    pub records_count_max: Option<u64>,
    /// Requests a second; `None`: as fast as it answers.
    pub rate: Option<f64>,
    pub page_bytes_max: usize,
    pub timeout_ms: u64,
    pub retries_count_max: u32,
}

/// How the next page is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// There is one page.
    One,
    /// `?NAME=1`, `2`, … until a page is empty.
    Number { parameter: String, first: u64 },
    /// `?NAME=0`, and so many more as a page had records, until one is empty.
    Offset { parameter: String },
    /// `?NAME=` what the page before has at the path, until it has nothing there.
    Cursor { parameter: String, path: Vec<String> },
    /// The address that the page has at the path.
    Next { path: Vec<String> },
    /// The `Link` header's `rel="next"`.
    Link,
}

const PAGES_DEFAULT: u64 = 10_000;
/// A page is held whole while it is taken apart.
const PAGE_BYTES_DEFAULT: usize = 32 << 20;
const TIMEOUT_MS_DEFAULT: u64 = 60_000;
const RETRIES_DEFAULT: u32 = 8;
const KEYS: [&str; 10] =
    ["url", "page", "records", "headers", "bearer", "pages", "limit", "rate", "page_bytes", "timeout_ms"];

impl Config {
    /// With all that the address alone does not say left open.
    ///
    /// # Errors
    /// An address that is none of HTTP.
    pub fn new(address: &str) -> Result<Self, Error> {
        let refuse = |what: &str| Error::setting("url", what);
        let url = Url::parse(address).map_err(|error| refuse(&format!("it is no address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refuse("it is no address of HTTP"));
        }
        Ok(Self {
            url,
            paging: Paging::Link,
            records: None,
            headers: Vec::new(),
            pages_wanted: None,
            pages_count_max: PAGES_DEFAULT,
            records_count_max: None,
            rate: None,
            page_bytes_max: PAGE_BYTES_DEFAULT,
            timeout_ms: TIMEOUT_MS_DEFAULT,
            retries_count_max: RETRIES_DEFAULT,
        })
    }

    /// `url`, `page`, `records`, `headers` (`Name: value`, a line each), `bearer`, `pages`, `limit`, `rate`, `page_bytes`, `timeout_ms`.
    ///
    /// # Errors
    /// A setting that there is not, or that cannot be understood.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        if let Some(unknown) = settings.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Error::setting(unknown, "there is no such setting"));
        }
        let text = |key: &str| settings.get(key).map(String::as_str);
        let mut config = Self::new(text("url").unwrap_or(""))?;
        if let Some(page) = text("page") {
            config.paging = Paging::parse(page)?;
        }
        config.records = text("records").map(|path| steps("records", path)).transpose()?;
        for line in text("headers").unwrap_or("").lines().filter(|line| !line.trim().is_empty()) {
            config.add_header(line)?;
        }
        if let Some(token) = text("bearer") {
            config.bearer(token);
        }
        config.pages_wanted = whole(settings, "pages")?;
        config.records_count_max = whole(settings, "limit")?;
        if let Some(bytes) = whole(settings, "page_bytes")? {
            config.page_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        if let Some(timeout_ms) = whole(settings, "timeout_ms")? {
            config.timeout_ms = timeout_ms;
        }
        config.rate = text("rate").map(rate).transpose()?;
        Ok(config)
    }

    /// `Name: value`
    ///
    /// # Errors
    /// A line without a name.
    pub fn add_header(&mut self, line: &str) -> Result<(), Error> {
        let (name, value) =
            line.split_once(':').ok_or_else(|| Error::setting("headers", "a header is NAME: VALUE"))?;
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name || !value.bytes().all(|byte| byte == b'\t' || byte >= b' ') {
            return Err(Error::setting(
                "headers",
                format!("{name:?} is no name of a header, or its value is none"),
            ));
        }
        self.headers.push((name.to_ascii_lowercase(), Secret::new(value.trim())));
        Ok(())
    }

    pub fn bearer(&mut self, token: &str) {
        self.headers.push(("authorization".to_owned(), Secret::new(format!("Bearer {token}"))));
    }

    pub fn basic(&mut self, login: &str, password: &str) {
        let both = STANDARD.encode(format!("{login}:{password}"));
        self.headers.push(("authorization".to_owned(), Secret::new(format!("Basic {both}"))));
    }

    /// What errors and places call the source: the address without whom it signs in as.
    pub fn name(&self) -> String {
        let mut url = self.url.clone();
        if url.password().is_some() {
            url.set_password(Some("***")).ok();
        }
        let secret = |name: &str| {
            ["token", "key", "secret", "password", "sig"]
                .iter()
                .any(|word| name.to_ascii_lowercase().contains(word))
        };
        if url.query_pairs().any(|(name, _)| secret(&name)) {
            let kept: Vec<(String, String)> = url
                .query_pairs()
                .map(|(name, value)| {
                    (name.to_string(), if secret(&name) { "***".to_owned() } else { value.to_string() })
                })
                .collect();
            url.query_pairs_mut().clear().extend_pairs(kept);
        }
        url.to_string()
    }
}

/// `500`, `2.5`, `100/s` or `100/min`: requests a second.
///
/// # Errors
/// Anything else.
pub fn rate(text: &str) -> Result<f64, Error> {
    let (number, per) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match per {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => 0.0,
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() && seconds > 0.0 => Ok(number / seconds),
        _ => Err(Error::setting("rate", format!("{text:?} is no rate like 5, 5/s or 100/min"))),
    }
}

fn whole(settings: &Settings, key: &'static str) -> Result<Option<u64>, Error> {
    let Some(text) = settings.get(key) else { return Ok(None) };
    match text.replace('_', "").parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(Error::setting(key, format!("{text:?} is no whole number above 0"))),
    }
}

/// `$.data.items`, `$['a.b'][0]`: names and places from the outside in.
///
/// # Errors
/// A path that does not begin with `$`, or has more in it than names.
pub fn steps(key: &str, path: &str) -> Result<Vec<String>, Error> {
    let refuse = |what: &str| Error::setting(key, format!("{path:?} is no path like $.data.items: {what}"));
    let mut rest = path.trim().strip_prefix('$').ok_or_else(|| refuse("it does not begin with $"))?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let (name, behind) = quoted.split_once("']").ok_or_else(|| refuse("a bracket is not closed"))?;
            steps.push(name.to_owned());
            rest = behind;
        } else if let Some(place) = rest.strip_prefix('[') {
            let (number, behind) = place.split_once(']').ok_or_else(|| refuse("a bracket is not closed"))?;
            // All items of a list are its records: what would be said twice may be said.
            if number != "*" {
                number.parse::<u32>().map_err(|_| refuse("a place is a number"))?;
                steps.push(number.to_owned());
            }
            rest = behind;
        } else if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            if end == 0 {
                return Err(refuse("a name is missing"));
            }
            steps.push(named[..end].to_owned());
            rest = &named[end..];
        } else {
            return Err(refuse("a name stands behind a point"));
        }
    }
    Ok(steps)
}

impl Paging {
    /// `none`, `link`, `number:PARAMETER[:FIRST]`, `offset:PARAMETER`, `cursor:PARAMETER:PATH` or `next:PATH`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let refuse = || {
            let known = "none, link, number:PARAMETER[:FIRST], offset:PARAMETER, cursor:PARAMETER:$.PATH and next:$.PATH";
            Error::setting("page", format!("{text:?} is no way to page; there are {known}"))
        };
        let (parameter, more) = rest.split_once(':').unwrap_or((rest, ""));
        let named = |parameter: &str| {
            if parameter.is_empty() || parameter.starts_with('$') {
                Err(refuse())
            } else {
                Ok(parameter.to_owned())
            }
        };
        Ok(match kind {
            "none" if rest.is_empty() => Paging::One,
            "link" if rest.is_empty() => Paging::Link,
            "number" => {
                let first = if more.is_empty() { 1 } else { more.parse().map_err(|_| refuse())? };
                Paging::Number { parameter: named(parameter)?, first }
            }
            "offset" if more.is_empty() => Paging::Offset { parameter: named(parameter)? },
            "cursor" if !more.is_empty() => {
                Paging::Cursor { parameter: named(parameter)?, path: steps("page", more)? }
            }
            "next" if !rest.is_empty() => Paging::Next { path: steps("page", rest)? },
            _ => return Err(refuse()),
        })
    }
}
