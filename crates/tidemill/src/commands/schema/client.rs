//! A client of a schema registry: ours or Confluent's.

use std::time::Duration;

use base::problem::root;
use cloud::registry::Access;
use registry::Error;
use reqwest::Method;
use serde_json::Value;

use crate::context::Failure;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Registry {
    url: String,
    access: Access,
}

impl Registry {
    pub fn at(url: String, access: Access) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), access }
    }

    pub async fn get(&self, what: &str, path: &[&str], query: &str) -> Result<Value, Failure> {
        self.call(what, Method::GET, path, query, None).await
    }

    pub async fn post(&self, what: &str, path: &[&str], query: &str, body: &Value) -> Result<Value, Failure> {
        self.call(what, Method::POST, path, query, Some(body)).await
    }

    pub async fn put(&self, what: &str, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.call(what, Method::PUT, path, "", Some(body)).await
    }

    pub async fn delete(&self, what: &str, path: &[&str], query: &str) -> Result<Value, Failure> {
        self.call(what, Method::DELETE, path, query, None).await
    }

    /// `what` finishes the sentence "the registry refused to …".
    async fn call(
        &self,
        what: &str,
        method: Method,
        path: &[&str],
        query: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let unreachable = |reason: String| Error::Unreachable { url: self.url.clone(), reason };
        let mut url = reqwest::Url::parse(&self.url).map_err(|error| unreachable(error.to_string()))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let mut request =
            self.access.signed(self.access.client().request(method, url)).timeout(ANSWER_TIMEOUT);
        request = request.header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(body) = body {
            request = request
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(|error| unreachable(root(&error).to_string()))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| unreachable(root(&error).to_string()))?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if status.is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().map_or_else(|| body.to_string(), without_old_schema);
        let error_code = body["error_code"].as_i64().unwrap_or_default();
        Err(Box::new(Error::Refused { what: what.to_owned(), status: status.as_u16(), error_code, message }))
    }
}

/// An incompatibility's message without the whole earlier schema, which `schema diff` shows better.
fn without_old_schema(message: &str) -> String {
    let cut = message.find(", {oldSchema: '").and_then(|start| {
        let tail = &message[start..];
        let end = tail.rfind("'}, {validateFields").or_else(|| tail.rfind("'}, {compatibility"))?;
        Some((start, start + end + 2))
    });
    match cut {
        Some((start, end)) => format!("{}{}", &message[..start], &message[end..]),
        None => message.to_owned(),
    }
}
