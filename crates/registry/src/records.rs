//! The records of the `_schemas` topic, in Confluent's format: JSON keys with a `keytype`, JSON values.
//!
//! Source: Confluent Schema Registry, storage package (`SchemaKey`, `SchemaValue`, `ConfigKey`, `ModeKey`,
//! `DeleteSubjectKey`, `ClearSubjectKey`, `NoopKey`). Members that we do not know are kept out of our way, not an error.

use base::ContractKind;
use serde::{Deserialize, Serialize};

/// What one record of the topic says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Schema(SchemaValue),
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
    /// `None` removes the setting; a subject of `None` is the global one.
    Config {
        subject: Option<String>,
        level: Option<String>,
    },
    Mode {
        subject: Option<String>,
        mode: Option<String>,
    },
    Noop,
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
    pub(crate) schema: String,
    #[serde(default)]
    pub(crate) deleted: bool,
}

#[derive(Serialize)]
struct Key {
    keytype: String,
    /// Missing in `NOOP`, null for the global config and mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    magic: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigValue {
    compatibility_level: Option<String>,
}

#[derive(Serialize)]
struct ModeValue {
    mode: String,
}

#[derive(Serialize, Deserialize)]
struct SubjectValue {
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
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
        let key: serde_json::Value = serde_json::from_slice(key).ok()?;
        let subject = key.get("subject").and_then(|subject| subject.as_str()).map(str::to_owned);
        let parsed = |value: &[u8]| serde_json::from_slice::<serde_json::Value>(value).ok();
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
            "CONFIG" => {
                let value = value.and_then(parsed);
                let level = value.as_ref().and_then(|value| value.get("compatibilityLevel")?.as_str());
                Entry::Config { subject, level: level.map(str::to_owned) }
            }
            "MODE" => {
                let value = value.and_then(parsed);
                let mode = value.as_ref().and_then(|value| value.get("mode")?.as_str());
                Entry::Mode { subject, mode: mode.map(str::to_owned) }
            }
            "NOOP" => Entry::Noop,
            _ => return None,
        })
    }

    /// The record's key and value; no value is a tombstone.
    pub(crate) fn write(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let key = |keytype: &str, subject: Option<Option<&str>>, version, magic| {
            let subject = subject.map(|subject| subject.map(str::to_owned));
            json(&Key { keytype: keytype.to_owned(), subject, version, magic })
        };
        match self {
            Entry::Schema(value) => {
                (key("SCHEMA", Some(Some(&value.subject)), Some(value.version), 1), Some(json(value)))
            }
            Entry::SchemaGone { subject, version } => {
                (key("SCHEMA", Some(Some(subject)), Some(*version), 1), None)
            }
            Entry::SubjectDeleted { subject, version } => {
                let value = SubjectValue { subject: subject.clone(), version: Some(*version) };
                (key("DELETE_SUBJECT", Some(Some(subject)), None, 0), Some(json(&value)))
            }
            Entry::SubjectCleared { subject } => {
                let value = SubjectValue { subject: subject.clone(), version: None };
                (key("CLEAR_SUBJECT", Some(Some(subject)), None, 0), Some(json(&value)))
            }
            Entry::Config { subject, level } => {
                let value = level
                    .as_ref()
                    .map(|level| json(&ConfigValue { compatibility_level: Some(level.clone()) }));
                (key("CONFIG", Some(subject.as_deref()), None, 0), value)
            }
            Entry::Mode { subject, mode } => {
                let value = mode.as_ref().map(|mode| json(&ModeValue { mode: mode.clone() }));
                (key("MODE", Some(subject.as_deref()), None, 0), value)
            }
            Entry::Noop => (key("NOOP", None, None, 0), None),
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types always make JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: Entry, key: &str, value: Option<&str>) {
        let (written_key, written_value) = entry.write();
        assert_eq!(String::from_utf8(written_key).unwrap(), key);
        assert_eq!(written_value.map(|value| String::from_utf8(value).unwrap()).as_deref(), value);
        assert_eq!(Entry::read(key.as_bytes(), value.map(str::as_bytes)), Some(entry));
    }

    #[test]
    fn records_are_confluents() {
        let schema = SchemaValue {
            subject: "s-value".to_owned(),
            version: 2,
            id: 7,
            schema_type: None,
            schema: "\"int\"".to_owned(),
            deleted: false,
        };
        check(
            Entry::Schema(schema.clone()),
            r#"{"keytype":"SCHEMA","subject":"s-value","version":2,"magic":1}"#,
            Some(r#"{"subject":"s-value","version":2,"id":7,"schema":"\"int\"","deleted":false}"#),
        );
        check(
            Entry::Schema(SchemaValue { schema_type: Some("JSON".to_owned()), deleted: true, ..schema }),
            r#"{"keytype":"SCHEMA","subject":"s-value","version":2,"magic":1}"#,
            Some(
                r#"{"subject":"s-value","version":2,"id":7,"schemaType":"JSON","schema":"\"int\"","deleted":true}"#,
            ),
        );
        let gone = Entry::SchemaGone { subject: "s".to_owned(), version: 1 };
        check(gone, r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#, None);
        check(
            Entry::SubjectDeleted { subject: "s".to_owned(), version: 3 },
            r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","version":3}"#),
        );
        check(
            Entry::Config { subject: None, level: Some("FULL".to_owned()) },
            r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            Some(r#"{"compatibilityLevel":"FULL"}"#),
        );
        check(
            Entry::Mode { subject: Some("s".to_owned()), mode: None },
            r#"{"keytype":"MODE","subject":"s","magic":0}"#,
            None,
        );
        check(Entry::Noop, r#"{"keytype":"NOOP","magic":0}"#, None);
    }

    #[test]
    fn a_later_registrys_members_are_no_error() {
        let key = br#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#;
        let value = br#"{"subject":"s","version":1,"id":1,"md5":"x","guid":"y","ts":1,"schema":"\"int\"","deleted":false,"offset":0}"#;
        assert!(matches!(Entry::read(key, Some(value)), Some(Entry::Schema(_))));
        assert_eq!(Entry::read(br#"{"keytype":"ASSOCIATION"}"#, None), None);
        assert_eq!(Entry::read(b"garbage", None), None);
    }
}
