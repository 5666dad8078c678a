//! The REST client: Airflow's paths below `/api/v2`, and its sign-in at `/auth/token`.

use std::time::Duration;

use base::{Secret, code};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::errors::DagError;
use crate::{commands::part::Part, context::Failure};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Waits before a question is asked again whose server failed: an Airflow over SQLite does while its database is locked, and a
/// gateway while the server behind it starts. What changes something is sent once.
const AGAIN_AFTER_MS: [u64; 4] = [250, 500, 1_000, 2_000];
/// Entries asked for at once; Airflow's own bound.
const PAGE_COUNT: usize = 100;
/// Entries of one listing: more than a person reads.
const LISTED_COUNT_MAX: usize = 100_000;

/// How to become somebody there.
pub(super) enum Access {
    Token(Secret),
    Password {
        user: String,
        password: Secret,
    },
    /// Nobody: ours asks for no name, and an Airflow whose users are all admins gives a token to whoever asks.
    Open,
}

pub(super) struct Client {
    part: Part,
    http: reqwest::Client,
    access: Access,
    token: Mutex<Option<Secret>>,
}

impl Client {
    pub(super) fn at(url: &str, access: Access) -> Self {
        let token = match &access {
            Access::Token(token) => Some(token.clone()),
            Access::Password { .. } | Access::Open => None,
        };
        let part = Part::at("the scheduler", url, ANSWER_TIMEOUT);
        Self { part, http: cloud::http::client(), access, token: Mutex::new(token) }
    }

    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        for wait_ms in AGAIN_AFTER_MS {
            match self.call(Method::GET, path, query, None).await {
                Err(failure) if failure.code() == code::TM1044 => {
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                answered => return answered,
            }
        }
        self.call(Method::GET, path, query, None).await
    }

    pub(super) async fn post(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    pub(super) async fn patch(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, &[], Some(body)).await
    }

    /// All pages of a listing.
    pub(super) async fn all(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        key: &str,
    ) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        while all.len() < LISTED_COUNT_MAX {
            let (limit, offset) = (PAGE_COUNT.to_string(), all.len().to_string());
            let mut query = query.to_vec();
            query.extend([("limit", limit.as_str()), ("offset", offset.as_str())]);
            let mut answer = self.get(path, &query).await?;
            let Value::Array(mut page) = answer[key].take() else { break };
            let is_last = page.len() < PAGE_COUNT;
            all.append(&mut page);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn task_instances(&self, dag: &str, run: &str) -> Result<Vec<Value>, Failure> {
        self.all(&["dags", dag, "dagRuns", run, "taskInstances"], &[], "task_instances").await
    }

    /// The id of the run that is meant.
    pub(super) async fn run_or_latest(&self, dag: &str, run: Option<String>) -> Result<String, Failure> {
        if let Some(run) = run {
            return Ok(run);
        }
        let query = [("order_by", "-run_after"), ("limit", "1")];
        let answer = self.get(&["dags", dag, "dagRuns"], &query).await?;
        let id = answer["dag_runs"][0]["dag_run_id"].as_str();
        Ok(id.ok_or_else(|| Box::new(DagError::NoRuns { dag: dag.to_owned() }) as Failure)?.to_owned())
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let path = ["api", "v2"].into_iter().chain(path.iter().copied());
        let mut url = self.below(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut token = self.token.lock().await;
        if token.is_none() && matches!(self.access, Access::Password { .. }) {
            *token = Some(self.sign_in().await?);
        }
        let (mut status, mut answer) =
            self.answer(method.clone(), url.clone(), token.as_ref(), body.as_ref()).await?;
        if status == StatusCode::UNAUTHORIZED && token.is_none() {
            *token = Some(self.sign_in().await?);
            (status, answer) = self.answer(method, url, token.as_ref(), body.as_ref()).await?;
        }
        self.accept(status, answer, token.is_some())
    }

    /// A token for a name and its password, or for anyone where all are admins.
    async fn sign_in(&self) -> Result<Secret, Failure> {
        let url = self.below(["auth", "token"])?;
        let (status, answer) = match &self.access {
            Access::Password { user, password } => {
                let body = json!({"username": user, "password": password.reveal()});
                self.answer(Method::POST, url, None, Some(&body)).await?
            }
            Access::Token(_) | Access::Open => self.answer(Method::GET, url, None, None).await?,
        };
        match answer["access_token"].as_str() {
            Some(token) => Ok(Secret::new(token)),
            None => {
                let reason = reason(status, &answer);
                let has_signed_in = matches!(self.access, Access::Password { .. });
                Err(Box::new(DagError::Denied { url: self.part.url(), reason, has_signed_in }))
            }
        }
    }

    async fn answer(
        &self,
        method: Method,
        url: Url,
        token: Option<&Secret>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Failure> {
        let mut request = self.http.request(method, url);
        request = request.header("accept", "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token.reveal());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.part.answer(request).await.map_err(|reason| self.unreachable(reason))
    }

    fn accept(&self, status: StatusCode, answer: Value, has_signed_in: bool) -> Result<Value, Failure> {
        if status.is_success() {
            return Ok(answer);
        }
        let (url, reason) = (self.part.url(), reason(status, &answer));
        Err(Box::new(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                DagError::Denied { url, reason, has_signed_in }
            }
            StatusCode::NOT_FOUND => DagError::Missing { reason },
            status if status.is_server_error() => DagError::Failed { url, reason },
            _ => DagError::Refused { reason },
        }))
    }

    fn below<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Result<Url, Failure> {
        self.part.below(path).map_err(|reason| self.unreachable(reason))
    }

    fn unreachable(&self, reason: String) -> Failure {
        Box::new(DagError::Unreachable { url: self.part.url(), source: reason.into() })
    }
}

/// What FastAPI says: `{"detail": "…"}`, or a list of fields and what is wrong with each.
fn reason(status: StatusCode, answer: &Value) -> String {
    let field = |one: &Value| {
        let place = one["loc"].as_array().and_then(|place| place.last()).and_then(Value::as_str);
        format!("{}: {}", place.unwrap_or("the request"), one["msg"].as_str().unwrap_or("not valid"))
    };
    match &answer["detail"] {
        Value::String(text) => text.clone(),
        // The database's word for it.
        Value::Object(detail)
            if detail.get("reason").is_some_and(|reason| reason == "Unique constraint violation") =>
        {
            "a run with this id or this logical date is there already".to_owned()
        }
        Value::Array(fields) => fields.iter().map(field).collect::<Vec<_>>().join("; "),
        Value::Object(detail) => detail
            .get("reason")
            .or_else(|| detail.get("message"))
            .and_then(Value::as_str)
            .map_or_else(|| Value::Object(detail.clone()).to_string(), str::to_owned),
        _ => format!("HTTP {status}"),
    }
}
