//! What a request asks for: the names in its path, its query, and its body; and what it is answered with.

use axum::{
    extract::{FromRequestParts, Query, RawPathParams},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base::ContractKind;
use bytes::Bytes;
use cloud::answers::Refused;
use contracts::{Entity, Tagged};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use super::CONTENT_TYPE;
use crate::{
    Error,
    entities::Reference,
    journal::Journal,
    names::{DEFAULT_CONTEXT, EVERY_CONTEXT, context_from, normalized, qualified},
    records::type_of,
    state::{Asked, Retagged, State, Tags, Wanted},
};

/// Path and query of a request; a path below `/contexts/{context}` means that context's subjects.
pub(super) struct Ask {
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Ask {
    type Rejection = Answer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Answer> {
        let path = match RawPathParams::from_request_parts(parts, state).await {
            Ok(path) => path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            Err(_) => Vec::new(),
        };
        let refused =
            |error: axum::extract::rejection::QueryRejection| Error::Body { reason: error.to_string() };
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(refused);
        let Query(query) = query.map_err(|error| Answer(Err(error)))?;
        Ok(Self { path, query })
    }
}

impl Ask {
    fn named(&self, name: &str) -> Option<&str> {
        self.path.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may come several times.
    pub(super) fn params(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether a query's switch is on: `deleted=true`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn context(&self) -> String {
        self.named("context").map_or_else(|| DEFAULT_CONTEXT.to_owned(), context_from)
    }

    fn within_context(&self, subject: &str) -> String {
        match subject.starts_with(":.") {
            true => normalized(subject),
            false => qualified(&self.context(), subject),
        }
    }

    /// The subject of the path; where its settings have an alias, the one that it stands for.
    pub(super) fn subject(&self, journal: &Journal) -> String {
        let subject = self.within_context(self.named("subject").unwrap_or_default());
        journal.read(|state| state.aliased(subject))
    }

    /// The subject that a query names to say in which context an id is meant; may be a context alone.
    pub(super) fn subject_param(&self, state: &State) -> String {
        state.aliased(self.within_context(self.param("subject").unwrap_or_default()))
    }

    /// What settings are asked for: a subject, a context, or everything. Its alias is one of them, and not followed.
    pub(super) fn scope(&self) -> Option<String> {
        let subject = self.within_context(self.named("subject").unwrap_or_default());
        Some(subject).filter(|subject| !subject.is_empty())
    }

    /// The beginning of the subjects that are asked for; of all contexts where nothing is said.
    pub(super) fn prefix(&self) -> String {
        match (self.param("subjectPrefix"), self.named("context")) {
            (Some(prefix), None) => prefix.to_owned(),
            (prefix, Some(_)) => self.within_context(prefix.unwrap_or_default()),
            (None, None) => EVERY_CONTEXT.to_owned(),
        }
    }

    pub(super) fn version(&self) -> Result<Wanted, Error> {
        Wanted::parse(self.named("version").unwrap_or_default())
    }

    pub(super) fn id(&self) -> Result<i32, Error> {
        self.named("id").and_then(|id| id.parse().ok()).ok_or(Error::Http(Refused::Page))
    }

    /// A part of the path by its name; empty where the path has none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.named(name).unwrap_or_default()
    }

    /// The part of a list that `offset` and `limit` ask for; a limit that is out of bounds counts for nothing.
    pub(super) fn page<T>(&self, all: Vec<T>, limit_max: usize) -> impl Iterator<Item = T> {
        let number = |name: &str| self.param(name).and_then(|value| value.parse::<usize>().ok());
        let limit = number("limit").filter(|limit| (1..=limit_max).contains(limit)).unwrap_or(limit_max);
        all.into_iter().skip(number("offset").unwrap_or(0)).take(limit)
    }
}

/// What every handler gives back.
pub(super) struct Answer(pub(super) Result<Json, Error>);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(body) => text(body.to_string()),
            Err(error) => {
                let status = StatusCode::from_u16(error.answer().0);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let body = refusal(&error).to_string();
                (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
            }
        }
    }
}

/// Confluent's body of an error.
pub(super) fn refusal(error: &Error) -> Json {
    json!({ "error_code": error.answer().1, "message": error.message() })
}

/// A body that is made already: an answer kept by its id, a schema's own text.
pub(super) fn text(body: impl Into<Bytes>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body.into()).into_response()
}

/// The body as a JSON object, whatever content type it came with, as curl users expect.
pub(super) fn object(body: &Bytes) -> Result<Json, Error> {
    let parsed: Json =
        serde_json::from_slice(body).map_err(|error| Error::Body { reason: error.to_string() })?;
    match parsed.is_object() {
        true => Ok(parsed),
        false => Err(Error::Body { reason: "it is not a JSON object".to_owned() }),
    }
}

/// A member that may be missing or null.
pub(super) fn member<T: DeserializeOwned>(body: &Json, name: &str) -> Result<Option<T>, Error> {
    let value = body.get(name).filter(|value| !value.is_null()).cloned();
    let read = value.map(serde_json::from_value).transpose();
    read.map_err(|error| Error::Body { reason: format!("{name}: {error}") })
}

/// The schema of a request: `{"schema": "...", "schemaType": "JSON", "references": [], "metadata": {}, "ruleSet": {}}`.
pub(super) fn asked(subject: &str, body: &Json) -> Result<Asked, Error> {
    let refuse = |reason: String| Error::Unsupported { subject: subject.to_owned(), reason };
    let name: Option<String> = member(body, "schemaType")?;
    let kind: ContractKind = type_of(name.as_deref())
        .ok_or_else(|| refuse(format!("Invalid schema type {}", name.as_deref().unwrap_or("?"))))?;
    let text: Option<String> = member(body, "schema")?;
    let references: Option<Vec<Reference>> = member(body, "references")?;
    let id: Option<i32> = member(body, "id")?;
    let version: Option<i32> = member(body, "version")?;
    Ok(Asked {
        kind,
        text: text.filter(|text| !text.trim().is_empty()),
        references: references.unwrap_or_default(),
        metadata: member(body, "metadata")?,
        rule_set: member(body, "ruleSet")?,
        id: id.filter(|id| *id > 0),
        version: version.unwrap_or(0),
        tags: Tags {
            add: tagged(body, "schemaTagsToAdd")?,
            remove: tagged(body, "schemaTagsToRemove")?,
            propagate: member(body, "propagateSchemaTags")?.unwrap_or(false),
        },
    })
}

/// Confluent's `SchemaTags`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaTags {
    schema_entity: SchemaEntity,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaEntity {
    entity_path: String,
    entity_type: String,
}

/// A list of tags, and what in the schema has them: `[{"schemaEntity": {"entityPath": …, "entityType": …}, "tags": […]}]`.
pub(super) fn tagged(body: &Json, name: &str) -> Result<Vec<Tagged>, Error> {
    let listed: Option<Vec<SchemaTags>> = member(body, name)?;
    let read = |SchemaTags { schema_entity, tags }| {
        let SchemaEntity { entity_path: path, entity_type } = schema_entity;
        let known = [Entity::Record, Entity::Field].into_iter().find(|one| entity_name(*one) == entity_type);
        let unknown = || Error::Body {
            reason: format!("{name}: an entity is sr_record or sr_field, not {entity_type}"),
        };
        Ok::<_, Error>(Tagged { entity: known.ok_or_else(unknown)?, path, tags })
    };
    listed.unwrap_or_default().into_iter().map(read).collect()
}

pub(super) fn entity_name(entity: Entity) -> &'static str {
    match entity {
        Entity::Record => "sr_record",
        Entity::Field => "sr_field",
    }
}

/// What becomes of a version's tags, metadata and rules: Confluent's `TagSchemaRequest`.
pub(super) fn retagged(body: &Json) -> Result<Retagged, Error> {
    let names: Option<Vec<String>> = member(body, "rulesToRemove")?;
    Ok(Retagged {
        new_version: member(body, "newVersion")?,
        add: tagged(body, "tagsToAdd")?,
        remove: tagged(body, "tagsToRemove")?,
        metadata: member(body, "metadata")?,
        rule_set: member(body, "ruleSet")?,
        rules_to_merge: member(body, "rulesToMerge")?,
        rules_to_remove: names,
    })
}
