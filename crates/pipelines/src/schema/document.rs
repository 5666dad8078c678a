//! The schema document of dlt's engine 11: made, read, changed and hashed. What we do not understand in it stays.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use sha3::{Digest as _, Sha3_256};

use super::{Column, Stored, Table};
use crate::{DataType, TablesError};

pub(crate) const ENGINE_VERSION: u64 = 11;
/// How many hashes of earlier versions dlt keeps.
const PREVIOUS_HASHES_MAX: usize = 10;
/// What is no part of the content that the hash is of.
const NOT_HASHED: [&str; 4] = ["version", "version_hash", "imported_version_hash", "previous_hashes"];
/// Columns of our own making that are never null, and what dlt says of each.
const SYSTEM_COLUMNS: [(&str, &[&str]); 5] = [
    ("_dlt_id", &["unique", "row_key"]),
    ("_dlt_root_id", &["root_key"]),
    ("_dlt_parent_id", &["parent_key"]),
    ("_dlt_list_idx", &[]),
    ("_dlt_load_id", &[]),
];

#[derive(Debug, Clone)]
pub(crate) struct Document {
    root: Map<String, Json>,
}

impl Document {
    /// The schema of a pipeline that has loaded nothing yet.
    pub(crate) fn new(name: &str) -> Self {
        let root = json!({
            "version": null,
            "version_hash": null,
            "engine_version": ENGINE_VERSION,
            "name": name,
            "tables": {
                "_dlt_version": version_table(),
                "_dlt_loads": loads_table(),
                "_dlt_pipeline_state": state_table(),
            },
            "settings": {
                "detections": ["iso_timestamp"],
                "default_hints": {
                    "not_null": ["_dlt_id", "_dlt_root_id", "_dlt_parent_id", "_dlt_list_idx", "_dlt_load_id"],
                    "parent_key": ["_dlt_parent_id"],
                    "root_key": ["_dlt_root_id"],
                    "unique": ["_dlt_id"],
                    "row_key": ["_dlt_id"],
                },
            },
            "normalizers": {
                "names": "snake_case",
                "json": {"module": "dlt.common.normalizers.json.relational"},
            },
            "previous_hashes": [],
        });
        let Json::Object(root) = root else { unreachable!("an object is written above") };
        Self { root }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, TablesError> {
        let root: Map<String, Json> =
            serde_json::from_str(text).map_err(|source| TablesError::Stored { source })?;
        let not_schema = |reason: &str| TablesError::NotSchema { reason: reason.to_owned() };
        match root.get("engine_version").and_then(Json::as_u64) {
            Some(ENGINE_VERSION) => {}
            Some(found) => return Err(TablesError::Engine { found }),
            None => return Err(not_schema("it has no engine_version")),
        }
        if !root.get("name").is_some_and(Json::is_string) {
            return Err(not_schema("it has no name"));
        }
        let tables = root.get("tables").and_then(Json::as_object);
        let tables = tables.ok_or_else(|| not_schema("it has no tables"))?;
        match tables.iter().find(|(_, table)| !table.get("columns").is_some_and(Json::is_object)) {
            Some((name, _)) => Err(not_schema(&format!("its table {name} has no columns"))),
            None => Ok(Self { root }),
        }
    }

    fn tables(&self) -> &Map<String, Json> {
        static NONE: std::sync::LazyLock<Map<String, Json>> = std::sync::LazyLock::new(Map::new);
        self.root.get("tables").and_then(Json::as_object).unwrap_or(&NONE)
    }

    pub(crate) fn name(&self) -> &str {
        self.root.get("name").and_then(Json::as_str).unwrap_or_default()
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Map<String, Json>> {
        self.tables().get(name)?.as_object()
    }

    pub(crate) fn table_mut(&mut self, name: &str) -> Option<&mut Map<String, Json>> {
        self.root.get_mut("tables")?.get_mut(name)?.as_object_mut()
    }

    pub(crate) fn column(&self, table: &str, column: &str) -> Option<&Map<String, Json>> {
        self.table(table)?.get("columns")?.get(column)?.as_object()
    }

    pub(crate) fn insert_table(&mut self, name: &str, table: Map<String, Json>) {
        if let Some(Json::Object(tables)) = self.root.get_mut("tables") {
            tables.insert(name.to_owned(), Json::Object(table));
        }
    }

    /// Puts a column that has a type now behind all others; what was known of it before goes along.
    pub(crate) fn complete_column(&mut self, table: &str, mut column: Map<String, Json>) {
        let name = column.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let columns = self.table_mut(table).and_then(|table| table.get_mut("columns"));
        if let Some(Json::Object(columns)) = columns {
            if let Some(Json::Object(known)) = columns.shift_remove(&name) {
                column.extend(known);
            }
            columns.insert(name, Json::Object(column));
        }
    }

    /// What a pipeline file says of a column. The type of one that has data cannot be changed by it.
    pub(crate) fn declare_column(&mut self, table: &str, hint: Map<String, Json>) -> Result<(), TablesError> {
        let name = hint.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        let has =
            self.column(table, &name).and_then(|column| column.get("data_type")?.as_str().map(str::to_owned));
        if let (Some(has), Some(wants)) = (has, hint.get("data_type").and_then(Json::as_str))
            && has != wants
        {
            let (table, wants) = (table.to_owned(), wants.to_owned());
            return Err(TablesError::Hint { table, column: name, has, wants });
        }
        if let Some(Json::Object(columns)) = self.table_mut(table).and_then(|table| table.get_mut("columns"))
        {
            match columns.get_mut(&name) {
                Some(Json::Object(known)) => known.extend(hint),
                Some(_) | None => {
                    columns.insert(name, Json::Object(hint));
                }
            }
        }
        Ok(())
    }

    /// The tables with the columns that have a type.
    pub(crate) fn compiled(&self) -> IndexMap<Arc<str>, Arc<Table>> {
        let compile = |(name, table): (&String, &Json)| {
            let name: Arc<str> = name.as_str().into();
            let parent = table.get("parent").and_then(Json::as_str).map(Arc::from);
            let columns = table.get("columns").and_then(Json::as_object);
            let columns = columns.into_iter().flatten();
            let columns =
                columns.filter_map(|(name, column)| Column::read(name, column.as_object()?)).collect();
            (name.clone(), Arc::new(Table::new(name, parent, columns)))
        };
        self.tables().iter().map(compile).collect()
    }

    pub(crate) fn text(&self) -> String {
        Json::Object(self.root.clone()).to_string()
    }

    /// The document to store, its version and hash brought up to date.
    pub(crate) fn stored(&mut self) -> Stored {
        let hash = self.hash();
        let version = self.root.get("version").and_then(Json::as_u64);
        let previous = self.root.get("version_hash").and_then(Json::as_str).map(str::to_owned);
        let version = match &previous {
            Some(previous) if *previous != hash => {
                self.keep_previous(previous);
                version.unwrap_or(0) + 1
            }
            Some(_) | None => version.unwrap_or(1),
        };
        self.root.insert("version".to_owned(), version.into());
        self.root.insert("version_hash".to_owned(), hash.clone().into());
        Stored {
            name: self.name().to_owned(),
            version,
            version_hash: hash,
            engine_version: ENGINE_VERSION,
            text: self.text(),
        }
    }

    fn keep_previous(&mut self, hash: &str) {
        let hashes = self.root.entry("previous_hashes").or_insert_with(|| json!([]));
        if let Json::Array(hashes) = hashes
            && !hashes.iter().any(|known| known == hash)
        {
            hashes.insert(0, hash.into());
            hashes.truncate(PREVIOUS_HASHES_MAX);
        }
    }

    /// Of the content with sorted keys, then of all columns in their order.
    fn hash(&self) -> String {
        let mut content = self.root.clone();
        for name in NOT_HASHED {
            content.shift_remove(name);
        }
        let mut content = Json::Object(content);
        content.sort_all_objects();
        let mut hash = Sha3_256::new();
        hash.update(content.to_string());
        let mut names: Vec<&String> = self.tables().keys().collect();
        names.sort();
        for name in names {
            hash.update(name);
            let columns = self.table(name).and_then(|table| table.get("columns")?.as_object());
            columns.into_iter().flat_map(Map::keys).for_each(|column| hash.update(column));
        }
        STANDARD.encode(hash.finalize())
    }
}

impl Column {
    /// `None` where the column has no type yet.
    pub(crate) fn read(name: &str, column: &Map<String, Json>) -> Option<Self> {
        let number =
            |key| column.get(key).and_then(Json::as_u64).and_then(|number| u32::try_from(number).ok());
        let flag = |key, default| column.get(key).and_then(Json::as_bool).unwrap_or(default);
        let data_type = DataType::named(column.get("data_type")?.as_str()?)?;
        Some(Self {
            name: name.into(),
            data_type,
            is_nullable: flag("nullable", true),
            precision: number("precision"),
            scale: number("scale"),
            has_timezone: flag("timezone", true),
            is_primary_key: flag("primary_key", false),
        })
    }
}

/// What dlt writes of a column that it found in the data.
pub(crate) fn inferred_column(name: &str, data_type: DataType, is_variant: bool) -> Map<String, Json> {
    let system = SYSTEM_COLUMNS.iter().find(|(known, _)| *known == name);
    let mut column = Map::new();
    column.insert("name".to_owned(), name.into());
    column.insert("data_type".to_owned(), data_type.name().into());
    column.insert("nullable".to_owned(), system.is_none().into());
    for property in system.map_or(&[][..], |(_, properties)| properties) {
        column.insert((*property).to_owned(), true.into());
    }
    if is_variant {
        column.insert("variant".to_owned(), true.into());
        column.insert("description".to_owned(), format!("Variant of column {name} generated by dlt").into());
    }
    column
}

pub(crate) fn child_table(name: &str, parent: &str) -> Map<String, Json> {
    let mut table = Map::new();
    table.insert("name".to_owned(), name.into());
    table.insert("columns".to_owned(), json!({}));
    table.insert("parent".to_owned(), parent.into());
    table
}

/// Columns as an object: name, type, whether null, and what it is for.
fn columns(rows: &[(&str, DataType, bool, &str)]) -> Json {
    let column = |(name, data_type, nullable, description): &(&str, DataType, bool, &str)| {
        let column = json!({
            "name": name, "data_type": data_type.name(), "nullable": nullable, "description": description,
        });
        ((*name).to_owned(), column)
    };
    Json::Object(rows.iter().map(column).collect())
}

fn version_table() -> Json {
    let columns = columns(&[
        (
            "version",
            DataType::Bigint,
            false,
            "Numeric version of the schema, incremented on each schema change",
        ),
        (
            "engine_version",
            DataType::Bigint,
            false,
            "Version of the dlt schema engine that created this schema",
        ),
        ("inserted_at", DataType::Timestamp, false, "Timestamp when this schema version was stored"),
        ("schema_name", DataType::Text, false, "Name of the schema"),
        ("version_hash", DataType::Text, false, "Unique hash of the schema content, used to detect changes"),
        ("schema", DataType::Text, false, "JSON representation of the complete schema definition"),
    ]);
    json!({
        "name": "_dlt_version", "columns": columns, "write_disposition": "skip", "resource": "_dlt_version",
        "description": "Created by DLT. Tracks schema updates",
    })
}

fn loads_table() -> Json {
    let mut columns = columns(&[
        ("load_id", DataType::Text, false, "Unique identifier of the load operation"),
        ("schema_name", DataType::Text, true, "Name of the schema associated with this load"),
        ("status", DataType::Bigint, false, "Status of the load operation (0 = success)"),
        ("inserted_at", DataType::Timestamp, false, "Timestamp when the load was completed"),
        ("schema_version_hash", DataType::Text, true, "Hash of the schema version used during this load"),
    ]);
    columns["load_id"]["precision"] = 64.into();
    json!({
        "name": "_dlt_loads", "columns": columns, "write_disposition": "skip", "resource": "_dlt_loads",
        "description": "Created by DLT. Tracks completed loads",
    })
}

fn state_table() -> Json {
    let mut columns = columns(&[
        ("version", DataType::Bigint, false, "Numeric version of the pipeline state"),
        ("engine_version", DataType::Bigint, false, "Version of the dlt state engine"),
        ("pipeline_name", DataType::Text, false, "Name of the pipeline this state belongs to"),
        ("state", DataType::Text, false, "Compressed JSON representation of the pipeline state"),
        ("created_at", DataType::Timestamp, false, "Timestamp when this state was created"),
        ("version_hash", DataType::Text, true, "Hash of the state content, used to detect changes"),
        ("_dlt_load_id", DataType::Text, false, "Load identifier linking this row to its load operation"),
    ]);
    columns["_dlt_load_id"]["precision"] = 64.into();
    columns["_dlt_id"] = Json::Object(inferred_column("_dlt_id", DataType::Text, false));
    json!({
        "columns": columns, "write_disposition": "append", "file_format": "preferred",
        "name": "_dlt_pipeline_state", "resource": "_dlt_pipeline_state", "x-normalizer": {"seen-data": true},
    })
}

#[cfg(test)]
mod tests;
