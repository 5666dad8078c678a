//! `config explain` and `config show`: what a setting is and where it came from, as text.

use crate::{Error, Settings, origin::Origin, settings::Setting};

/// A setting's value, and every value that it overrode:
/// ```text
/// broker.listen = 127.0.0.1:9093    TIDEMILL_BROKER_LISTEN in the environment
///    not 127.0.0.1:9092             default: Where the Kafka listener is.
/// ```
pub fn explain(settings: &Settings, key: &str) -> Result<String, Error> {
    let Some(setting) = settings.get(key).filter(|setting| !setting.kind.is_open()) else {
        let nearest = settings.nearest(key, 0.6);
        return Err(Error::UnknownKey {
            key: key.to_owned(),
            origin: Box::new(Origin::Flag("config explain".to_owned())),
            nearest,
        });
    };
    let mut lines = Vec::new();
    for (row, (origin, text)) in setting.layers().enumerate() {
        let shown = shown(setting, text);
        let left = if row == 0 { format!("{key} = {shown}") } else { format!("   not {shown}") };
        let right = match origin {
            Origin::Default { .. } => format!("default: {}", setting.doc),
            other => other.to_string(),
        };
        lines.push((left, right));
    }
    let width = lines.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    Ok(lines.iter().map(|(left, right)| format!("{left:width$}    {right}\n")).collect())
}

/// Every setting in force, a line each, with where it came from.
pub fn show(settings: &Settings) -> String {
    let rows: Vec<(String, String)> = settings
        .iter()
        .map(|(key, setting)| {
            let (origin, text) = setting.value();
            (format!("{key} = {}", shown(setting, text)), origin.to_string())
        })
        .collect();
    let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("{left:width$}    {right}\n")).collect()
}

/// The same as JSON: `{"broker.listen": {"value": "…", "origin": "default", "doc": "…"}}`.
pub fn show_json(settings: &Settings) -> serde_json::Value {
    let entries = settings.iter().map(|(key, setting)| {
        let (origin, text) = setting.value();
        let entry = serde_json::json!({
            "value": if text.is_empty() { String::new() } else { shown(setting, text) },
            "origin": origin.to_string(),
            "doc": setting.doc,
        });
        (key.to_owned(), entry)
    });
    serde_json::Value::Object(entries.collect())
}

fn shown(setting: &Setting, text: &str) -> String {
    match (setting.is_secret(), text) {
        (_, "") => "(empty)".to_owned(),
        (true, _) => "***".to_owned(),
        (false, text) => text.to_owned(),
    }
}
