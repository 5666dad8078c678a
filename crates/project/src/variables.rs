//! Variables as Airflow has them: `variables.yaml|yml|json|env` as `airflow variables import` reads them, and `AIRFLOW_VAR_*`
//! of the environment and of `.env` over them.
//!
//! A value is a text. One that is no text in its file is its JSON, as Airflow stores it.

use base::Secret;
use indexmap::IndexMap;
use serde_json::Value;

use crate::{
    Error, Project,
    given::{self, FromFile, What},
    origin::Origin,
    python::json_dumps,
    tree::{Data, Node},
};

/// A variable whose name has one of these words is a secret, in Airflow's eyes and in ours.
const SECRET_WORDS: [&str; 22] = [
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "proxy_password",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
];

#[derive(Debug, Clone)]
pub struct Variable {
    pub key: String,
    pub value: Secret,
    pub description: Option<String>,
    pub origin: Origin,
}

impl Variable {
    /// Whether its name says that nobody should see it.
    pub fn is_secret(&self) -> bool {
        let key = self.key.trim().to_lowercase();
        SECRET_WORDS.iter().any(|word| key.contains(word))
    }

    /// As JSON, where it is JSON: `{{ var.json.KEY }}`.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(self.value.reveal()).ok()
    }
}

/// All variables of a project, by key.
#[derive(Debug, Clone)]
pub struct Variables {
    /// By the name in the environment, the one in force.
    environment: IndexMap<String, Variable>,
    files: IndexMap<String, Variable>,
}

impl Variables {
    pub fn open(project: &Project) -> Result<Self, Error> {
        let mut environment = IndexMap::new();
        for given in project.airflow.iter().filter(|given| given.what == What::Variables) {
            let key = given.name.to_lowercase();
            let (value, origin) = (given.value.clone(), given.origin.clone());
            let variable = Variable { key, value, description: None, origin };
            environment.insert(given.name.clone(), variable);
        }
        let files = given::file_entries(project, What::Variables)?;
        let files = files.into_iter().map(|entry| (entry.name.clone(), from_file(entry))).collect();
        Ok(Self { environment, files })
    }

    /// In the order of the file, then what only the environment has, in lower case.
    pub fn keys(&self) -> Vec<String> {
        let upper: Vec<String> = self.files.keys().map(|key| key.to_uppercase()).collect();
        let only = self.environment.keys().filter(|name| !upper.contains(&name.to_uppercase()));
        self.files.keys().cloned().chain(only.map(|name| name.to_lowercase())).collect()
    }

    /// The variable in force: the environment's over the file's.
    pub fn get(&self, key: &str) -> Option<&Variable> {
        self.environment.get(&key.to_uppercase()).or_else(|| self.files.get(key))
    }
}

/// `{"value": …, "description": …}` is the form that Airflow's export has for a variable with a description.
fn from_file(entry: FromFile) -> Variable {
    let mut description = None;
    let mut node = entry.value;
    if let Data::Map(fields) = &mut node.data
        && let Some(row) = fields.iter().position(|field| field.name == "value")
    {
        let text = fields.iter().find(|field| field.name == "description");
        description = text.and_then(|field| match &field.value.data {
            Data::Text(text) => Some(text.clone()),
            _ => None,
        });
        node = fields.swap_remove(row).value;
    }
    let value = match node {
        Node { data: Data::Text(text), .. } => text,
        other => json_dumps(&other.to_json(), Some(2)),
    };
    Variable { key: entry.name, value: Secret::new(value), description, origin: entry.origin }
}

#[cfg(test)]
mod tests;
