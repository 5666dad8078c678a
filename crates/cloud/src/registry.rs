//! A schema registry's REST API as a client speaks it: several addresses, an identity, and what was answered. Which schema is
//! meant and what becomes of it is the caller's.

use std::time::Duration;

use base::Secret;
use serde_json::Value as Json;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// As whom a registry is asked.
#[derive(Debug, Clone)]
pub enum Authority {
    None,
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

#[derive(Debug)]
pub struct Registry {
    urls: Vec<String>,
    authority: Authority,
    client: reqwest::Client,
}

/// Why there is no answer to use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failed {
    #[error("no address of a registry is known")]
    NoAddress,
    #[error("the registry at {url} does not answer: {reason}")]
    Silent { url: String, reason: String },
    /// What it said, in its own words.
    #[error("the registry at {url} answered {status}: {message}")]
    Refused { url: String, status: u16, error_code: i64, message: String },
}

impl Registry {
    /// `urls` are asked in their order, until one answers.
    pub fn new(urls: Vec<String>, authority: Authority) -> Self {
        let urls = urls.into_iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        Self { urls, authority, client: crate::http::client() }
    }

    pub async fn get(&self, path: &str) -> Result<Json, Failed> {
        self.ask(path, None).await
    }

    pub async fn post(&self, path: &str, body: &Json) -> Result<Json, Failed> {
        self.ask(path, Some(body)).await
    }

    async fn ask(&self, path: &str, body: Option<&Json>) -> Result<Json, Failed> {
        let mut last = Failed::NoAddress;
        for url in &self.urls {
            match self.ask_at(url, path, body).await {
                Err(failed @ Failed::Silent { .. }) => last = failed,
                Err(failed @ Failed::Refused { status: 500.., .. }) => last = failed,
                answered => return answered,
            }
        }
        Err(last)
    }

    async fn ask_at(&self, url: &str, path: &str, body: Option<&Json>) -> Result<Json, Failed> {
        let silent = |error: reqwest::Error| Failed::Silent {
            url: without_user(url),
            reason: chain(&error.without_url()),
        };
        let whole = format!("{url}{path}");
        let request = match body {
            None => self.client.get(whole),
            Some(body) => self.client.post(whole).header("content-type", CONTENT_TYPE).body(body.to_string()),
        };
        let request = match &self.authority {
            Authority::None => request,
            Authority::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
            Authority::Bearer(token) => request.bearer_auth(token.reveal()),
        };
        let response = request.timeout(ANSWER_TIMEOUT).send().await.map_err(silent)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(silent);
        }
        let told: Json = response.json().await.unwrap_or_default();
        Err(Failed::Refused {
            url: without_user(url),
            status: status.as_u16(),
            error_code: told["error_code"].as_i64().unwrap_or_else(|| status.as_u16().into()),
            message: told["message"].as_str().unwrap_or("no reason").to_owned(),
        })
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// An address as it may be shown.
pub fn without_user(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            parsed.set_username("").ok();
            parsed.set_password(None).ok();
            parsed.to_string().trim_end_matches('/').to_owned()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_safe_to_show() {
        assert_eq!(without_user("http://me:secret@host:8081"), "http://host:8081");
        assert_eq!(without_user("http://host:8081"), "http://host:8081");
    }

    #[tokio::test]
    async fn nobody_there_is_told_with_the_address() {
        let registry = Registry::new(vec!["http://127.0.0.1:1/".to_owned()], Authority::None);
        let failed = registry.get("/subjects").await.unwrap_err();
        assert!(
            failed.to_string().starts_with("the registry at http://127.0.0.1:1 does not answer: "),
            "{failed}"
        );
        let nowhere = Registry::new(Vec::new(), Authority::None);
        assert!(matches!(nowhere.get("/").await, Err(Failed::NoAddress)));
    }
}
