//! A client of a schema registry: ours or Confluent's.

use std::time::Duration;

use cloud::registry::Access;
use registry::Error;
use reqwest::Method;
use serde_json::Value;

use crate::{commands::part::Part, context::Failure};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) struct Registry {
    part: Part,
    access: Access,
}

impl Registry {
    pub fn at(url: &str, access: Access) -> Self {
        Self { part: Part::at("the registry", url, ANSWER_TIMEOUT), access }
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
        let unreachable = |reason| Error::Unreachable { url: self.part.url(), reason };
        let mut url = self.part.below(path.iter().copied()).map_err(unreachable)?;
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let mut request = self.access.signed(self.access.client().request(method, url));
        request = request.header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        if let Some(body) = body {
            request = request
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        let (status, body) = self.part.answer(request).await.map_err(unreachable)?;
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
