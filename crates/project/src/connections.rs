//! Connections as Airflow has them: `connections.yaml|yml|json|env` in its import formats, and `AIRFLOW_CONN_*` of the
//! environment and of `.env` over them, as a URI or as JSON.
//!
//! A connection is read when it is asked for: one that is wrong is in nobody's way. What Airflow makes of the same text, this
//! makes of it; where Airflow accepts what cannot work (no type, an extra that is no JSON object), it is an error here.

mod uri;

use base::Secret;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::{
    Error, Project,
    given::{self, FromEnvironment, FromFile, What, place},
    origin::Origin,
    python::json_dumps,
    tree::{Data, Node},
};

/// Airflow's bound of an id.
const ID_CHARACTERS_MAX: usize = 250;
/// The keys of a connection in a file: the parameters of `airflow.models.Connection`.
const KEYS: [&str; 12] = [
    "conn_id",
    "conn_type",
    "description",
    "host",
    "login",
    "password",
    "schema",
    "port",
    "extra",
    "extra_dejson",
    "uri",
    "team_name",
];

/// Where to reach something, and as whom. Empty texts are `None` to whoever asks, as they are to Airflow's hooks.
#[derive(Debug, Clone)]
pub struct Connection {
    pub id: String,
    pub origin: Origin,
    parts: Parts,
}

/// As Airflow keeps it, so that a URI or JSON made of it is the one that Airflow makes.
#[derive(Clone, Default, PartialEq, Eq)]
struct Parts {
    conn_type: String,
    description: Option<String>,
    host: Option<String>,
    schema: Option<String>,
    login: Option<String>,
    password: Option<String>,
    port: Option<u16>,
    /// A JSON object as text.
    extra: Option<String>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://***", self.conn_type)
    }
}

fn some(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl Connection {
    /// From a URI, or from JSON where the text begins with `{`.
    pub fn parse(id: &str, text: &Secret, origin: &Origin) -> Result<Self, Error> {
        let text = text.reveal().trim();
        if !text.starts_with('{') {
            let parts = uri::parse(text).map_err(|reason| refused(id, origin, reason))?;
            return Self::of(id, parts, origin);
        }
        let json: Value =
            serde_json::from_str(text).map_err(|_| refused(id, origin, "it begins as JSON, but is none"))?;
        let mut fields = Fields::new(id, origin);
        for (name, value) in json.as_object().into_iter().flatten() {
            fields.set(name, value.clone(), None, origin)?;
        }
        let mut connection = fields.connection()?;
        connection.parts.conn_type = uri::normalized_type(&connection.parts.conn_type);
        connection.parts.port = connection.parts.port.filter(|port| *port > 0);
        Ok(connection)
    }

    fn of(id: &str, parts: Parts, origin: &Origin) -> Result<Self, Error> {
        let is_id = |one: char| one.is_alphanumeric() || "_#!()-.:/\\".contains(one);
        if id.is_empty() || id.chars().count() > ID_CHARACTERS_MAX || !id.chars().all(is_id) {
            return Err(refused(
                id,
                origin,
                "its id is not made of letters, digits and _ - . : / \\ # ! ( )",
            ));
        }
        if parts.conn_type.is_empty() {
            return Err(refused(id, origin, "it has no conn_type"));
        }
        if let Some(extra) = some(&parts.extra)
            && serde_json::from_str::<Map<String, Value>>(extra).is_err()
        {
            return Err(refused(id, origin, "its extra is no JSON object"));
        }
        // An empty password is none, where an empty login is one.
        let password = parts.password.filter(|password| !password.is_empty());
        Ok(Self { id: id.to_owned(), origin: origin.clone(), parts: Parts { password, ..parts } })
    }

    /// Airflow's word for what it leads to: `mongo`, `aws`, `postgres`, `google_cloud_platform`, `kafka`, `http`.
    pub fn conn_type(&self) -> &str {
        &self.parts.conn_type
    }

    pub fn host(&self) -> Option<&str> {
        some(&self.parts.host)
    }

    pub fn login(&self) -> Option<&str> {
        some(&self.parts.login)
    }

    pub fn password(&self) -> Option<Secret> {
        some(&self.parts.password).map(Secret::new)
    }

    /// The database, the bucket, or the scheme of HTTP, as the type has it.
    pub fn schema(&self) -> Option<&str> {
        some(&self.parts.schema)
    }

    pub fn port(&self) -> Option<u16> {
        self.parts.port
    }

    pub fn description(&self) -> Option<&str> {
        some(&self.parts.description)
    }

    /// The extra's entries; they may hold secrets.
    pub fn extra(&self) -> Map<String, Value> {
        some(&self.parts.extra).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// One entry of the extra as a text: a text as it is, any other value as JSON.
    pub fn extra_text(&self, name: &str) -> Option<String> {
        match self.extra().get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The names of the extra's entries, which are no secret.
    pub fn extra_names(&self) -> Vec<String> {
        self.extra().keys().cloned().collect()
    }

    /// `Connection.get_uri()`.
    pub fn uri(&self) -> Secret {
        Secret::new(uri::print(&self.parts))
    }

    /// The same without password and extra.
    pub fn without_secrets(&self) -> Self {
        let parts = Parts { password: None, extra: None, ..self.parts.clone() };
        Self { parts, ..self.clone() }
    }

    /// The extra's text as it was given.
    pub fn extra_json(&self) -> Option<Secret> {
        some(&self.parts.extra).map(Secret::new)
    }

    /// `Connection.as_json()`: what is set, the extra as an object.
    pub fn json(&self) -> Secret {
        let mut all = Map::new();
        all.insert("conn_type".to_owned(), Value::String(self.parts.conn_type.clone()));
        let parts = &self.parts;
        let texts = [
            ("description", &parts.description),
            ("host", &parts.host),
            ("login", &parts.login),
            ("password", &parts.password),
            ("schema", &parts.schema),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                all.insert(name.to_owned(), Value::String(text.clone()));
            }
        }
        if let Some(port) = parts.port {
            all.insert("port".to_owned(), port.into());
        }
        let extra = self.extra();
        if !extra.is_empty() {
            all.insert("extra".to_owned(), Value::Object(extra));
        }
        Secret::new(json_dumps(&Value::Object(all), None))
    }
}

fn refused(id: &str, origin: &Origin, reason: impl Into<String>) -> Error {
    Error::Connection { id: id.to_owned(), origin: Box::new(origin.clone()), reason: reason.into() }
}

/// A connection that comes as an object, key by key.
struct Fields<'a> {
    id: &'a str,
    origin: &'a Origin,
    parts: Parts,
    uri: Option<Secret>,
    names: Vec<String>,
}

impl<'a> Fields<'a> {
    fn new(id: &'a str, origin: &'a Origin) -> Self {
        Self { id, origin, parts: Parts::default(), uri: None, names: Vec::new() }
    }

    /// `typed`: a number's own text, where it stands in a file; `at`: the place to name.
    fn set(&mut self, name: &str, value: Value, typed: Option<&str>, at: &Origin) -> Result<(), Error> {
        let refuse = |reason: String| refused(self.id, at, reason);
        if !KEYS.contains(&name) {
            return Err(refuse(format!("there is no key {name}; a connection has {}", KEYS[..9].join(", "))));
        }
        let is_extra = matches!(name, "extra" | "extra_dejson");
        let text = match &value {
            Value::Null => return Ok(()),
            Value::String(text) if name == "extra_dejson" => {
                Some(json_dumps(&Value::from(text.as_str()), None))
            }
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(typed.map_or_else(|| number.to_string(), str::to_owned)),
            Value::Object(entries) if is_extra && entries.is_empty() => None,
            Value::Object(_) if is_extra => Some(json_dumps(&value, None)),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                let wanted = if is_extra { "an object" } else { "a text" };
                return Err(refuse(format!("{name} has to be {wanted}")));
            }
        };
        if is_extra && self.names.iter().any(|other| other.starts_with("extra")) {
            return Err(refuse("it has both extra and extra_dejson".to_owned()));
        }
        self.names.push(name.to_owned());
        let parts = &mut self.parts;
        match name {
            "conn_type" => parts.conn_type = text.unwrap_or_default(),
            "description" => parts.description = text,
            "host" => parts.host = text,
            "login" => parts.login = text,
            "password" => parts.password = text,
            "schema" => parts.schema = text,
            "extra" | "extra_dejson" => parts.extra = text,
            "uri" => self.uri = text.map(Secret::new),
            "port" => {
                let text = text.unwrap_or_default();
                let port = text.trim().parse().ok().filter(|_| !text.is_empty());
                parts.port =
                    Some(port.ok_or_else(|| refuse("port has to be a number up to 65535".to_owned()))?);
            }
            "conn_id" if text.as_deref() != Some(self.id) => {
                return Err(refuse(format!("its conn_id is not the name that it stands under, {}", self.id)));
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(self) -> Result<Connection, Error> {
        let Some(uri) = self.uri else { return Connection::of(self.id, self.parts, self.origin) };
        let others =
            |name: &String| !matches!(name.as_str(), "uri" | "conn_id" | "description" | "team_name");
        if self.names.iter().any(others) {
            return Err(refused(self.id, self.origin, "it has both a uri and parts of one"));
        }
        let mut connection = Connection::parse(self.id, &uri, self.origin)?;
        connection.parts.description = self.parts.description;
        Ok(connection)
    }
}

/// All connections of a project, by id.
pub struct Connections {
    /// By the name in the environment, `MY_LAKE`: that of the process first, then that of `.env`.
    environment: IndexMap<String, Vec<FromEnvironment>>,
    files: IndexMap<String, FromFile>,
}

impl Connections {
    pub fn open(project: &Project) -> Result<Self, Error> {
        let mut environment: IndexMap<String, Vec<FromEnvironment>> = IndexMap::new();
        for given in project.airflow.iter().filter(|given| given.what == What::Connections) {
            environment.entry(given.name.clone()).or_default().insert(0, given.clone());
        }
        let files = given::file_entries(project, What::Connections)?;
        // A list of nothing defines nothing, as in Airflow.
        let is_given = |entry: &FromFile| !matches!(&entry.value.data, Data::List(items) if items.is_empty());
        let files = files.into_iter().filter(is_given).map(|entry| (entry.name.clone(), entry)).collect();
        Ok(Self { environment, files })
    }

    /// In the order of the file, then what only the environment has, in lower case.
    pub fn ids(&self) -> Vec<String> {
        let upper: Vec<String> = self.files.keys().map(|id| id.to_uppercase()).collect();
        let only = self.environment.keys().filter(|name| !upper.contains(&name.to_uppercase()));
        self.files.keys().cloned().chain(only.map(|name| name.to_lowercase())).collect()
    }

    pub fn has(&self, id: &str) -> bool {
        self.environment.contains_key(&id.to_uppercase()) || self.files.contains_key(id)
    }

    /// The connection in force: the environment's over the file's.
    pub fn get(&self, id: &str) -> Result<Connection, Error> {
        if let Some(given) = self.environment.get(&id.to_uppercase()).and_then(|all| all.first()) {
            return Connection::parse(id, &given.value, &given.origin);
        }
        match self.files.get(id) {
            Some(entry) => from_file(id, entry),
            None => Err(self.missing(id)),
        }
    }

    /// Where it was given, the one in force first.
    pub fn origins(&self, id: &str) -> Vec<Origin> {
        let environment = self.environment.get(&id.to_uppercase()).into_iter().flatten();
        let files = self.files.get(id).into_iter().map(|entry| entry.origin.clone());
        environment.map(|given| given.origin.clone()).chain(files).collect()
    }

    fn missing(&self, id: &str) -> Error {
        let ids = self.ids();
        let nearest = ids
            .iter()
            .map(|other| (strsim::jaro_winkler(other, id), other))
            .filter(|(likeness, _)| *likeness >= 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, other)| other.clone());
        Error::NoConnection { id: id.to_owned(), nearest }
    }
}

fn from_file(id: &str, entry: &FromFile) -> Result<Connection, Error> {
    let mut node = &entry.value;
    if let Data::List(items) = &node.data {
        match items.as_slice() {
            [one] => node = one,
            _ => return Err(refused(id, &entry.origin, "it is given more than once")),
        }
    }
    match &node.data {
        Data::Text(text) => Connection::parse(id, &Secret::new(text.as_str()), &entry.origin),
        Data::Map(fields) => {
            let mut all = Fields::new(id, &entry.origin);
            for field in fields {
                let at = place(&entry.file, field.value.span);
                let at = if KEYS.contains(&field.name.as_str()) {
                    at
                } else {
                    place(&entry.file, field.name_span)
                };
                let Node { data, .. } = &field.value;
                let typed = match data {
                    Data::Number { typed, .. } => Some(typed.as_str()),
                    _ => None,
                };
                all.set(&field.name, field.value.to_json(), typed, &at)?;
            }
            all.connection()
        }
        Data::Null | Data::Boolean(_) | Data::Number { .. } | Data::List(_) => {
            Err(refused(id, &entry.origin, "it is neither a URI nor an object"))
        }
    }
}

#[cfg(test)]
mod tests;
