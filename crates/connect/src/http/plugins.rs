//! `/connector-plugins`: what can be created, its keys, and what is wrong with a configuration (`ConfigInfos`).

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::Uri,
};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{Shared, body, flag};
use crate::{
    Error,
    config::{self, Checked, Config, Definition, Finding, Kind, Plugin},
    worker::unknown_plugin,
};

pub(super) async fn list(State(_): Shared, uri: Uri) -> Json<Value> {
    let shown =
        |class: &str, kind: &str| json!({"class": class, "type": kind, "version": env!("CARGO_PKG_VERSION")});
    let connectors = config::PLUGINS.iter();
    let mut all: Vec<Value> = connectors
        .map(|plugin| json!({"class": plugin.class, "type": plugin.kind, "version": plugin.version}))
        .collect();
    if !flag(&uri, "connectorsOnly", true) {
        all.extend(config::CONVERTERS.iter().map(|class| shown(class, "converter")));
        all.extend(config::HEADER_CONVERTERS.iter().map(|class| shown(class, "header_converter")));
    }
    Json(Value::Array(all))
}

pub(super) async fn config(State(_): Shared, Path(name): Path<String>) -> Result<Json<Value>, Error> {
    let found = config::plugin(&name);
    let plugin = found.ok_or_else(|| Error::NotFound { what: format!("Unknown plugin {name}.") })?;
    Ok(Json(plugin.keys.iter().map(|key| definition(plugin, key)).collect()))
}

pub(super) async fn validate(
    State(worker): Shared,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, Error> {
    let given: IndexMap<String, Option<Value>> = body(&bytes)?;
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut given: Config = given.into_iter().filter_map(|(key, value)| Some((key, text(value?)))).collect();
    let plugin = config::plugin(&name).ok_or_else(|| unknown_plugin(&name))?;
    let class = given.entry("connector.class".to_owned()).or_insert_with(|| plugin.class.to_owned());
    if config::plugin(class).map(|plugin| plugin.class) != Some(plugin.class) {
        let reason = format!("Included connector type {class} does not match request type {name}");
        return Err(Error::Request { reason });
    }
    let connector = given.get("name").cloned().unwrap_or_default();
    Ok(Json(infos(&worker.check(&connector, &given)?)))
}

/// Connect's `ConfigInfos`.
fn infos(checked: &Checked) -> Value {
    let defined = checked.findings.iter().filter_map(|found| found.definition);
    let mut groups: Vec<&str> = Vec::new();
    for key in defined {
        if !groups.contains(&key.group) {
            groups.push(key.group);
        }
    }
    // A key with a prefix is only shown where something is wrong with it: the tables have no definition of it.
    let shown =
        checked.findings.iter().filter(|found| found.definition.is_some() || !found.errors.is_empty());
    json!({
        "name": checked.plugin.class,
        "error_count": checked.errors().count(),
        "groups": groups,
        "configs": shown.map(|found| info(checked.plugin, found)).collect::<Vec<_>>(),
    })
}

fn info(plugin: &Plugin, found: &Finding) -> Value {
    let shown = match found.definition {
        Some(key) => definition(plugin, key),
        None => json!({
            "name": found.name, "type": "STRING", "required": false, "default_value": null, "importance": "LOW",
            "documentation": "", "group": null, "width": "NONE", "display_name": found.name, "dependents": [],
            "order": -1,
        }),
    };
    let hidden =
        found.definition.is_some_and(|key| key.kind == Kind::Password) || config::is_secret_key(&found.name);
    let value =
        found.value.as_deref().map(|value| if hidden && !value.is_empty() { "[hidden]" } else { value });
    json!({
        "definition": shown,
        "value": {
            "name": found.name,
            "value": value,
            "recommended_values": found.definition.map(|key| key.recommended).unwrap_or_default(),
            "errors": found.errors,
            "visible": true,
        },
    })
}

/// Connect's `ConfigKeyInfo`.
fn definition(plugin: &Plugin, key: &Definition) -> Value {
    let order =
        plugin.keys.iter().filter(|other| other.group == key.group).position(|other| other.name == key.name);
    json!({
        "name": key.name,
        "type": key.kind.name(),
        "required": key.default.is_none(),
        "default_value": key.default_text(),
        "importance": key.importance.name(),
        "documentation": key.doc,
        "group": key.group,
        "width": "LONG",
        "display_name": key.display,
        "dependents": [],
        "order": order.map_or(-1, |at| at as i64 + 1),
    })
}
