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
}

/// What a table is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Partition key, then the sort key where there is one; a kind that is not said is that of the first record.
    pub key: Vec<(String, Option<KeyKind>)>,
    pub billing: Billing,
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
const SINK: [&str; 8] =
    ["table", "write", "create", "key", "key_types", "billing", "read_capacity", "write_capacity"];

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
    /// `table`, `write` (put or insert), `create` with `key`, `key_types`, `billing`, `read_capacity`, `write_capacity`, and
    /// those of [`Access`].
    ///
    /// # Errors
    /// A setting that does not fit, or that is none.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        refuse_unknown(settings, "a DynamoDB sink", &SINK)?;
        let write = match settings.get("write").map_or("put", String::as_str) {
            "put" | "upsert" => Write::Put,
            "insert" => Write::Insert,
            other => return Err(Error::setting("write", other, "put or insert")),
        };
        let create = if flag(settings, "create")? { Some(Create::read(settings)?) } else { None };
        Ok(Self { access: Access::read(settings)?, table: table(settings)?, write, create })
    }
}

impl Create {
    fn read(settings: &Settings) -> Result<Self, Error> {
        let list = |key: &str| -> Vec<String> {
            let text = settings.get(key).map_or("", String::as_str);
            text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
        };
        let (names, kinds) = (list("key"), list("key_types"));
        if names.is_empty() || names.len() > 2 {
            let given = settings.get("key").map_or("", String::as_str);
            return Err(Error::setting(
                "key",
                given,
                "the partition key, or partition key and sort key: pk,sk",
            ));
        }
        if kinds.len() > names.len() {
            return Err(Error::setting("key_types", &kinds.join(","), "one of S, N, B for each part of key"));
        }
        let kind = |place: usize| match kinds.get(place).map(String::as_str) {
            None => Ok(None),
            Some("S" | "string") => Ok(Some(KeyKind::Text)),
            Some("N" | "number") => Ok(Some(KeyKind::Number)),
            Some("B" | "binary") => Ok(Some(KeyKind::Bytes)),
            Some(other) => Err(Error::setting("key_types", other, "S, N or B")),
        };
        let key = names.into_iter().enumerate().map(|(place, name)| Ok((name, kind(place)?)));
        Ok(Self { key: key.collect::<Result<_, Error>>()?, billing: Billing::read(settings)? })
    }
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
