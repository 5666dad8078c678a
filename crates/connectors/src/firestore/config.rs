//! Keys and their defaults: text -> config, nothing else but reading the credentials file that is named.

use std::{path::PathBuf, sync::Arc};

use cloud::gcp::{self, Identity};

use super::Error;
use crate::Settings;

const ENDPOINT: &str = "https://firestore.googleapis.com";
const COMMON: [&str; 9] = [
    "project",
    "database",
    "collection",
    "emulator",
    "endpoint",
    "credentials",
    "credentials_json",
    "impersonate",
    "quota_project",
];
const OF_SOURCE: [&str; 2] = ["collection_group", "subcollections"];
const OF_SINK: [&str; 3] = ["write", "key", "ramp"];

/// Which database, where, and as whom.
#[derive(Debug, Clone)]
pub struct Connection {
    pub project: String,
    pub database: String,
    /// `https://…`, or the emulator's `http://host:port`.
    pub endpoint: String,
    /// `None` is the emulator, to which everyone comes as its owner.
    pub identity: Option<Arc<Identity>>,
}

#[derive(Debug, Clone)]
pub struct SourceConfig {
    pub connection: Connection,
    /// An id, or the path of a collection below a document: `users/ada/orders`.
    pub collection: String,
    /// All collections of that id, wherever they lie.
    pub is_group: bool,
    pub subcollections: Subcollections,
}

/// What lies below the collection's documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Subcollections {
    #[default]
    None,
    /// Every document below, at any depth.
    All,
    /// Collections of these ids, at any depth.
    Names(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct SinkConfig {
    pub connection: Connection,
    pub collection: String,
    pub write: WriteMode,
    /// The field that a document's id comes from; `None`: the record's key, or else its position.
    pub key: Option<String>,
    /// Google's rule for new traffic: 500 writes a second, half as many more every five minutes.
    pub is_ramped: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// A document is replaced as a whole, or comes to be.
    #[default]
    Upsert,
    /// A document that is there already is refused.
    Insert,
    /// Fields are put into what is there.
    Merge,
    /// As merge; without a document the record is refused.
    Update,
    /// The document goes; without one that is all right.
    Delete,
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Connection {
    /// # Errors
    /// A setting that does not fit, or a credentials file that cannot be read.
    pub fn read(settings: &Settings) -> Result<Self, base::BoxError> {
        Self::read_with(settings, &process)
    }

    pub(super) fn read_with(
        settings: &Settings,
        environment: Environment<'_>,
    ) -> Result<Self, base::BoxError> {
        let given = |key: &str| settings.get(key).cloned();
        let endpoint = given("endpoint");
        let emulator = given("emulator")
            .or_else(|| environment("FIRESTORE_EMULATOR_HOST").filter(|_| endpoint.is_none()))
            .map(|host| if host.contains("://") { host } else { format!("http://{host}") });
        let identity = match emulator {
            Some(_) => None,
            None => Some(Identity::load(&gcp::Options {
                credentials: given("credentials").map(PathBuf::from),
                credentials_json: given("credentials_json").map(base::Secret::new),
                impersonate: given("impersonate"),
                quota_project: given("quota_project"),
            })?),
        };
        let known = || identity.as_deref().and_then(Identity::project).map(str::to_owned);
        let project = given("project").or_else(|| environment("GOOGLE_CLOUD_PROJECT")).or_else(known);
        let project = project.ok_or_else(|| Error::setting("project", "none is named"))?;
        let endpoint = emulator.or(endpoint).unwrap_or_else(|| ENDPOINT.to_owned());
        check_endpoint(&endpoint, identity.is_some())?;
        let database = given("database").unwrap_or_else(|| "(default)".to_owned());
        Ok(Self { project, database, endpoint, identity })
    }
}

/// A token goes in plain text to nobody but this machine.
fn check_endpoint(endpoint: &str, has_token: bool) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::setting(if has_token { "endpoint" } else { "emulator" }, what));
    let url = match url::Url::parse(endpoint) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => url,
        Ok(_) => return refuse(format!("`{endpoint}` is no http:// or https:// address")),
        Err(error) => return refuse(format!("`{endpoint}` is no address: {error}")),
    };
    let is_local = cloud::http::is_loopback(url.host_str().unwrap_or_default());
    if has_token && url.scheme() == "http" && !is_local {
        return refuse(format!("`{endpoint}` is plain HTTP, and a token would be sent to it"));
    }
    Ok(())
}

impl SourceConfig {
    /// # Errors
    /// An unknown setting, a value that does not fit, or a credentials file that cannot be read.
    pub fn read(settings: &Settings) -> Result<Self, base::BoxError> {
        expect_known(settings, &OF_SOURCE)?;
        let is_group = flag(settings, "collection_group", false)?;
        let subcollections = match settings.get("subcollections").map(String::as_str) {
            None | Some("none") => Subcollections::None,
            Some("all") => Subcollections::All,
            Some(names) => {
                Subcollections::Names(names.split(',').map(|name| name.trim().to_owned()).collect())
            }
        };
        if let Subcollections::Names(names) = &subcollections {
            names.iter().try_for_each(|name| check_id("subcollections", name))?;
        }
        if is_group && subcollections != Subcollections::None {
            return Err(Error::setting("subcollections", "a collection group has none of its own").into());
        }
        let collection = collection(settings)?;
        if is_group && collection.contains('/') {
            return Err(
                Error::setting("collection", "a collection group is named by an id, not a path").into()
            );
        }
        Ok(Self { connection: Connection::read(settings)?, collection, is_group, subcollections })
    }
}

impl SinkConfig {
    /// # Errors
    /// An unknown setting, a value that does not fit, or a credentials file that cannot be read.
    pub fn read(settings: &Settings) -> Result<Self, base::BoxError> {
        expect_known(settings, &OF_SINK)?;
        let write = match settings.get("write").map(String::as_str) {
            None | Some("upsert") => WriteMode::Upsert,
            Some("insert") => WriteMode::Insert,
            Some("merge") => WriteMode::Merge,
            Some("update") => WriteMode::Update,
            Some("delete") => WriteMode::Delete,
            Some(other) => {
                let what = format!("`{other}` is not upsert, insert, merge, update or delete");
                return Err(Error::setting("write", what).into());
            }
        };
        let (collection, connection) = (collection(settings)?, Connection::read(settings)?);
        let is_ramped = flag(settings, "ramp", connection.identity.is_some())?;
        Ok(Self { connection, collection, write, key: settings.get("key").cloned(), is_ramped })
    }
}

fn collection(settings: &Settings) -> Result<String, Error> {
    let path = settings.get("collection").ok_or_else(|| Error::setting("collection", "none is named"))?;
    check_collection(path)?;
    Ok(path.clone())
}

pub(super) fn check_collection(path: &str) -> Result<(), Error> {
    path.split('/').try_for_each(|id| check_id("collection", id))?;
    if path.split('/').count().is_multiple_of(2) {
        let what = format!("`{path}` is a document's path: a collection's has an odd number of parts");
        return Err(Error::setting("collection", what));
    }
    Ok(())
}

fn check_id(key: &str, id: &str) -> Result<(), Error> {
    super::id::check(id).map_err(|why| Error::setting(key, why))
}

fn flag(settings: &Settings, key: &str, default: bool) -> Result<bool, Error> {
    match settings.get(key).map(String::as_str) {
        None => Ok(default),
        Some("true" | "on" | "yes") => Ok(true),
        Some("false" | "off" | "no") => Ok(false),
        Some(other) => Err(Error::setting(key, format!("`{other}` is not true or false"))),
    }
}

fn expect_known(settings: &Settings, own: &[&str]) -> Result<(), Error> {
    let known = || COMMON.iter().chain(own).copied();
    match settings.keys().find(|key| !known().any(|name| name == key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let near = |name: &&str| strsim::jaro(name, key);
            let nearest = known().max_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or_default();
            Err(Error::UnknownSetting { key: key.clone(), nearest: nearest.to_owned() })
        }
    }
}
