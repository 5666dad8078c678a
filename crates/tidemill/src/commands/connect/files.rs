//! Connector files: `{"name", "config"}` as it is posted, or the configuration alone with its `name`.

use std::path::{Path, PathBuf};

use connect::Error;
use indexmap::IndexMap;
use serde_json::Value;

use crate::context::{Context, Failure};

pub(super) type Config = IndexMap<String, String>;

pub(super) struct Connector {
    pub name: String,
    pub config: Config,
}

/// Reads files, and the `.json` files of folders in the order of their names.
pub(super) fn read(context: &Context, paths: &[PathBuf]) -> Result<Vec<Connector>, Failure> {
    let mut connectors = Vec::new();
    for path in paths {
        let path = context.path(path)?;
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(|error| refuse(&path, &error.to_string()))?;
            let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
            let mut files: Vec<PathBuf> =
                files.filter(|file| file.extension().is_some_and(|end| end == "json")).collect();
            files.sort();
            for file in files {
                connectors.push(read_one(&file)?);
            }
        } else {
            connectors.push(read_one(&path)?);
        }
    }
    Ok(connectors)
}

fn read_one(path: &Path) -> Result<Connector, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| refuse(path, &error.to_string()))?;
    let file: Value =
        serde_json::from_str(&text).map_err(|error| refuse(path, &format!("it is not JSON: {error}")))?;
    let Value::Object(file) = file else { return Err(refuse(path, "it is not a JSON object")) };
    let (name, config) = match (file.get("name"), file.get("config")) {
        (name, Some(Value::Object(config))) => (name.or_else(|| config.get("name")), config),
        (name, _) => (name, &file),
    };
    let Some(name) = name.and_then(Value::as_str).map(str::to_owned) else {
        return Err(refuse(path, "it has no \"name\""));
    };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let given = config.iter().filter(|(_, value)| !value.is_null());
    let mut config: Config = given.map(|(key, value)| (key.clone(), text(value))).collect();
    config.insert("name".to_owned(), name.clone());
    Ok(Connector { name, config })
}

fn refuse(path: &Path, reason: &str) -> Failure {
    Box::new(Error::Request { reason: format!("{} is no connector file: {reason}", path.display()) })
}
