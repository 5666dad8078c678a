//! The tables of a pipeline's schema: opened from what is stored, shared by all lanes, growing while documents come.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use indexmap::IndexMap;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json, json};

use crate::{
    ColumnHint, DataType, MergeStrategy, Mode, Naming, Nested, Normalizer, SchemaContract, Shape, Stored,
    Table, TablesError, WriteDisposition,
    schema::{
        Column,
        document::{Document, child_table, inferred_column},
    },
};

/// One for a pipeline run, shared by all its lanes. It is locked only when a lane sees something new.
pub struct Tables {
    state: Mutex<State>,
    revision: AtomicU64,
    naming: Naming,
}

struct State {
    document: Document,
    tables: IndexMap<Arc<str>, Arc<Table>>,
    /// Tables that have taken no data before this run: they may take their first columns whatever the contract says.
    fresh: HashSet<Arc<str>>,
}

/// A column as a lane needs it: where it stands and what it takes.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) index: usize,
    pub(crate) column: Column,
}

/// What a lane asks for when it meets something new.
pub(crate) struct Wanted<'a> {
    pub(crate) table: &'a str,
    /// The table above it, for one that may not be there yet.
    pub(crate) parent: Option<&'a str>,
    pub(crate) column: &'a str,
    pub(crate) data_type: DataType,
    pub(crate) is_variant: bool,
    pub(crate) hint: Option<&'a ColumnHint>,
}

/// What the schema says to it.
pub(crate) enum Answer {
    Placed(Placed),
    /// The contract does not let it in.
    Refused {
        entity: &'static str,
        mode: Mode,
    },
}

impl Tables {
    /// An empty schema. `name` is normalized as dlt does; `identifier_max` is the target's limit of names, if it has one.
    pub fn new(name: &str, identifier_max: Option<usize>) -> Self {
        let document = Document::new(&schema_name(name));
        Self::of(document, Naming::new(identifier_max))
    }

    /// From what `stored` gave, or what dlt stored: everything in it is kept, also what only dlt understands.
    pub fn open(text: &str, identifier_max: Option<usize>) -> Result<Self, TablesError> {
        Ok(Self::of(Document::parse(text)?, Naming::new(identifier_max)))
    }

    fn of(document: Document, naming: Naming) -> Self {
        let tables = document.compiled();
        let has_seen = |name: &str| {
            let table = document.table(name).and_then(|table| table.get("x-normalizer")?.get("seen-data"));
            table.and_then(Json::as_bool).unwrap_or(false)
        };
        let fresh = tables.keys().filter(|name| !has_seen(name)).cloned().collect();
        let state = Mutex::new(State { document, tables, fresh });
        Self { state, revision: AtomicU64::new(0), naming }
    }

    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// Puts a stream's root table, key and hints into the schema. Once for each stream, before its first normalizer.
    pub fn declare(&self, shape: &Shape) -> Result<(), TablesError> {
        let name = self.naming.name(&shape.table);
        let mut state = self.state.lock();
        if state.document.table(&name).is_none() {
            let table =
                json!({"columns": {}, "write_disposition": "append", "name": name, "resource": shape.table});
            if let Json::Object(table) = table {
                state.document.insert_table(&name, table);
            }
            state.fresh.insert(name.as_str().into());
        }
        for column in self.declared_columns(shape) {
            state.document.declare_column(&name, column)?;
        }
        if let Some(table) = state.document.table_mut(&name) {
            declare_properties(table, shape);
        }
        state.tables = state.document.compiled();
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Hints of the root table's own columns, then the key, then the cursor, in dlt's order. Fields further down get theirs
    /// when they come.
    fn declared_columns(&self, shape: &Shape) -> Vec<Map<String, Json>> {
        let own = shape.columns.iter().filter(|hint| !hint.is_excluded && !hint.name.contains('.'));
        let named = |hint: &ColumnHint| self.naming.name(hint.rename.as_deref().unwrap_or(&hint.name));
        let mut columns: IndexMap<String, Map<String, Json>> =
            own.map(|hint| (named(hint), hinted_column(&named(hint), hint))).collect();
        for key in &shape.primary_key {
            let name = self.column_of(shape, key);
            let column = columns.entry(name.clone()).or_insert_with(|| {
                Map::from_iter([("name".to_owned(), name.into()), ("nullable".to_owned(), false.into())])
            });
            column.entry("nullable").or_insert_with(|| false.into());
            column.insert("primary_key".to_owned(), true.into());
        }
        // One further down is no column that dlt would know beforehand.
        if let Some(cursor) = shape.cursor.as_ref().filter(|field| !field.contains('.')) {
            let name = self.column_of(shape, cursor);
            let column = columns
                .entry(name.clone())
                .or_insert_with(|| Map::from_iter([("name".to_owned(), name.into())]));
            column.insert("incremental".to_owned(), true.into());
        }
        columns.into_values().collect()
    }

    /// The column of a field, as the pipeline file or the convention calls it.
    fn column_of(&self, shape: &Shape, field: &str) -> String {
        let hint = shape.columns.iter().find(|hint| hint.name == field);
        let renamed = hint.and_then(|hint| hint.rename.as_deref());
        self.naming.name(&renamed.unwrap_or(field).replace('.', crate::naming::SEPARATOR))
    }

    /// For one lane: it holds the lane's view of the schema, and is meant for a thread that may block.
    pub fn normalizer(self: &Arc<Self>, shape: &Shape) -> Result<Normalizer, TablesError> {
        if self.table(&self.naming.name(&shape.table)).is_none() {
            self.declare(shape)?;
        }
        Ok(Normalizer::new(self.clone(), shape.clone()))
    }

    /// The document to store at a load's end. The version goes up by one where the content has changed since the last call.
    pub fn stored(&self) -> Stored {
        self.state.lock().document.stored()
    }

    /// The schema's name, normalized.
    pub fn name(&self) -> String {
        self.state.lock().document.name().to_owned()
    }

    /// The document as it is while a load goes on, its version and hash still those of the last load: what a second life
    /// of the load opens. Save it before an extent that changed it is committed; `revision` tells cheaply whether it has.
    pub fn draft(&self) -> String {
        self.state.lock().document.text()
    }

    /// Rises with each change of the schema.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// After the last extent of a load: the tables that got rows have seen data, as dlt marks it.
    pub fn mark_seen(&self, tables: &[Arc<str>]) {
        let mut state = self.state.lock();
        for name in tables {
            if let Some(table) = state.document.table_mut(name) {
                let marks = table.entry("x-normalizer").or_insert_with(|| json!({}));
                if let Json::Object(marks) = marks {
                    marks.shift_remove("evolve-columns-once");
                    marks.insert("seen-data".to_owned(), true.into());
                }
            }
            state.fresh.remove(name);
        }
        self.revision.fetch_add(1, Ordering::Release);
    }

    pub fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.state.lock().tables.get(name).cloned()
    }

    /// Data tables: parents before their children, in the order they came.
    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.state.lock().tables.values().filter(|table| !table.is_system()).cloned().collect()
    }

    /// The root table of a stream and the tables below it: what `replace` empties.
    pub fn tables_of(&self, shape: &Shape) -> Vec<Arc<Table>> {
        let root = self.naming.name(&shape.table);
        let mut found: Vec<Arc<Table>> = Vec::new();
        for table in self.tables() {
            let is_below = |parent: &Arc<str>| found.iter().any(|above| above.name == *parent);
            if *table.name == *root || table.parent.as_ref().is_some_and(is_below) {
                found.push(table);
            }
        }
        found
    }

    /// Finds the column that is wanted, or makes it where the contract lets it in.
    pub(crate) fn place(&self, wanted: &Wanted, contract: &SchemaContract) -> Answer {
        let mut state = self.state.lock();
        let state = &mut *state;
        let is_system = wanted.column.starts_with("_dlt");
        let table = state.tables.get(wanted.table).cloned();
        if let Some(placed) = table.as_deref().and_then(|table| placed(table, wanted.column)) {
            return Answer::Placed(placed);
        }
        let is_new = table.as_ref().is_none_or(|table| table.columns.is_empty());
        if is_new && contract.tables != Mode::Evolve {
            return Answer::Refused { entity: "tables", mode: contract.tables };
        }
        let may_grow = is_new || is_system || state.fresh.contains(wanted.table);
        if wanted.is_variant && !is_system && contract.data_type != Mode::Evolve {
            return Answer::Refused { entity: "data_type", mode: contract.data_type };
        }
        if !wanted.is_variant && !may_grow && contract.columns != Mode::Evolve {
            return Answer::Refused { entity: "columns", mode: contract.columns };
        }
        if table.is_none() {
            let parent = wanted.parent.unwrap_or_default();
            state.document.insert_table(wanted.table, child_table(wanted.table, parent));
            state.fresh.insert(wanted.table.into());
        }
        let mut column = inferred_column(wanted.column, wanted.data_type, wanted.is_variant);
        if let Some(hint) = wanted.hint {
            column.extend(hinted_column(wanted.column, hint));
        }
        state.document.complete_column(wanted.table, column);
        let column = state.document.column(wanted.table, wanted.column);
        let column = column.and_then(|column| Column::read(wanted.column, column));
        let mut columns = table.as_ref().map(|table| table.columns.clone()).unwrap_or_default();
        let index = columns.len();
        columns.extend(column.clone());
        let parent = table.map_or_else(|| wanted.parent.map(Arc::from), |table| table.parent.clone());
        let name: Arc<str> = wanted.table.into();
        state.tables.insert(name.clone(), Arc::new(Table::new(name, parent, columns)));
        self.revision.fetch_add(1, Ordering::Release);
        let column = column.expect("a column that was just given a type has one");
        Answer::Placed(Placed { index, column })
    }

    /// The column, where it is there and has a type.
    pub(crate) fn placed(&self, table: &str, column: &str) -> Option<Placed> {
        placed(self.state.lock().tables.get(table)?, column)
    }

    /// Columns that may never be null, also those that have no type yet.
    pub(crate) fn required(&self, table: &str) -> Vec<Arc<str>> {
        let state = self.state.lock();
        let columns = state.document.table(table).and_then(|table| table.get("columns")?.as_object());
        let is_required = |column: &Json| column.get("nullable").and_then(Json::as_bool) == Some(false);
        let names = columns.into_iter().flatten().filter(|(_, column)| is_required(column));
        names
            .map(|(name, _)| name.as_str().into())
            .filter(|name: &Arc<str>| !name.starts_with("_dlt"))
            .collect()
    }
}

fn placed(table: &Table, column: &str) -> Option<Placed> {
    let index = table.columns.iter().position(|known| *known.name == *column)?;
    Some(Placed { index, column: table.columns[index].clone() })
}

/// dlt wants Python identifiers of at most 64 characters.
fn schema_name(name: &str) -> String {
    Naming::new(Some(64)).name(name)
}

/// What a hint says, in dlt's words.
fn hinted_column(name: &str, hint: &ColumnHint) -> Map<String, Json> {
    let mut column = Map::new();
    column.insert("name".to_owned(), name.into());
    if let Some(data_type) = hint.data_type {
        column.insert("data_type".to_owned(), data_type.name().into());
    }
    if let Some(is_nullable) = hint.is_nullable {
        column.insert("nullable".to_owned(), is_nullable.into());
    }
    if let Some(precision) = hint.precision {
        column.insert("precision".to_owned(), precision.into());
    }
    if let Some(scale) = hint.scale {
        column.insert("scale".to_owned(), scale.into());
    }
    column
}

/// Disposition, contract and nesting of a root table.
fn declare_properties(table: &mut Map<String, Json>, shape: &Shape) {
    table.insert("write_disposition".to_owned(), shape.write_disposition.name().into());
    // Delete-insert is what dlt does where nothing is said.
    match shape.write_disposition {
        WriteDisposition::Merge(MergeStrategy::Upsert) => {
            table.insert("x-merge-strategy".to_owned(), "upsert".into());
        }
        WriteDisposition::Merge(MergeStrategy::DeleteInsert)
        | WriteDisposition::Append
        | WriteDisposition::Replace => {
            table.shift_remove("x-merge-strategy");
        }
    }
    if shape.contract == SchemaContract::default() {
        table.shift_remove("schema_contract");
    } else {
        let contract = json!({
            "tables": shape.contract.tables.name(),
            "columns": shape.contract.columns.name(),
            "data_type": shape.contract.data_type.name(),
        });
        table.insert("schema_contract".to_owned(), contract);
    }
    if let Nested::Flatten { max_nesting: Some(depth) } = shape.nested {
        let marks = table.entry("x-normalizer").or_insert_with(|| json!({}));
        if let Json::Object(marks) = marks {
            marks.insert("max_nesting".to_owned(), depth.into());
        }
    }
}

#[cfg(test)]
mod tests;
