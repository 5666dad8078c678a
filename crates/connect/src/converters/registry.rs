//! Schemas by their id, over a registry's REST API, kept for good: an id never changes its schema.

use std::{collections::HashMap, sync::Arc};

use base::{BoxError, ContractKind, Fault, Secret};
use cloud::registry::{Authority, Failed};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{plan::registry_urls, registered::Reader};
use crate::{Error, config::Config, errors::Reason};

/// Schemas kept at once; beyond it all are asked for again. More than any topic has.
const SCHEMAS_COUNT_MAX: usize = 10_000;

/// A registry's client with what it has read.
pub(crate) struct Registry {
    client: cloud::registry::Registry,
    readers: Mutex<HashMap<(i32, u8), Known>>,
}

/// What is known of an id: how to read its records, or why none can be read.
pub(super) type Known = Result<Arc<Reader>, Arc<str>>;

/// The answer of `GET /schemas/ids/ID`; Avro where no type is told.
#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

impl Registry {
    pub fn of(settings: &Config) -> Self {
        let text = |key: &str| settings.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let user_info = text("basic.auth.user.info").or_else(|| text("schema.registry.basic.auth.user.info"));
        let authority = match (text("bearer.auth.token"), user_info.and_then(|info| info.split_once(':'))) {
            (Some(token), _) => Authority::Bearer(Secret::new(token)),
            (None, Some((user, password))) => {
                Authority::Basic { user: user.to_owned(), password: Secret::new(password) }
            }
            (None, None) => Authority::None,
        };
        let client = cloud::registry::Registry::new(registry_urls(settings), authority);
        Self { client, readers: Mutex::default() }
    }

    /// How to read records of schema `id`. `Fault` where the registry cannot be asked; the inner error is the record's.
    pub(super) fn reader(&self, id: i32, kind: ContractKind) -> Result<Known, Fault> {
        if let Some(known) = self.readers.lock().get(&(id, kind_number(kind))) {
            return Ok(known.clone());
        }
        // Stages run on threads that may block.
        let answer = tokio::runtime::Handle::current().block_on(self.fetch(id))?;
        let known = answer.and_then(|answer| read(&answer, id, kind)).map_err(Arc::from);
        let mut readers = self.readers.lock();
        if readers.len() >= SCHEMAS_COUNT_MAX {
            readers.clear();
        }
        // A schema that is missing may be registered in a moment: only what is there is kept.
        if known.is_ok() {
            readers.insert((id, kind_number(kind)), known.clone());
        }
        Ok(known)
    }

    async fn fetch(&self, id: i32) -> Result<Result<Answer, String>, Fault> {
        let failed = |url: &str, reason: String| -> BoxError {
            Box::new(Error::Registry { url: url.to_owned(), id, source: Reason(reason) })
        };
        match self.client.get(&format!("/schemas/ids/{id}")).await {
            Ok(answer) => {
                let read = Answer::deserialize(answer);
                read.map(Ok).map_err(|error| Fault::Transient(failed("the registry", error.to_string())))
            }
            Err(Failed::NoAddress) => Err(Fault::Fatal("no schema.registry.url is set".into())),
            Err(Failed::Silent { url, reason }) => Err(Fault::Transient(failed(&url, reason))),
            Err(Failed::Refused { url, status: 404, .. }) => {
                Ok(Err(format!("schema {id} is not in the registry at {url}")))
            }
            Err(Failed::Refused { url, status: status @ (401 | 403), .. }) => {
                let reason = format!("it answered {status}: mend basic.auth.user.info");
                Err(Fault::Denied(failed(&url, reason)))
            }
            Err(Failed::Refused { url, status, .. }) => {
                Err(Fault::Transient(failed(&url, format!("it answered {status}"))))
            }
        }
    }
}

fn kind_number(kind: ContractKind) -> u8 {
    match kind {
        ContractKind::Avro => 0,
        ContractKind::JsonSchema => 1,
        ContractKind::Protobuf => 2,
    }
}

fn read(answer: &Answer, id: i32, kind: ContractKind) -> Result<Arc<Reader>, String> {
    let found = match answer.schema_type.as_deref().unwrap_or("AVRO") {
        "AVRO" => ContractKind::Avro,
        "JSON" => ContractKind::JsonSchema,
        _ => ContractKind::Protobuf,
    };
    if found != kind {
        let (found, kind) = (contracts::kind_name(found), contracts::kind_name(kind));
        return Err(format!("schema {id} is {found}, and the converter reads {kind}"));
    }
    Reader::new(kind, id, &answer.schema).map(Arc::new)
}
