//! The one question a load asks a schema registry: which id has this schema, registering it where that is wanted.

use std::time::Duration;

use base::ContractKind;
use serde_json::{Value, json};

use super::failure::LoadError;

const CALL_MS: u64 = 10_000;

/// The id of `text` under `subject`.
///
/// # Errors
/// `Registry` when it does not answer, `RegistryRefuses` with its words when it does not take the schema.
pub(super) async fn id_of(
    url: &str,
    subject: &str,
    kind: ContractKind,
    text: &str,
    may_register: bool,
) -> Result<i32, LoadError> {
    let unreachable =
        |source: reqwest::Error| LoadError::Registry { url: url.to_owned(), source: Box::new(source) };
    let mut body = json!({ "schema": text });
    match kind {
        ContractKind::Avro => {}
        ContractKind::JsonSchema => body["schemaType"] = json!("JSON"),
        ContractKind::Protobuf => body["schemaType"] = json!("PROTOBUF"),
    }
    let versions = if may_register { "/versions" } else { "" };
    let request = cloud::http::client()
        .post(format!("{url}/subjects/{subject}{versions}"))
        .timeout(Duration::from_millis(CALL_MS))
        .header("content-type", "application/vnd.schemaregistry.v1+json")
        .body(body.to_string());
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    match answer["id"].as_i64().and_then(|id| i32::try_from(id).ok()) {
        Some(id) if status.is_success() => Ok(id),
        _ => {
            let reason = answer["message"].as_str().map_or_else(|| format!("HTTP {status}"), str::to_owned);
            Err(LoadError::RegistryRefuses { subject: subject.to_owned(), reason })
        }
    }
}
