//! Connector and contract files: their JSON, and where each value stands, for messages with file, line and column.

use std::sync::Arc;

use base::Spot;
use indexmap::IndexMap;

use crate::{Error, origin::TextFile, yaml};

/// `connectors/NAME.json`, in either of Kafka Connect's forms: `{"name", "config": {…}}`, or the config alone with its
/// `name` in it.
#[derive(Debug, Clone)]
pub struct ConnectorFile {
    pub file: TextFile,
    pub name: String,
    /// As Connect takes it: every value a text; numbers and booleans are written out.
    pub config: IndexMap<String, String>,
    spans: IndexMap<String, (usize, usize)>,
}

/// `contracts/NAME.json` (JSON Schema) or `contracts/NAME.avsc` (Avro).
#[derive(Debug, Clone)]
pub struct ContractFile {
    pub file: TextFile,
    /// The file's name without its ending.
    pub name: String,
    pub is_avro: bool,
    pub json: serde_json::Value,
}

impl ConnectorFile {
    /// The place of a key's value, else of the file's beginning.
    pub fn spot(&self, key: &str, label: impl Into<String>) -> Spot {
        let (start, length) = self.spans.get(key).copied().unwrap_or((0, 1));
        spot(&self.file, start, length, label)
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }
}

impl ContractFile {
    /// The place of the value at a dotted path (`properties.tailnum.type`), else of the file's beginning.
    pub fn spot(&self, path: &str, label: impl Into<String>) -> Spot {
        let (start, length) = spans(&self.file).get(path).copied().unwrap_or((0, 1));
        spot(&self.file, start, length, label)
    }
}

pub(crate) fn connector(file: TextFile) -> Result<ConnectorFile, Error> {
    let json = json(&file)?;
    let refuse = |start: usize, reason: &str| Error::Connector {
        file: file.clone(),
        start,
        reason: reason.to_owned(),
    };
    let serde_json::Value::Object(mut top) = json else { return Err(refuse(0, "it has to be an object")) };
    let all_spans = spans(&file);
    let (config, prefix) = match top.get("config") {
        Some(serde_json::Value::Object(_)) => match top.remove("config") {
            Some(serde_json::Value::Object(config)) => (config, "config."),
            _ => return Err(refuse(0, "`config` has to be an object")),
        },
        Some(_) => {
            return Err(refuse(
                all_spans.get("config").map_or(0, |span| span.0),
                "`config` has to be an object",
            ));
        }
        None => (std::mem::take(&mut top), ""),
    };
    let name = top.get("name").or_else(|| config.get("name")).and_then(|name| name.as_str());
    let name = name.ok_or_else(|| refuse(0, "it has no `name`"))?.to_owned();
    let mut texts = IndexMap::with_capacity(config.len());
    let mut places = IndexMap::with_capacity(config.len());
    for (key, value) in config {
        let place = all_spans.get(&format!("{prefix}{key}")).copied().unwrap_or((0, 1));
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Bool(value) => value.to_string(),
            serde_json::Value::Null => continue,
            _ => return Err(refuse(place.0, &format!("the value of `{key}` has to be a text"))),
        };
        places.insert(key.clone(), place);
        texts.insert(key, text);
    }
    Ok(ConnectorFile { name, config: texts, spans: places, file })
}

pub(crate) fn contract(file: TextFile) -> Result<ContractFile, Error> {
    let json = json(&file)?;
    let base = file.path.rsplit(['/', '\\']).next().unwrap_or(&file.path);
    let (name, ending) = base.rsplit_once('.').unwrap_or((base, ""));
    Ok(ContractFile { name: name.to_owned(), is_avro: ending == "avsc", json, file })
}

fn json(file: &TextFile) -> Result<serde_json::Value, Error> {
    serde_json::from_str(&file.text).map_err(|error| {
        let line_start: usize =
            file.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let start = (line_start + error.column().saturating_sub(1)).min(file.text.len());
        let start = (0..=start).rev().find(|byte| file.text.is_char_boundary(*byte)).unwrap_or(0);
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
        Error::Json { file: file.clone(), start, reason }
    })
}

/// JSON is YAML, and the YAML reader knows where things stand. Where it does not agree, nothing has a place.
fn spans(file: &TextFile) -> IndexMap<String, (usize, usize)> {
    let entries = yaml::entries(file).unwrap_or_default();
    entries.into_iter().map(|entry| (entry.key, entry.span)).collect()
}

fn spot(file: &TextFile, start: usize, length: usize, label: impl Into<String>) -> Spot {
    let (path, text): (Arc<str>, Arc<str>) = (file.path.clone(), file.text.clone());
    Spot::Text { path, text, start, length, label: label.into() }
}
