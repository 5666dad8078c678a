//! What a load asks a schema registry: which id has this schema, registering it and what it refers to where that is wanted.

use base::ContractKind;
use cloud::{
    http,
    registry::{Failed, Registry},
};
use serde_json::{Value, json};

use super::failure::LoadError;

/// A schema with those that it refers to.
pub(super) struct Schema<'a> {
    pub(super) kind: ContractKind,
    pub(super) text: &'a str,
    /// Its references' names; each is a subject of that name.
    pub(super) references: Vec<Reference>,
}

/// As the registry's API has it.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) version: i64,
}

impl Schema<'_> {
    fn body(&self) -> Value {
        let mut body = json!({ "schema": self.text });
        match self.kind {
            ContractKind::Avro => {}
            ContractKind::JsonSchema => body["schemaType"] = json!("JSON"),
            ContractKind::Protobuf => body["schemaType"] = json!("PROTOBUF"),
        }
        if !self.references.is_empty() {
            let reference =
                |one: &Reference| json!({ "name": one.name, "subject": one.name, "version": one.version });
            body["references"] = self.references.iter().map(reference).collect();
        }
        body
    }
}

/// The id of a schema under `subject`.
///
/// # Errors
/// `Registry` when it does not answer, `RegistryRefuses` with its words when it does not take the schema.
pub(super) async fn id_of(
    asked: &Registry,
    subject: &str,
    schema: &Schema<'_>,
    may_register: bool,
) -> Result<i32, LoadError> {
    let versions = if may_register { "/versions" } else { "" };
    let answer = ask(asked, subject, versions, schema).await?;
    let id = answer["id"].as_i64().and_then(|id| i32::try_from(id).ok());
    id.ok_or_else(|| refuses(subject, "the answer has no id".to_owned()))
}

/// The version that a schema has under `subject`, registered there where that is wanted.
pub(super) async fn version_of(
    asked: &Registry,
    subject: &str,
    schema: &Schema<'_>,
    may_register: bool,
) -> Result<i64, LoadError> {
    if may_register {
        ask(asked, subject, "/versions", schema).await?;
    }
    let answer = ask(asked, subject, "", schema).await?;
    answer["version"].as_i64().ok_or_else(|| refuses(subject, "the answer has no version".to_owned()))
}

async fn ask(
    registry: &Registry,
    subject: &str,
    versions: &str,
    schema: &Schema<'_>,
) -> Result<Value, LoadError> {
    let path = format!("/subjects/{}{versions}", http::segment(subject));
    registry.post(&path, &schema.body()).await.map_err(|failed| match failed {
        Failed::Refused { status: 401 | 403 | 407, .. } => LoadError::Plan { source: Box::new(failed) },
        Failed::Refused { status: ..500, message, .. } => refuses(subject, message),
        failed => LoadError::Registry { url: registry.address(), source: Box::new(failed) },
    })
}

fn refuses(subject: &str, reason: String) -> LoadError {
    LoadError::RegistryRefuses { subject: subject.to_owned(), reason }
}
