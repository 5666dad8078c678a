//! Schemas of the registry: by id, by version, the latest, registered where they are new; and records read and written by them.
//!
//! An id never changes its schema, so what was fetched is kept. What the latest one is, is asked again after a moment.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use base::ContractKind;
use cloud::{
    http::segment,
    registry::{Authority, Failed, Registry},
};
use contracts::{Document, Referenced, Transcoder};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::{Error, Options, formats::Format};

/// Schemas kept at once; beyond it all are asked for again.
const SCHEMAS_COUNT_MAX: usize = 10_000;
/// How long the latest version of a subject is taken for the latest.
const LATEST_FRESH: Duration = Duration::from_secs(1);
/// References of references, and so on; and all of them together.
const REFERENCES_COUNT_MAX: usize = 200;

pub(crate) struct Schemas {
    url: Option<String>,
    registry: OnceLock<Registry>,
    by_id: Mutex<HashMap<i32, Arc<Schema>>>,
    /// By what was asked for: subject and version, subject and id, subject and text.
    registered: Mutex<HashMap<(String, Wanted), (Instant, Registered)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Wanted {
    Latest,
    Version(i32),
    Id(i32),
    Text(String),
}

pub(crate) struct Schema {
    pub id: i32,
    pub format: Format,
    record_name: Option<String>,
    transcoder: Transcoder,
    /// As a look-up sends it.
    body: Json,
}

/// A schema as a version of a subject.
#[derive(Clone)]
pub(crate) struct Registered {
    pub subject: String,
    pub version: i32,
    pub schema: Arc<Schema>,
}

/// How a subject is called where a request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SubjectNames {
    #[default]
    Topic,
    Record,
    TopicRecord,
}

/// Whose schema it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub topic: &'a str,
    pub is_key: bool,
}

impl Side<'_> {
    pub fn word(self) -> &'static str {
        if self.is_key { "key" } else { "value" }
    }
}

impl SubjectNames {
    pub fn of_word(word: &str) -> Option<Self> {
        match word.to_ascii_uppercase().as_str() {
            "TOPIC_NAME" => Some(SubjectNames::Topic),
            "RECORD_NAME" => Some(SubjectNames::Record),
            "TOPIC_RECORD_NAME" => Some(SubjectNames::TopicRecord),
            _ => None,
        }
    }

    /// None where the schema's own name is needed and not known.
    pub fn subject(self, side: Side<'_>, record: Option<&str>) -> Option<String> {
        let Side { topic, .. } = side;
        match self {
            SubjectNames::Topic => Some(format!("{topic}-{}", side.word())),
            SubjectNames::Record => record.map(str::to_owned),
            SubjectNames::TopicRecord => record.map(|record| format!("{topic}-{record}")),
        }
    }
}

impl Schema {
    pub fn record_name(&self) -> Option<&str> {
        self.record_name.as_deref()
    }

    /// The record's bytes with the frame in front.
    pub fn write(&self, json: &Json) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        contracts::frame(self.id, &mut bytes);
        let written = self.transcoder.write(json, &mut bytes);
        written.map_err(|violation| Error::Conversion { reason: violation.to_string() })?;
        Ok(bytes)
    }
}

impl Schemas {
    pub fn new(options: &Options) -> Self {
        Self {
            url: options.registry.clone(),
            registry: OnceLock::new(),
            by_id: Mutex::default(),
            registered: Mutex::default(),
        }
    }

    fn registry(&self) -> &Registry {
        self.registry.get_or_init(|| Registry::new(self.url.iter().cloned().collect(), Authority::None))
    }

    pub async fn by_id(&self, id: i32) -> Result<Arc<Schema>, Error> {
        if let Some(known) = self.by_id.lock().get(&id) {
            return Ok(known.clone());
        }
        let what = || format!("Error when fetching schema by id. schemaId = {id}");
        let found = self.registry().get(&format!("/schemas/ids/{id}")).await;
        let found = found.map_err(|failed| Error::Registry { what: what(), failed })?;
        self.kept(id, &found).await
    }

    /// A record's bytes as JSON; `place` is what an error calls it.
    pub async fn read(&self, bytes: Option<&[u8]>, place: &str) -> Result<Json, Error> {
        let Some(bytes) = bytes else { return Ok(Json::Null) };
        let wrong = |error: contracts::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Error::Serialization { reason: format!("{place}: {error}{}", cause.unwrap_or_default()) }
        };
        let (id, payload) = contracts::unframe(bytes).map_err(wrong)?;
        self.by_id(id).await?.transcoder.read(payload).map_err(wrong)
    }

    /// The version that a schema, known by its id, has in a subject.
    pub async fn of_id(
        &self,
        id: i32,
        side: Side<'_>,
        subject: Option<&str>,
        names: SubjectNames,
    ) -> Result<Registered, Error> {
        let schema = self.by_id(id).await?;
        let subject = subject.map(str::to_owned).or_else(|| names.subject(side, schema.record_name()));
        let subject = subject.ok_or_else(|| no_name(names))?;
        let key = (subject.clone(), Wanted::Id(id));
        if let Some(known) = self.remembered(&key) {
            return Ok(known);
        }
        let what = || format!("Error when fetching schema version. subject = {subject}, schemaId = {id}");
        let found = self.registry().post(&format!("/subjects/{}", segment(&subject)), &schema.body).await;
        let found = found.map_err(|failed| Error::Registry { what: what(), failed })?;
        let version = number(&found, "version");
        Ok(self.remember(key, Registered { subject, version, schema }))
    }

    /// A version of a subject, or its latest one.
    pub async fn of_version(&self, subject: &str, version: Option<i32>) -> Result<Registered, Error> {
        let wanted = version.map_or(Wanted::Latest, Wanted::Version);
        let key = (subject.to_owned(), wanted);
        if let Some(known) = self.remembered(&key) {
            return Ok(known);
        }
        let what = || match version {
            Some(version) => {
                format!("Error when fetching schema by version. subject = {subject}, version = {version}")
            }
            None => format!("Error when fetching latest schema version. subject = {subject}"),
        };
        let name = version.map_or_else(|| "latest".to_owned(), |version| version.to_string());
        let path = format!("/subjects/{}/versions/{name}", segment(subject));
        let found = self.registry().get(&path).await;
        let found = found.map_err(|failed| Error::Registry { what: what(), failed })?;
        let schema = self.kept(number(&found, "id"), &found).await?;
        let version = number(&found, "version");
        Ok(self.remember(key, Registered { subject: subject.to_owned(), version, schema }))
    }

    /// A schema by its text, registered where the subject does not have it.
    pub async fn of_text(
        &self,
        text: &str,
        format: Format,
        side: Side<'_>,
        subject: Option<&str>,
        names: SubjectNames,
    ) -> Result<Registered, Error> {
        let kind = format
            .kind()
            .ok_or_else(|| Error::Body { reason: format!("{} does not support schemas.", format.word()) })?;
        let document = Document::parse(kind, "the schema", text);
        let document = document.map_err(|error| Error::InvalidSchema { reason: error.to_string() })?;
        let record = document.record_name();
        let subject = subject.map(str::to_owned).or_else(|| names.subject(side, record.as_deref()));
        let subject = subject.ok_or_else(|| no_name(names))?;
        let key = (subject.clone(), Wanted::Text(format!("{}{text}", format.word())));
        if let Some(known) = self.remembered(&key) {
            return Ok(known);
        }
        let body = json!({ "schemaType": type_name(kind), "schema": text });
        let path = format!("/subjects/{}", segment(&subject));
        let found = match self.registry().post(&path, &body).await {
            // It is not there yet, or the subject is not.
            Err(Failed::Refused { status: 404, .. }) => {
                let registered = self.registry().post(&format!("{path}/versions"), &body).await;
                match registered {
                    Ok(_) => self.registry().post(&path, &body).await,
                    refused => refused,
                }
            }
            found => found,
        };
        let what =
            || format!("Error when registering schema. format = {}, subject = {subject}", format.word());
        let found = found.map_err(|failed| Error::Registry { what: what(), failed })?;
        let schema = self.kept(number(&found, "id"), &found).await?;
        let version = number(&found, "version");
        Ok(self.remember(key, Registered { subject, version, schema }))
    }

    fn remembered(&self, key: &(String, Wanted)) -> Option<Registered> {
        let registered = self.registered.lock();
        let (since, known) = registered.get(key)?;
        let is_fresh = key.1 != Wanted::Latest || since.elapsed() < LATEST_FRESH;
        is_fresh.then(|| known.clone())
    }

    fn remember(&self, key: (String, Wanted), found: Registered) -> Registered {
        let mut registered = self.registered.lock();
        if registered.len() >= SCHEMAS_COUNT_MAX {
            registered.clear();
        }
        registered.insert(key, (Instant::now(), found.clone()));
        found
    }

    /// The registry's answer as a schema, kept by its id.
    async fn kept(&self, id: i32, found: &Json) -> Result<Arc<Schema>, Error> {
        if let Some(known) = self.by_id.lock().get(&id) {
            return Ok(known.clone());
        }
        let kind = match found["schemaType"].as_str().unwrap_or("AVRO") {
            "AVRO" => ContractKind::Avro,
            "JSON" => ContractKind::JsonSchema,
            _ => ContractKind::Protobuf,
        };
        let text = found["schema"].as_str().unwrap_or_default();
        let references = self.references(&found["references"]).await?;
        let unusable =
            |error: contracts::Error| Error::InvalidSchema { reason: format!("schema {id}: {error}") };
        let document =
            Document::parse_with(kind, &format!("schema {id}"), text, &references).map_err(unusable)?;
        let mut body = json!({ "schemaType": type_name(kind), "schema": text });
        if found["references"].is_array() {
            body["references"] = found["references"].clone();
        }
        let schema = Arc::new(Schema {
            id,
            format: Format::of_kind(kind),
            record_name: document.record_name(),
            transcoder: Transcoder::of(&document).map_err(unusable)?,
            body,
        });
        let mut by_id = self.by_id.lock();
        if by_id.len() >= SCHEMAS_COUNT_MAX {
            by_id.clear();
        }
        by_id.insert(id, schema.clone());
        Ok(schema)
    }

    /// What a schema refers to, each after those that it needs itself.
    async fn references(&self, asked: &Json) -> Result<Vec<Referenced>, Error> {
        enum Step {
            Fetch(Json),
            Take(Referenced),
        }
        let mut found: Vec<Referenced> = Vec::new();
        let mut fetched_count = 0;
        let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
        let mut steps: Vec<Step> = list(asked).into_iter().rev().map(Step::Fetch).collect();
        while let Some(step) = steps.pop() {
            let reference = match step {
                Step::Take(referenced) => {
                    if !found.iter().any(|known| known.name == referenced.name) {
                        found.push(referenced);
                    }
                    continue;
                }
                Step::Fetch(reference) => reference,
            };
            let name = reference["name"].as_str().unwrap_or_default().to_owned();
            if found.iter().any(|known| known.name == name) {
                continue;
            }
            fetched_count += 1;
            if fetched_count > REFERENCES_COUNT_MAX {
                let reason = format!("more than {REFERENCES_COUNT_MAX} references");
                return Err(Error::InvalidSchema { reason });
            }
            let (subject, version) =
                (reference["subject"].as_str().unwrap_or_default(), number(&reference, "version"));
            let path = format!("/subjects/{}/versions/{version}?deleted=true", segment(subject));
            let answer = self.registry().get(&path).await.map_err(|failed| Error::Registry {
                what: format!("Error when fetching a reference. subject = {subject}, version = {version}"),
                failed,
            })?;
            let text = answer["schema"].as_str().unwrap_or_default().to_owned();
            steps.push(Step::Take(Referenced { name, text }));
            steps.extend(list(&answer["references"]).into_iter().rev().map(Step::Fetch));
        }
        Ok(found)
    }
}

fn no_name(names: SubjectNames) -> Error {
    let name = match names {
        SubjectNames::Topic => "TOPIC_NAME",
        SubjectNames::Record => "RECORD_NAME",
        SubjectNames::TopicRecord => "TOPIC_RECORD_NAME",
    };
    let reason = format!(
        "Cannot use subject_name_strategy={name} without schema_id or schema, or without a name in it."
    );
    Error::Body { reason }
}

fn type_name(kind: ContractKind) -> &'static str {
    match kind {
        ContractKind::Avro => "AVRO",
        ContractKind::JsonSchema => "JSON",
        ContractKind::Protobuf => "PROTOBUF",
    }
}

fn number(json: &Json, name: &str) -> i32 {
    json[name].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or_default()
}
