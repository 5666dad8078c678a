//! What the running parts say: topics of the broker, schemas of the registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base::ContractKind;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use reqwest::StatusCode;
use serde_json::Value;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The latest version under a subject.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub id: i64,
    pub version: i64,
    pub kind: ContractKind,
    pub text: String,
}

/// Partitions of every topic.
pub(super) async fn topics(
    bootstrap: String,
    properties: BTreeMap<String, String>,
) -> Result<BTreeMap<String, usize>, String> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        for (key, value) in &properties {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &bootstrap).set("client.id", "tidemill-check").set("log_level", "0");
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let metadata = consumer.fetch_metadata(None, ANSWER_TIMEOUT).map_err(|error| error.to_string())?;
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    });
    asked.await.map_err(|error| error.to_string())?
}

/// The latest version of each subject that has one.
pub(super) async fn all_registered(
    registry: &str,
    subjects: &BTreeSet<String>,
) -> Result<BTreeMap<String, Registered>, String> {
    // Asked even where there are no subjects: a registry that does not answer is told.
    registered(registry, "tidemill-check").await?;
    let mut found = BTreeMap::new();
    for subject in subjects {
        if let Some(registered) = registered(registry, subject).await? {
            found.insert(subject.clone(), registered);
        }
    }
    Ok(found)
}

/// `Ok(None)` where nothing is registered under the subject.
async fn registered(registry: &str, subject: &str) -> Result<Option<Registered>, String> {
    let subject: String = subject.bytes().map(path_byte).collect();
    let url = format!("{registry}/subjects/{subject}/versions/latest");
    let response = cloud::http::client().get(url).timeout(ANSWER_TIMEOUT).send().await;
    let response = response.map_err(|error| root_cause(&error))?;
    if response.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !response.status().is_success() {
        return Err(format!("HTTP {}", response.status().as_u16()));
    }
    let body: Value = response.json().await.map_err(|error| root_cause(&error))?;
    let kind = match body["schemaType"].as_str() {
        None | Some("AVRO") => ContractKind::Avro,
        Some("JSON") => ContractKind::JsonSchema,
        Some(_) => ContractKind::Protobuf,
    };
    Ok(Some(Registered {
        id: body["id"].as_i64().unwrap_or(0),
        version: body["version"].as_i64().unwrap_or(0),
        kind,
        text: body["schema"].as_str().unwrap_or("").to_owned(),
    }))
}

fn path_byte(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
