//! Keys and their defaults: text -> config, nothing else.

use base::Secret;

use super::{Error, tables::KeyKind};
use crate::Settings;

/// How DynamoDB is reached, and as whom.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `None`: the environment's or the profile's.
    pub region: Option<String>,
    /// `http://127.0.0.1:8000`; `None` is AWS.
    pub endpoint: Option<String>,
    /// Wins over AWS_PROFILE.
    pub profile: Option<String>,
    /// Instead of the standard chain.
    pub keys: Option<AccessKeys>,
}

#[derive(Debug, Clone)]
pub struct AccessKeys {
    pub access_key: String,
    pub secret_key: Secret,
    pub session_token: Option<Secret>,
}

#[derive(Debug, Clone)]
pub struct SourceConfig {
    pub access: Access,
    pub table: String,
    /// A secondary index to read instead of the table itself.
    pub index: Option<String>,
    /// Strongly consistent reads, at twice the price; a global index has none.
    pub is_consistent: bool,
}

#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub access: Access,
    pub table: String,
    pub write: Write,
    /// Makes the table where it is not there.
    pub create: Option<Create>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Write {
    /// The item replaces the one of its key.
    #[default]
    Put,
    /// An item of the same key that is another one refuses the record.
    Insert,
    /// The item's attributes are set; without an item the record is refused.
    Update,
    /// The item of its key goes; without one that is all right.
    Delete,
}

/// What a table is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Partition key, then the sort key where there is one; a kind that is not said is that of the first record.
    pub key: Vec<(String, Option<KeyKind>)>,
    pub billing: Billing,
    /// Global secondary indexes with all attributes, each by its partition key and its sort key.
    pub indexes: Vec<Vec<(String, Option<KeyKind>)>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Billing {
    #[default]
    PayPerRequest,
    Provisioned {
        read_units: u64,
        write_units: u64,
    },
}

const ACCESS: [&str; 6] = ["region", "endpoint", "profile", "access_key", "secret_key", "session_token"];
const SOURCE: [&str; 3] = ["table", "index", "consistent"];
const SINK: [&str; 10] = [
    "table",
    "write",
    "create",
    "key",
    "key_types",
    "billing",
    "read_capacity",
    "write_capacity",
    "indexes",
    "index_types",
];

impl SourceConfig {
    /// `table`, `index`, `consistent`, and those of [`Access`].
    ///
    /// # Errors
    /// A setting that does not fit, or that is none.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        refuse_unknown(settings, "a DynamoDB source", &SOURCE)?;
        Ok(Self {
            access: Access::read(settings)?,
            table: table(settings)?,
            index: text(settings, "index"),
            is_consistent: flag(settings, "consistent")?,
        })
    }
}

impl SinkConfig {
    /// `table`, `write` (put, insert, update or delete), `create` with `key`, `key_types`, `billing`, `read_capacity`,
    /// `write_capacity`, `indexes` and `index_types` (as `key`, several with semicolons), and those of [`Access`].
    ///
    /// # Errors
    /// A setting that does not fit, or that is none.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        refuse_unknown(settings, "a DynamoDB sink", &SINK)?;
        let write = match settings.get("write").map_or("put", String::as_str) {
            "put" | "upsert" => Write::Put,
            "insert" => Write::Insert,
            "update" => Write::Update,
            "delete" => Write::Delete,
            other => return Err(Error::setting("write", other, "put, insert, update or delete")),
        };
        let create = if flag(settings, "create")? { Some(Create::read(settings)?) } else { None };
        Ok(Self { access: Access::read(settings)?, table: table(settings)?, write, create })
    }
}

impl Create {
    fn read(settings: &Settings) -> Result<Self, Error> {
        let text = |key: &str| settings.get(key).map_or("", String::as_str);
        let key = key_of("key", text("key"), "key_types", text("key_types"))?;
        let mut types = text("index_types").split(';');
        let index = |names: &str| key_of("indexes", names, "index_types", types.next().unwrap_or(""));
        let names = text("indexes").split(';').filter(|names| !names.trim().is_empty());
        let indexes = names.map(index).collect::<Result<_, Error>>()?;
        Ok(Self { key, billing: Billing::read(settings)?, indexes })
    }
}

/// One or two names, with the kinds that are said.
fn key_of(
    key: &'static str,
    names: &str,
    types: &'static str,
    kinds: &str,
) -> Result<Vec<(String, Option<KeyKind>)>, Error> {
    let list = |text: &str| -> Vec<String> { text.split(',').map(|one| one.trim().to_owned()).collect() };
    let given: Vec<String> = list(names).into_iter().filter(|name| !name.is_empty()).collect();
    let kinds = list(kinds);
    if given.is_empty() || given.len() > 2 {
        return Err(Error::setting(key, names, "the partition key, or partition key and sort key: pk,sk"));
    }
    if kinds.len() > given.len() {
        return Err(Error::setting(types, &kinds.join(","), "one of S, N, B for each part of the key"));
    }
    let kind = |place: usize| match kinds.get(place).map(String::as_str) {
        None | Some("") => Ok(None),
        Some("S" | "string") => Ok(Some(KeyKind::Text)),
        Some("N" | "number") => Ok(Some(KeyKind::Number)),
        Some("B" | "binary") => Ok(Some(KeyKind::Bytes)),
        Some(other) => Err(Error::setting(types, other, "S, N or B")),
    };
    given.into_iter().enumerate().map(|(place, name)| Ok((name, kind(place)?))).collect()
}

impl Billing {
    fn read(settings: &Settings) -> Result<Self, Error> {
        let units = |key: &str| match settings.get(key) {
            None => Ok(None),
            Some(text) => match text.parse::<u64>() {
                Ok(units) if units > 0 => Ok(Some(units)),
                _ => Err(Error::setting(key, text, "a number of capacity units, 1 or more")),
            },
        };
        let (read, write) = (units("read_capacity")?, units("write_capacity")?);
        match (settings.get("billing").map(String::as_str), read, write) {
            (None | Some("on-demand" | "pay-per-request"), None, None) => Ok(Billing::PayPerRequest),
            (None | Some("provisioned"), Some(read_units), Some(write_units)) => {
                Ok(Billing::Provisioned { read_units, write_units })
            }
            (Some("provisioned"), _, _) => {
                Err(Error::setting("billing", "provisioned", "read_capacity and write_capacity beside it"))
            }
            (None, _, _) => Err(Error::setting("read_capacity", "", "both read_capacity and write_capacity")),
            (Some(other), _, _) => Err(Error::setting(
                "billing",
                other,
                "on-demand, or provisioned with read_capacity and write_capacity",
            )),
        }
    }
}

impl Access {
    fn read(settings: &Settings) -> Result<Self, Error> {
        let endpoint = text(settings, "endpoint");
        if let Some(endpoint) = &endpoint
            && !url::Url::parse(endpoint)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        {
            return Err(Error::setting("endpoint", endpoint, "an address such as http://127.0.0.1:8000"));
        }
        let keys = match (text(settings, "access_key"), text(settings, "secret_key")) {
            (Some(access_key), Some(secret_key)) => Some(AccessKeys {
                access_key,
                secret_key: Secret::new(&secret_key),
                session_token: text(settings, "session_token").map(|token| Secret::new(&token)),
            }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Error::setting("secret_key", "", "a value, as access_key has one"));
            }
            (None, Some(_)) => {
                return Err(Error::setting("access_key", "", "a value, as secret_key has one"));
            }
        };
        Ok(Self { region: text(settings, "region"), endpoint, profile: text(settings, "profile"), keys })
    }
}

fn refuse_unknown(settings: &Settings, what: &'static str, own: &[&'static str]) -> Result<(), Error> {
    let known = || own.iter().chain(&ACCESS).copied();
    let Some(key) = settings.keys().find(|key| known().all(|known| known != key.as_str())) else {
        return Ok(());
    };
    let likeness = |known: &str| strsim::jaro_winkler(known, key);
    let nearest = known().max_by(|one, other| likeness(one).total_cmp(&likeness(other))).unwrap_or_default();
    Err(Error::UnknownSetting { key: key.clone(), what, nearest: nearest.to_owned() })
}

fn text(settings: &Settings, key: &str) -> Option<String> {
    settings.get(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn flag(settings: &Settings, key: &str) -> Result<bool, Error> {
    match settings.get(key).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::setting(key, other, "true or false")),
    }
}

/// A name, or the table's ARN.
fn table(settings: &Settings) -> Result<String, Error> {
    let expected = "the table's name: 3 to 255 letters, digits, dots, hyphens and underscores";
    let name = text(settings, "table").ok_or_else(|| Error::setting("table", "", expected))?;
    let is_name = (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if is_name || name.starts_with("arn:") { Ok(name) } else { Err(Error::setting("table", &name, expected)) }
}
