//! What the running parts say: topics of the broker, schemas of the registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base::ContractKind;
use cloud::registry::{Failed, Registry};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

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
pub(super) async fn topics(config: ClientConfig) -> Result<BTreeMap<String, usize>, String> {
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let metadata = consumer.fetch_metadata(None, ANSWER_TIMEOUT).map_err(|error| error.to_string())?;
        let topics = metadata.topics().iter().filter(|topic| topic.error().is_none());
        Ok(topics.map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    });
    asked.await.map_err(|error| error.to_string())?
}

/// The latest version of each subject that has one.
pub(super) async fn all_registered(
    registry: &Registry,
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
async fn registered(registry: &Registry, subject: &str) -> Result<Option<Registered>, String> {
    let path = format!("/subjects/{}/versions/latest", cloud::http::segment(subject));
    let body = match registry.get(&path).await {
        Ok(body) => body,
        Err(Failed::Refused { status: 404, .. }) => return Ok(None),
        Err(Failed::Refused { status, .. }) => return Err(format!("HTTP {status}")),
        Err(Failed::Silent { reason, .. } | Failed::Untrusted { reason, .. }) => return Err(reason),
        Err(failed @ Failed::NoAddress) => return Err(failed.to_string()),
    };
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
