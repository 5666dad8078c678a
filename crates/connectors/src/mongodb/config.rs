//! Keys and their defaults: text -> config, nothing else.

use std::fmt;

use base::Secret;
use mongodb::options::{ConnectionString, HostInfo};

use super::Error;
use crate::Settings;

/// Which collection of which server.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// `mongodb://` or `mongodb+srv://`, with user and password where they are needed.
    pub uri: Secret,
    pub database: String,
    pub collection: String,
}

#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub uri: Secret,
    pub database: String,
    pub collection: String,
    pub write: Write,
    /// The fields that tell which document a record belongs to; empty: `_id`.
    pub key: Vec<String>,
    /// Documents change in the order of the records: slower, and one that is refused costs a call more.
    pub is_ordered: bool,
    /// Makes the collection before the first record.
    pub is_created: bool,
    /// Indexes that are made before the first record.
    pub indexes: Vec<Index>,
}

/// An index over some fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub fields: Vec<String>,
    pub is_unique: bool,
}

/// What becomes of a record whose document is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Write {
    /// It is refused, unless the document is this record's own, from an earlier life.
    #[default]
    Insert,
    /// Its fields are set; others that the document has stay.
    Upsert,
    /// It takes the document's place.
    Replace,
    /// Its fields are set; without a document the record is refused.
    Update,
    /// The document goes; without one that is all right.
    Delete,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Write::Insert => "insert",
            Write::Upsert => "upsert",
            Write::Replace => "replace",
            Write::Update => "update",
            Write::Delete => "delete",
        })
    }
}

impl std::str::FromStr for Write {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "insert" => Ok(Write::Insert),
            "upsert" => Ok(Write::Upsert),
            "replace" => Ok(Write::Replace),
            "update" => Ok(Write::Update),
            "delete" => Ok(Write::Delete),
            _ => Err(Error::setting("write", text, "insert, upsert, replace, update or delete")),
        }
    }
}

const SOURCE_KEYS: &[&str] = &["uri", "database", "collection"];
const SINK_KEYS: &[&str] =
    &["uri", "database", "collection", "write", "key", "ordered", "create", "index", "unique_index"];

impl SourceConfig {
    /// `uri`, `collection`; `database`, where the uri does not name it.
    ///
    /// # Errors
    /// `UnknownSetting`, `Setting`.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        expect_known(settings, SOURCE_KEYS)?;
        let (uri, database) = address(settings)?;
        Ok(Self { uri, database, collection: collection(settings)? })
    }
}

impl SinkConfig {
    /// `uri`, `collection`; `database`, where the uri does not name it; `write`, `key` (several with commas), `ordered`; `create`,
    /// `index` and `unique_index` (fields with commas, several indexes with semicolons).
    ///
    /// # Errors
    /// `UnknownSetting`, `Setting`.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        expect_known(settings, SINK_KEYS)?;
        let (uri, database) = address(settings)?;
        let write = settings.get("write").map_or(Ok(Write::default()), |text| text.parse())?;
        let names = settings.get("key").into_iter().flat_map(|names| names.split(','));
        let mut key: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
        if key.iter().any(String::is_empty) {
            return Err(Error::setting("key", &settings["key"], "names of fields, with commas"));
        }
        if !key.is_empty() && write == Write::Insert {
            return Err(Error::setting("key", &settings["key"], "write=upsert or write=replace beside it"));
        }
        if key == ["_id"] {
            key.clear();
        }
        let is_ordered = flag(settings, "ordered")?;
        let is_created = flag(settings, "create")?;
        let mut indexes = indexes(settings, "index", false)?;
        indexes.extend(self::indexes(settings, "unique_index", true)?);
        let collection = collection(settings)?;
        Ok(Self { uri, database, collection, write, key, is_ordered, is_created, indexes })
    }
}

fn flag(settings: &Settings, key: &str) -> Result<bool, Error> {
    match settings.get(key).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::setting(key, other, "true or false")),
    }
}

fn indexes(settings: &Settings, key: &str, is_unique: bool) -> Result<Vec<Index>, Error> {
    let given = settings.get(key).into_iter().flat_map(|text| text.split(';'));
    let index = |text: &str| {
        let fields: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match fields.iter().any(String::is_empty) {
            true => Err(Error::setting(key, text, "names of fields, with commas")),
            false => Ok(Index { fields, is_unique }),
        }
    };
    given.map(index).collect()
}

/// Names less alike than this are no help.
const LIKENESS_MIN: f64 = 0.7;

/// The name that is most like `name`, where one is like it.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let likeness = known.map(|known| (strsim::jaro_winkler(known, name), known));
    let (likeness, known) = likeness.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= LIKENESS_MIN).then(|| known.to_owned())
}

fn expect_known(settings: &Settings, known: &[&str]) -> Result<(), Error> {
    match settings.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let nearest = nearest(key, known.iter().copied());
            Err(Error::UnknownSetting { key: key.clone(), nearest, known: known.join(", ") })
        }
        None => Ok(()),
    }
}

fn collection(settings: &Settings) -> Result<String, Error> {
    match settings.get("collection") {
        Some(name) if !name.is_empty() => Ok(name.clone()),
        _ => Err(Error::Missing { key: "collection", expected: "its name" }),
    }
}

/// The uri and the database.
fn address(settings: &Settings) -> Result<(Secret, String), Error> {
    let uri =
        settings.get("uri").ok_or(Error::Missing { key: "uri", expected: "mongodb://HOST:PORT/DATABASE" })?;
    let parsed = parse(uri)?;
    let database = settings.get("database").cloned().or(parsed.default_database);
    let expected = "its name, or name it in the uri behind the hosts";
    let database = database.ok_or(Error::Missing { key: "database", expected })?;
    Ok((Secret::new(uri.as_str()), database))
}

pub(super) fn parse(uri: &str) -> Result<ConnectionString, Error> {
    ConnectionString::parse(uri).map_err(|error| {
        // What the driver quotes of an address may be a part of a password.
        let reason = if uri.contains('@') {
            "user and password stand percent-encoded before the @: mongodb://USER:PASSWORD@HOST:PORT/DATABASE"
                .to_owned()
        } else {
            super::errors::because(&error)
        };
        Error::Uri { reason }
    })
}

/// The hosts of a uri, for messages: never who signs in there.
pub(super) fn hosts(uri: &Secret) -> String {
    match parse(uri.reveal()).map(|parsed| parsed.host_info) {
        Ok(HostInfo::HostIdentifiers(hosts)) => {
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
        Ok(HostInfo::DnsRecord(name)) => name,
        Ok(_) | Err(_) => "the server".to_owned(),
    }
}
