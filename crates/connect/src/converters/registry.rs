//! Schemas by their id, over a registry's REST API, kept for good: an id never changes its schema.

use std::{collections::HashMap, sync::Arc};

use base::{BoxError, ContractKind, Fault};
use cloud::registry::{Authority, Failed, Schema};
use contracts::protobuf::Mapping;
use parking_lot::Mutex;

use super::{plan::registry_urls, registered::Reader};
use crate::{Error, config::Config, errors::Reason};

/// Schemas kept at once; beyond it all are asked for again. More than any topic has.
const SCHEMAS_COUNT_MAX: usize = 10_000;

/// A registry's client with what it has read.
pub(crate) struct Registry {
    client: cloud::registry::Registry,
    mapping: Mapping,
    readers: Mutex<HashMap<(i32, u8), Known>>,
}

/// What is known of an id: how to read its records, or why none can be read.
pub(super) type Known = Result<Arc<Reader>, Arc<str>>;

impl Registry {
    pub fn of(settings: &Config) -> Self {
        let given = settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let authority = Authority::of(&given);
        let client = cloud::registry::Registry::new(registry_urls(settings), authority);
        Self { client, mapping: mapping(settings), readers: Mutex::default() }
    }

    /// How to read records of schema `id`. `Fault` where the registry cannot be asked; the inner error is the record's.
    pub(super) fn reader(&self, id: i32, kind: ContractKind) -> Result<Known, Fault> {
        if let Some(known) = self.readers.lock().get(&(id, kind_number(kind))) {
            return Ok(known.clone());
        }
        // Stages run on threads that may block.
        let answer = tokio::runtime::Handle::current().block_on(self.fetch(id))?;
        let known = answer.and_then(|schema| read(schema, id, kind, self.mapping)).map_err(Arc::from);
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

    async fn fetch(&self, id: i32) -> Result<Result<Schema, String>, Fault> {
        let failed = |url: &str, reason: String| -> BoxError {
            Box::new(Error::Registry { url: url.to_owned(), id, source: Reason(reason) })
        };
        match self.client.schema(id).await {
            Ok(schema) => Ok(Ok(schema)),
            Err(Failed::NoAddress) => Err(Fault::Fatal("no schema.registry.url is set".into())),
            Err(Failed::Silent { url, reason }) => Err(Fault::Transient(failed(&url, reason))),
            Err(Failed::Untrusted { url, reason }) => Err(Fault::Fatal(failed(&url, reason))),
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

/// What `ProtobufConverter` is told of the rows it makes.
fn mapping(settings: &Config) -> Mapping {
    let is = |key: &str, default: bool| {
        settings.get(key).map_or(default, |text| text.trim().eq_ignore_ascii_case("true"))
    };
    Mapping {
        has_unions: !is("flatten.unions", false),
        numbers_unions: is("generate.index.for.unions", true),
        unwraps: is("wrapper.for.nullables", false),
        only_optional_is_null: is("optional.for.nullables", false),
        ..Mapping::CONNECT
    }
}

fn read(schema: Schema, id: i32, kind: ContractKind, mapping: Mapping) -> Result<Arc<Reader>, String> {
    let found = match schema.kind.as_str() {
        "AVRO" => ContractKind::Avro,
        "JSON" => ContractKind::JsonSchema,
        _ => ContractKind::Protobuf,
    };
    if found != kind {
        let (found, kind) = (contracts::kind_name(found), contracts::kind_name(kind));
        return Err(format!("schema {id} is {found}, and the converter reads {kind}"));
    }
    Reader::new(kind, id, schema, mapping).map(Arc::new)
}
