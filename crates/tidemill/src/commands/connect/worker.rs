//! A client of a Connect worker: ours or a real one.

use std::time::{Duration, Instant};

use connect::{Error, Reason};
use serde_json::Value;

use super::files::Config;
use crate::{commands::part::Part, context::Failure};

/// A worker that rebalances answers 409; so long it is asked again.
const REBALANCE_MS_MAX: u64 = 30_000;
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// How long a connector that was just applied may take until its tasks run.
const SETTLE_MS_MAX: u64 = 20_000;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(100);

pub(super) struct Worker {
    part: Part,
    client: reqwest::Client,
}

impl Worker {
    pub fn at(url: &str) -> Self {
        let part = Part::at("the Connect worker", url, ANSWER_TIMEOUT);
        Self { part, client: cloud::http::client() }
    }

    pub async fn get(&self, path: &[&str], query: &str) -> Result<Value, Failure> {
        self.call(reqwest::Method::GET, path, query, None).await
    }

    pub async fn put(&self, path: &[&str], body: Option<Value>) -> Result<Value, Failure> {
        self.call(reqwest::Method::PUT, path, "", body).await
    }

    pub async fn patch(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        self.call(reqwest::Method::PATCH, path, "", Some(body)).await
    }

    pub async fn post(&self, path: &[&str], query: &str, body: Option<Value>) -> Result<Value, Failure> {
        self.call(reqwest::Method::POST, path, query, body).await
    }

    pub async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.call(reqwest::Method::DELETE, path, "", None).await
    }

    /// A connector's configuration; `None` where there is no such connector.
    pub async fn config(&self, name: &str) -> Result<Option<Config>, Failure> {
        match self.answer(reqwest::Method::GET, &["connectors", name, "config"], "", None).await? {
            (404, _) => Ok(None),
            (status, body) => {
                let body = self.accept(status, body)?;
                let pairs = body.as_object().cloned().unwrap_or_default();
                let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Ok(Some(pairs.into_iter().map(|(key, value)| (key, text(value))).collect()))
            }
        }
    }

    /// Waits until a connector and its tasks run, or are paused or stopped.
    pub async fn settled(&self, name: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_millis(SETTLE_MS_MAX);
        loop {
            let status = self.get(&["connectors", name, "status"], "").await;
            let unsettled = match &status {
                Ok(status) => {
                    self.refuse_failed(name, status)?;
                    let states = states(status);
                    states.iter().any(|state| !matches!(state.as_str(), "RUNNING" | "PAUSED" | "STOPPED"))
                        || (states.len() < 2 && states[0] != "STOPPED")
                }
                // A real worker needs a moment until it knows a state.
                Err(_) => true,
            };
            if !unsettled {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return status.map(|_| ());
            }
            tokio::time::sleep(RETRY_WAIT / 5).await;
        }
    }

    /// The failure of a connector or of one of its tasks, as an error.
    pub fn refuse_failed(&self, name: &str, status: &Value) -> Result<(), Failure> {
        let tasks = status["tasks"].as_array().into_iter().flatten();
        let failed =
            std::iter::once(&status["connector"]).chain(tasks).find(|part| part["state"] == "FAILED");
        let Some(failed) = failed else { return Ok(()) };
        let trace = failed["trace"].as_str().unwrap_or("no reason is told").trim().to_owned();
        Err(Box::new(Error::ConnectorFailed { name: name.to_owned(), source: Reason(trace) }))
    }

    async fn call(
        &self,
        method: reqwest::Method,
        path: &[&str],
        query: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let deadline = Instant::now() + Duration::from_millis(REBALANCE_MS_MAX);
        loop {
            let (status, answer) = self.answer(method.clone(), path, query, body.as_ref()).await?;
            let rebalances =
                status == 409 && answer["message"].as_str().is_some_and(|text| text.contains("rebalance"));
            if rebalances && Instant::now() < deadline {
                tokio::time::sleep(RETRY_WAIT).await;
                continue;
            }
            return self.accept(status, answer);
        }
    }

    async fn answer(
        &self,
        method: reqwest::Method,
        path: &[&str],
        query: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Failure> {
        let unreachable = |reason| {
            Box::new(Error::WorkerUnreachable { url: self.part.url(), source: Reason(reason) }) as Failure
        };
        let mut url = self.part.below(path.iter().copied()).map_err(unreachable)?;
        url.set_query(query.strip_prefix('?'));
        let request = self.client.request(method, url);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let (status, body) = self.part.answer(request).await.map_err(unreachable)?;
        Ok((status.as_u16(), body))
    }

    fn accept(&self, status: u16, body: Value) -> Result<Value, Failure> {
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let message = body["message"].as_str().or(body.as_str()).unwrap_or_default();
        let message = if message.is_empty() { format!("HTTP {status}") } else { message.to_owned() };
        if status == 404 {
            return Err(Box::new(Error::NotFound { what: message }));
        }
        Err(Box::new(Error::WorkerRefused { url: self.part.url(), status, message }))
    }
}

/// The states of a connector and its tasks, the connector's first.
fn states(status: &Value) -> Vec<String> {
    let tasks = status["tasks"].as_array().into_iter().flatten();
    let all = std::iter::once(&status["connector"]).chain(tasks);
    all.map(|part| part["state"].as_str().unwrap_or("-").to_owned()).collect()
}
