//! The records of the `_schemas` topic, in Confluent's format: JSON keys with a `keytype`, JSON values.
//!
//! Source: Confluent Schema Registry, storage package (`SchemaKey`, `SchemaValue`, `ConfigKey`, `ModeKey`, `ContextKey`,
//! `DeleteSubjectKey`, `ClearSubjectKey`, `AssociationKey`, `NoopKey`). Members that we do not know are kept out of our way, not an error.

use base::ContractKind;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::entities::{Association, Config, Lifecycle, Metadata, Reference, RuleSet};

/// The one that a registry has where it does not share its topic among several.
const TENANT: &str = "default";

/// What one record of the topic says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Schema(Box<SchemaValue>),
    /// A permanent delete of one version.
    SchemaGone {
        subject: String,
        version: i32,
    },
    /// A soft delete of all versions up to this one.
    SubjectDeleted {
        subject: String,
        version: i32,
    },
    SubjectCleared {
        subject: String,
    },
    /// A context that has, or had, subjects.
    Context {
        name: String,
    },
    ContextGone {
        name: String,
    },
    /// `None` removes the settings; a subject of `None` is the global one.
    Config {
        subject: Option<String>,
        config: Option<Box<Config>>,
    },
    Mode {
        subject: Option<String>,
        mode: Option<String>,
    },
    Association(Box<Association>),
    AssociationGone(Box<AssociationKey>),
    Noop,
}

/// What an association is known by, in the order in which Confluent sorts them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AssociationKey {
    pub(crate) resource_name: String,
    pub(crate) resource_namespace: String,
    pub(crate) resource_type: String,
    pub(crate) association_type: String,
    /// Its first writers left it out.
    #[serde(default)]
    pub(crate) subject: Option<String>,
}

impl AssociationKey {
    pub(crate) fn of(association: &Association) -> Self {
        let Association {
            resource_name, resource_namespace, resource_type, association_type, subject, ..
        } = association.clone();
        Self { resource_name, resource_namespace, resource_type, association_type, subject: Some(subject) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenAssociationKey<'a> {
    keytype: &'a str,
    tenant: &'a str,
    resource_name: &'a str,
    resource_namespace: &'a str,
    resource_type: &'a str,
    association_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    magic: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationValue<'a> {
    subject: &'a str,
    guid: &'a str,
    tenant: &'a str,
    resource_name: &'a str,
    resource_namespace: &'a str,
    resource_id: &'a str,
    resource_type: &'a str,
    association_type: &'a str,
    lifecycle: Lifecycle,
    frozen: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaValue {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    /// Left out for Avro.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) references: Option<Vec<Reference>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Metadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule_set: Option<RuleSet>,
    pub(crate) schema: String,
    #[serde(default)]
    pub(crate) deleted: bool,
}

#[derive(Serialize)]
struct Key<'a> {
    keytype: &'a str,
    /// Missing in `NOOP`, null for the global config and mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    magic: i32,
}

#[derive(Serialize)]
struct ConfigValue<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(flatten)]
    config: &'a Config,
}

#[derive(Serialize)]
struct ModeValue<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    mode: &'a str,
}

#[derive(Serialize, Deserialize)]
struct SubjectValue {
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
}

#[derive(Serialize)]
struct ContextValue<'a> {
    tenant: &'a str,
    context: &'a str,
}

/// Confluent's word for a kind; Avro is the one that is not written.
pub(crate) fn type_name(kind: ContractKind) -> &'static str {
    match kind {
        ContractKind::Avro => "AVRO",
        ContractKind::JsonSchema => "JSON",
        ContractKind::Protobuf => "PROTOBUF",
    }
}

pub(crate) fn type_of(name: Option<&str>) -> Option<ContractKind> {
    match name {
        None | Some("AVRO") => Some(ContractKind::Avro),
        Some("JSON") => Some(ContractKind::JsonSchema),
        Some("PROTOBUF") => Some(ContractKind::Protobuf),
        Some(_) => None,
    }
}

impl Entry {
    /// Reads a record; `None` for one that is not of this format (it is passed over, and a warning says so).
    pub(crate) fn read(key: &[u8], value: Option<&[u8]>) -> Option<Entry> {
        let key: Json = serde_json::from_slice(key).ok()?;
        let text = |name: &str| key.get(name).and_then(Json::as_str).map(str::to_owned);
        let subject = text("subject");
        Some(match key.get("keytype")?.as_str()? {
            "SCHEMA" => match value {
                Some(value) => Entry::Schema(serde_json::from_slice(value).ok()?),
                None => {
                    let version = i32::try_from(key.get("version")?.as_i64()?).ok()?;
                    Entry::SchemaGone { subject: subject?, version }
                }
            },
            "DELETE_SUBJECT" => match value {
                Some(value) => {
                    let value: SubjectValue = serde_json::from_slice(value).ok()?;
                    Entry::SubjectDeleted { subject: value.subject, version: value.version? }
                }
                None => Entry::Noop,
            },
            "CLEAR_SUBJECT" => match value {
                Some(_) => Entry::SubjectCleared { subject: subject? },
                None => Entry::Noop,
            },
            "CONTEXT" => match value {
                Some(_) => Entry::Context { name: text("context")? },
                None => Entry::ContextGone { name: text("context")? },
            },
            "CONFIG" => {
                let config = value.map(serde_json::from_slice).transpose().ok()?;
                Entry::Config { subject, config: config.map(Box::new) }
            }
            "MODE" => {
                let value: Option<Json> = value.and_then(|value| serde_json::from_slice(value).ok());
                let mode = value.as_ref().and_then(|value| value.get("mode")?.as_str());
                Entry::Mode { subject, mode: mode.map(str::to_owned) }
            }
            "ASSOC" => match value {
                Some(value) => Entry::Association(serde_json::from_slice(value).ok()?),
                None => Entry::AssociationGone(serde_json::from_value(key.clone()).ok()?),
            },
            "NOOP" => Entry::Noop,
            _ => return None,
        })
    }

    /// The record's key and value; no value is a tombstone.
    pub(crate) fn write(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let key = |keytype: &str, subject: Option<Option<&str>>, version, magic| {
            json(&Key { keytype, subject, version, tenant: None, context: None, magic })
        };
        let of = |keytype: &str, subject: &str| key(keytype, Some(Some(subject)), None, 0);
        match self {
            Entry::Schema(value) => {
                (key("SCHEMA", Some(Some(&value.subject)), Some(value.version), 1), Some(json(value)))
            }
            Entry::SchemaGone { subject, version } => {
                (key("SCHEMA", Some(Some(subject)), Some(*version), 1), None)
            }
            Entry::SubjectDeleted { subject, version } => {
                let value = SubjectValue { subject: subject.clone(), version: Some(*version) };
                (of("DELETE_SUBJECT", subject), Some(json(&value)))
            }
            Entry::SubjectCleared { subject } => {
                let value = SubjectValue { subject: subject.clone(), version: None };
                (of("CLEAR_SUBJECT", subject), Some(json(&value)))
            }
            Entry::Context { name } | Entry::ContextGone { name } => {
                let (tenant, context) = (Some(TENANT), Some(name.as_str()));
                let key = Key { keytype: "CONTEXT", subject: None, version: None, tenant, context, magic: 0 };
                let is_there = matches!(self, Entry::Context { .. });
                (json(&key), is_there.then(|| json(&ContextValue { tenant: TENANT, context: name })))
            }
            Entry::Config { subject, config } => {
                let subject = subject.as_deref();
                let value = config.as_ref().map(|config| json(&ConfigValue { subject, config }));
                (key("CONFIG", Some(subject), None, 0), value)
            }
            Entry::Mode { subject, mode } => {
                let subject = subject.as_deref();
                let value = mode.as_ref().map(|mode| json(&ModeValue { subject, mode }));
                (key("MODE", Some(subject), None, 0), value)
            }
            Entry::Association(association) => {
                (association_key(&AssociationKey::of(association)), Some(association_value(association)))
            }
            Entry::AssociationGone(key) => (association_key(key), None),
            Entry::Noop => (key("NOOP", None, None, 0), None),
        }
    }
}

fn association_key(key: &AssociationKey) -> Vec<u8> {
    json(&WrittenAssociationKey {
        keytype: "ASSOC",
        tenant: TENANT,
        resource_name: &key.resource_name,
        resource_namespace: &key.resource_namespace,
        resource_type: &key.resource_type,
        association_type: &key.association_type,
        subject: key.subject.as_deref(),
        magic: 0,
    })
}

fn association_value(association: &Association) -> Vec<u8> {
    json(&AssociationValue {
        subject: &association.subject,
        guid: &association.guid,
        tenant: TENANT,
        resource_name: &association.resource_name,
        resource_namespace: &association.resource_namespace,
        resource_id: &association.resource_id,
        resource_type: &association.resource_type,
        association_type: &association.association_type,
        lifecycle: association.lifecycle,
        frozen: association.frozen,
    })
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types always make JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = r#"{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}"#;

    #[track_caller]
    fn check(entry: Entry, key: &str, value: Option<&str>) {
        let (written_key, written_value) = entry.write();
        assert_eq!(String::from_utf8(written_key).unwrap(), key);
        assert_eq!(written_value.map(|value| String::from_utf8(value).unwrap()).as_deref(), value);
        assert_eq!(Entry::read(key.as_bytes(), value.map(str::as_bytes)), Some(entry));
    }

    fn schema() -> SchemaValue {
        SchemaValue {
            subject: "s-value".to_owned(),
            version: 2,
            id: 7,
            schema_type: None,
            references: None,
            metadata: None,
            rule_set: None,
            schema: "\"int\"".to_owned(),
            deleted: false,
        }
    }

    #[test]
    fn records_of_schemas_are_confluents() {
        let schema = schema();
        check(
            Entry::Schema(Box::new(schema.clone())),
            r#"{"keytype":"SCHEMA","subject":"s-value","version":2,"magic":1}"#,
            Some(r#"{"subject":"s-value","version":2,"id":7,"schema":"\"int\"","deleted":false}"#),
        );
        check(
            Entry::Schema(Box::new(SchemaValue {
                schema_type: Some("JSON".to_owned()),
                deleted: true,
                ..schema.clone()
            })),
            r#"{"keytype":"SCHEMA","subject":"s-value","version":2,"magic":1}"#,
            Some(
                r#"{"subject":"s-value","version":2,"id":7,"schemaType":"JSON","schema":"\"int\"","deleted":true}"#,
            ),
        );
        let reference = Reference { name: "a.B".to_owned(), subject: "b".to_owned(), version: 1 };
        let metadata =
            Metadata { properties: [("owner".to_owned(), "me".to_owned())].into(), ..Metadata::default() };
        check(
            Entry::Schema(Box::new(SchemaValue {
                references: Some(vec![reference]),
                metadata: Some(metadata),
                rule_set: Some(RuleSet::default()),
                ..schema
            })),
            r#"{"keytype":"SCHEMA","subject":"s-value","version":2,"magic":1}"#,
            Some(
                r#"{"subject":"s-value","version":2,"id":7,"references":[{"name":"a.B","subject":"b","version":1}],"metadata":{"properties":{"owner":"me"}},"ruleSet":{},"schema":"\"int\"","deleted":false}"#,
            ),
        );
    }

    #[test]
    fn records_are_confluents() {
        let gone = Entry::SchemaGone { subject: "s".to_owned(), version: 1 };
        check(gone, r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#, None);
        check(
            Entry::SubjectDeleted { subject: "s".to_owned(), version: 3 },
            r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","version":3}"#),
        );
        check(Entry::ContextGone { name: ".c".to_owned() }, CONTEXT, None);
        check(
            Entry::Context { name: ".c".to_owned() },
            CONTEXT,
            Some(r#"{"tenant":"default","context":".c"}"#),
        );
        let config = Config {
            compatibility_level: Some("FULL".to_owned()),
            normalize: Some(true),
            ..Config::default()
        };
        check(
            Entry::Config { subject: None, config: Some(Box::new(config.clone())) },
            r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            Some(r#"{"normalize":true,"compatibilityLevel":"FULL"}"#),
        );
        check(
            Entry::Config { subject: Some("s".to_owned()), config: Some(Box::new(config)) },
            r#"{"keytype":"CONFIG","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","normalize":true,"compatibilityLevel":"FULL"}"#),
        );
        check(
            Entry::Mode { subject: Some("s".to_owned()), mode: Some("READONLY".to_owned()) },
            r#"{"keytype":"MODE","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","mode":"READONLY"}"#),
        );
        check(
            Entry::Mode { subject: Some("s".to_owned()), mode: None },
            r#"{"keytype":"MODE","subject":"s","magic":0}"#,
            None,
        );
        check(Entry::Noop, r#"{"keytype":"NOOP","magic":0}"#, None);
    }

    #[test]
    fn records_of_associations_are_confluents() {
        let association = Association {
            subject: "s".to_owned(),
            guid: "g".to_owned(),
            resource_name: "topic".to_owned(),
            resource_namespace: "lkc-1".to_owned(),
            resource_id: "7".to_owned(),
            resource_type: "topic".to_owned(),
            association_type: "value".to_owned(),
            lifecycle: Lifecycle::Strong,
            frozen: false,
        };
        let key = r#"{"keytype":"ASSOC","tenant":"default","resourceName":"topic","resourceNamespace":"lkc-1","resourceType":"topic","associationType":"value","subject":"s","magic":0}"#;
        let gone = AssociationKey::of(&association);
        check(
            Entry::Association(Box::new(association)),
            key,
            Some(
                r#"{"subject":"s","guid":"g","tenant":"default","resourceName":"topic","resourceNamespace":"lkc-1","resourceId":"7","resourceType":"topic","associationType":"value","lifecycle":"STRONG","frozen":false}"#,
            ),
        );
        check(Entry::AssociationGone(Box::new(gone)), key, None);
    }

    /// In the order and with the spaces that Karapace writes, and as a Confluent registry of version 7 does.
    #[test]
    fn others_records_are_read() {
        let key = br#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#;
        let karapace = br#"{"subject": "s", "version": 1, "id": 3, "deleted": false, "schema": "message A {}", "schemaType": "PROTOBUF", "references": [{"name": "b.proto", "subject": "b", "version": 2}]}"#;
        let Some(Entry::Schema(read)) = Entry::read(key, Some(karapace)) else { panic!() };
        assert_eq!((read.id, read.references.unwrap()[0].version), (3, 2));
        for (key, value, expected) in [
            (&br#"{"keytype":"CONFIG","magic":0}"#[..], &br#"{"compatibilityLevel":"NONE"}"#[..], "NONE"),
            (
                br#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
                br#"{"compatibilityLevel":"FULL"}"#,
                "FULL",
            ),
        ] {
            let Some(Entry::Config { subject: None, config: Some(config) }) = Entry::read(key, Some(value))
            else {
                panic!()
            };
            assert_eq!(config.compatibility_level.as_deref(), Some(expected));
        }
        let key = br#"{"keytype":"MODE","subject":null,"magic":0}"#;
        let mode = Entry::Mode { subject: None, mode: Some("IMPORT".to_owned()) };
        assert_eq!(Entry::read(key, Some(br#"{"subject":null,"mode":"IMPORT"}"#)), Some(mode));
        let key = br#"{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}"#;
        let cleared = Entry::SubjectCleared { subject: "s".to_owned() };
        assert_eq!(Entry::read(key, Some(br#"{"subject":"s"}"#)), Some(cleared));
    }

    #[test]
    fn a_later_registrys_members_are_no_error() {
        let key = br#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#;
        let value = br#"{"subject":"s","version":1,"id":1,"md5":"x","guid":"y","ts":1,"schemaTags":null,"references":null,"schema":"\"int\"","deleted":false,"offset":0}"#;
        assert!(matches!(Entry::read(key, Some(value)), Some(Entry::Schema(_))));
        assert_eq!(Entry::read(br#"{"keytype":"ASSOCIATION"}"#, None), None);
        assert_eq!(Entry::read(b"garbage", None), None);
    }
}
