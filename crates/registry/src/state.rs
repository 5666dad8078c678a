//! What the topic says: subjects, versions, ids, settings and modes. It changes only by `apply`, in the topic's order, so a
//! restart reads back the same; requests ask it and make entries from it.
//!
//! `state/find.rs` answers what there is, `state/register.rs` takes schemas in, `state/tags.rs` tags them, `state/delete.rs`
//! takes them out, `state/settings.rs` has levels and modes, `state/associations.rs` the topics that subjects belong to.

mod associations;
mod delete;
mod find;
mod register;
mod settings;
mod tags;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base::ContractKind;
use bytes::Bytes;
use md5::{Digest, Md5};
use serde::Serialize;

use crate::{
    Error,
    entities::{Association, Config, Metadata, Reference, RuleSet},
    names::{DEFAULT_CONTEXT, context_of},
    records::{AssociationKey, Entry, SchemaValue, type_name, type_of},
};

pub(crate) use associations::{Associated, Filter, Operation, Request, Wish};
pub(crate) use register::{Asked, Registered};
pub(crate) use settings::Mode;
pub(crate) use tags::{Retagged, Tags};

/// By what settings are kept: a subject, a context's `:.name:`, or `None` for everything.
type Scope = Option<String>;

#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    subjects: BTreeMap<String, BTreeMap<i32, Version>>,
    contexts: BTreeMap<String, Ids>,
    configs: BTreeMap<Scope, Config>,
    modes: BTreeMap<Scope, Mode>,
    associations: BTreeMap<AssociationKey, Association>,
}

/// The ids of one context.
#[derive(Debug, Clone, Default)]
struct Ids {
    by_id: HashMap<i32, Held>,
    by_content: HashMap<Arc<Content>, i32>,
    by_guid: HashMap<String, i32>,
    id_max: i32,
}

/// What an id stands for.
#[derive(Debug, Clone)]
struct Held {
    content: Arc<Content>,
    versions_count: usize,
    /// The answer to `GET /schemas/ids/{id}`, which is asked more than all else.
    answer: Bytes,
}

/// What makes two schemas the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) kind: ContractKind,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) rule_set: Option<RuleSet>,
}

#[derive(Debug, Clone)]
struct Version {
    id: i32,
    content: Arc<Content>,
    deleted: bool,
}

/// A version as the API shows it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    pub(crate) content: Arc<Content>,
}

/// `latest` (and -1), or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Latest,
    Number(i32),
}

impl Wanted {
    pub(crate) fn parse(text: &str) -> Result<Wanted, Error> {
        match text.parse::<i32>() {
            _ if text == "latest" => Ok(Wanted::Latest),
            Ok(-1) => Ok(Wanted::Latest),
            Ok(number) if number >= 1 => Ok(Wanted::Number(number)),
            _ => Err(Error::InvalidVersion { version: text.to_owned() }),
        }
    }
}

/// A content as the API shows it; `schemaType` is left out for Avro.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    guid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_type: Option<&'a str>,
    schema: &'a str,
    #[serde(skip_serializing_if = "<[Reference]>::is_empty")]
    references: &'a [Reference],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: &'a Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: &'a Option<RuleSet>,
}

impl Content {
    /// Its members as JSON, with another text where one is given.
    pub(crate) fn shown(&self, text: Option<&str>) -> serde_json::Map<String, serde_json::Value> {
        let shown = Shown {
            guid: self.guid(),
            schema_type: (self.kind != ContractKind::Avro).then(|| type_name(self.kind)),
            schema: text.unwrap_or(&self.text),
            references: &self.references,
            metadata: &self.metadata,
            rule_set: &self.rule_set,
        };
        match serde_json::to_value(shown) {
            Ok(serde_json::Value::Object(members)) => members,
            _ => serde_json::Map::new(),
        }
    }

    /// A name for it that is the same in every context and registry: a digest, written as a UUID.
    pub(crate) fn guid(&self) -> String {
        let mut digest = Md5::new();
        digest.update(&self.text);
        let more = (&self.references, &self.metadata, &self.rule_set);
        if more != (&Vec::new(), &None, &None) {
            digest.update(serde_json::to_vec(&more).unwrap_or_default());
        }
        as_uuid(digest)
    }

    fn of(value: &SchemaValue) -> Option<Content> {
        let kind = type_of(value.schema_type.as_deref())?;
        let text = value.schema.clone();
        let references = value.references.clone().unwrap_or_default();
        Some(Content {
            kind,
            text,
            references,
            metadata: value.metadata.clone(),
            rule_set: value.rule_set.clone(),
        })
    }
}

/// A digest, written as a UUID.
fn as_uuid(digest: Md5) -> String {
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

impl Found {
    /// The record that says of this version what it says already, but for whether it is deleted.
    fn value(&self, deleted: bool) -> SchemaValue {
        let Content { kind, text, references, metadata, rule_set } = (*self.content).clone();
        SchemaValue {
            subject: self.subject.clone(),
            version: self.version,
            id: self.id,
            schema_type: (kind != ContractKind::Avro).then(|| type_name(kind).to_owned()),
            references: (!references.is_empty()).then_some(references),
            metadata,
            rule_set,
            schema: text,
            deleted,
        }
    }
}

impl State {
    /// Takes one record of the topic.
    pub(crate) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Schema(value) => self.put(&value),
            Entry::SchemaGone { subject, version } => self.drop_version(&subject, version),
            Entry::SubjectDeleted { subject, version } => {
                let versions = self.subjects.get_mut(&subject).into_iter().flatten();
                versions
                    .filter(|(number, _)| **number <= version)
                    .for_each(|(_, version)| version.deleted = true);
            }
            Entry::SubjectCleared { subject } => {
                for version in
                    self.subjects.get(&subject).into_iter().flatten().map(|(v, _)| *v).collect::<Vec<_>>()
                {
                    self.drop_version(&subject, version);
                }
            }
            Entry::Context { name } => drop(self.contexts.entry(name).or_default()),
            // One that has subjects is there whatever this says.
            Entry::ContextGone { name } => {
                if self.subjects.keys().all(|subject| context_of(subject) != name) {
                    self.contexts.remove(&name);
                }
            }
            Entry::Config { subject, config } => match config {
                Some(config) => drop(self.configs.insert(subject, *config)),
                None => drop(self.configs.remove(&subject)),
            },
            Entry::Mode { subject, mode } => match mode.and_then(|mode| Mode::parse(&mode).ok()) {
                Some(mode) => drop(self.modes.insert(subject, mode)),
                None => drop(self.modes.remove(&subject)),
            },
            Entry::Association(association) => {
                drop(self.associations.insert(AssociationKey::of(&association), *association));
            }
            Entry::AssociationGone(key) => self.drop_association(&key),
            Entry::Noop => {}
        }
    }

    fn put(&mut self, value: &SchemaValue) {
        let Some(content) = Content::of(value) else { return };
        self.drop_version(&value.subject, value.version);
        let ids = self.contexts.entry(context_of(&value.subject).to_owned()).or_default();
        ids.id_max = ids.id_max.max(value.id);
        let content = Arc::new(content);
        let held = ids.by_id.entry(value.id).or_insert_with(|| {
            let answer = serde_json::Value::Object(content.shown(None)).to_string().into();
            ids.by_guid.insert(content.guid(), value.id);
            Held { content: content.clone(), versions_count: 0, answer }
        });
        held.versions_count += 1;
        // Metadata of a later version with the same id is its own; the text is shared.
        let content = if *held.content == *content { held.content.clone() } else { content };
        ids.by_content.entry(content.clone()).or_insert(value.id);
        let version = Version { id: value.id, content, deleted: value.deleted };
        self.subjects.entry(value.subject.clone()).or_default().insert(value.version, version);
    }

    fn drop_version(&mut self, subject: &str, version: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        let Some(gone) = versions.remove(&version) else { return };
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        let Some(ids) = self.contexts.get_mut(context_of(subject)) else { return };
        if let Some(held) = ids.by_id.get_mut(&gone.id) {
            held.versions_count -= 1;
            if held.versions_count == 0 {
                ids.by_id.remove(&gone.id);
                ids.by_content.retain(|_, id| *id != gone.id);
                ids.by_guid.retain(|_, id| *id != gone.id);
            }
        }
    }

    /// The contexts that have, or had, subjects; the default one comes first.
    pub(crate) fn contexts(&self) -> Vec<&str> {
        let others = self.contexts.keys().map(String::as_str).filter(|name| *name != DEFAULT_CONTEXT);
        [DEFAULT_CONTEXT].into_iter().chain(others).collect()
    }

    fn ids(&self, context: &str) -> Option<&Ids> {
        self.contexts.get(context)
    }
}

#[cfg(test)]
mod tests;
