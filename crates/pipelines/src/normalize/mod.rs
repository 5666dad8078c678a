//! Documents into rows of tables, as dlt's relational normalizer does it.
//!
//! `view` is what a lane knows of a table, `builder` a column being filled, `ids` the ids of rows, `flatten` an object's
//! way into one row, `raw` JSON text into values.

mod builder;
mod flatten;
mod ids;
mod raw;
mod view;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use base::{Batch, Body, Code, Header, Reject, Rejects, Value, code};
use bytes::Bytes;
use connectors::{TableForm, received};

use self::{
    flatten::{Entry, Fields},
    ids::RowId,
    view::View,
};
use crate::{
    MergeStrategy, Mode, Naming, Nested, RowPlace, Shape, Table, Tables, TablesError, WriteDisposition,
    encode::json,
    tables::{Answer, Wanted},
    types::Cell,
};

/// The depth to which dlt flattens where nobody says otherwise.
const NESTING_MAX: i64 = 1_000;
/// No column to add.
const NONE: (usize, Option<Cell>) = (0, None);
/// Connect's word for the stage that refuses a record at the sink.
const STAGE: &str = "TASK_PUT";

/// The header of a reject that is a part of a document whose rest is in its tables: alone it is no record.
pub const PART: &str = "tidemill.part";

/// Documents of one lane into rows of tables.
pub struct Normalizer {
    tables: Arc<Tables>,
    naming: Naming,
    shape: Shape,
    /// Hints by the normalized path of their field in the document.
    hints: HashMap<String, usize>,
    nesting_max: i64,
    form: TableForm,
    /// The root table first; a table stands behind its parent.
    views: Vec<View>,
    view_by_name: HashMap<Arc<str>, usize>,
    /// Counts documents, and rows, over the life of the lane.
    documents: u64,
    stamp: u64,
}

/// What a batch has become.
#[derive(Debug, Default)]
pub struct Normalized {
    /// Parents before their children. A table without rows is not there.
    pub tables: Vec<TableRows>,
    /// Documents that fit no table (a value no column takes, a null where none may be). None of their rows is in `tables`.
    pub rejects: Rejects,
    pub discarded: Discarded,
}

/// Rows of one table, with all the columns that it had when the batch was done.
#[derive(Debug, Clone)]
pub struct TableRows {
    pub table: Arc<Table>,
    pub columns: RecordBatch,
}

/// What the schema contract took out.
#[derive(Debug, Default)]
pub struct Discarded {
    pub rows_count: u64,
    pub values_count: u64,
    /// One for each, with its reason, for the dead letters: they are no failure.
    pub rejects: Rejects,
}

/// One call of `normalize`: what it reads, and what it has found so far. The vectors are kept for the next row.
struct Run<'a> {
    batch: &'a Batch,
    place: &'a RowPlace,
    row: usize,
    normalized: Normalized,
    entries: Vec<Entry<'a>>,
    stack: Vec<(usize, Fields<'a>, i64)>,
    lists: Vec<Vec<(usize, &'a [Value])>>,
}

/// Why a document does not become rows.
enum Stop {
    /// It alone is refused.
    Reject(String),
    /// Nothing goes on.
    Fail(TablesError),
}

/// What becomes of a row of a child table.
#[derive(Clone, Copy)]
struct Above<'a> {
    parent: RowId<'a>,
    root: RowId<'a>,
    index: usize,
}

/// What a row is made of.
#[derive(Clone, Copy)]
enum Content<'a> {
    Object(Fields<'a>),
    /// A list in a list: a row of its own, whose only field is `list`.
    List(&'a Value),
    /// Anything else in a list: the column `value`.
    Plain(&'a Value),
}

impl Normalizer {
    pub(crate) fn new(tables: Arc<Tables>, shape: Shape) -> Self {
        let naming = tables.naming();
        let path = |name: &str| naming.name(&name.replace('.', crate::naming::SEPARATOR));
        let hints = shape.columns.iter().enumerate().map(|(at, hint)| (path(&hint.name), at)).collect();
        let nesting_max = match shape.nested {
            Nested::Flatten { max_nesting } => max_nesting.map_or(NESTING_MAX, i64::from),
            Nested::Keep => 0,
        };
        let root: Arc<str> = naming.name(&shape.table).into();
        let mut view = View::new(root.clone(), None, vec![root.clone()], String::new());
        view.required = tables.required(&root).iter().map(|name| view.slot(name)).collect();
        let view_by_name = HashMap::from([(root, 0)]);
        let mut normalizer = Self {
            tables,
            naming,
            shape,
            hints,
            nesting_max,
            form: |_, _| None,
            views: Vec::new(),
            view_by_name,
            documents: 0,
            stamp: 0,
        };
        normalizer.look_up(&mut view);
        normalizer.views.push(view);
        normalizer
    }

    /// Takes the source's word for what its own types are in a table: a regular expression its pattern, and so on.
    pub fn with_table_form(self, form: TableForm) -> Self {
        Self { form, ..self }
    }

    /// The rows of all tables that the documents of a batch become. Raw batches are read as JSON documents, tombstones
    /// are passed over.
    pub fn normalize(&mut self, batch: &Batch, place: &RowPlace) -> Result<Normalized, TablesError> {
        let mut normalized = Normalized::default();
        let parsed;
        let (values, is_read): (&[Value], _) = match &batch.body {
            Body::Rows(rows) => (rows, None),
            Body::Raw(texts) => {
                let (read, is_read) = raw::values(batch, texts, &mut normalized.rejects);
                parsed = read;
                (&parsed, Some(is_read))
            }
            Body::Columns(_) => return Err(TablesError::Form),
        };
        let mut run = Run {
            batch,
            place,
            row: 0,
            normalized,
            entries: Vec::new(),
            stack: Vec::new(),
            lists: Vec::new(),
        };
        for (row, value) in values.iter().enumerate() {
            if batch.envelope.is_tombstone(row) || is_read.as_ref().is_some_and(|is_read| !is_read[row]) {
                continue;
            }
            run.row = row;
            self.document(&mut run, value)?;
        }
        let mut normalized = run.normalized;
        for view in self.views.iter_mut().filter(|view| view.rows > 0) {
            if let Some(table) = self.tables.table(&view.name) {
                let columns = view.finish(&table).map_err(|source| TablesError::Columns { source })?;
                normalized.tables.push(TableRows { table, columns });
            }
        }
        Ok(normalized)
    }

    fn document<'a>(&mut self, run: &mut Run<'a>, value: &'a Value) -> Result<(), TablesError> {
        self.documents += 1;
        let before = &run.normalized.discarded;
        let (rows_count, values_count, rejects_count) =
            (before.rows_count, before.values_count, before.rejects.0.len());
        let content = Fields::of(value).map_or(Content::Plain(value), Content::Object);
        let stop = match self.row(run, 0, content, self.nesting_max, None) {
            Ok(()) => return Ok(()),
            Err(stop) => stop,
        };
        for view in &mut self.views {
            view.take_back(self.documents);
        }
        match stop {
            Stop::Fail(error) => {
                self.views.iter_mut().for_each(View::empty);
                Err(error)
            }
            Stop::Reject(reason) => {
                let discarded = &mut run.normalized.discarded;
                (discarded.rows_count, discarded.values_count) = (rows_count, values_count);
                discarded.rejects.0.truncate(rejects_count);
                let reject = run.whole(code::TM1201, reason);
                run.normalized.rejects.0.push(reject);
                Ok(())
            }
        }
    }

    /// One row of a table, then the rows below it.
    fn row<'a>(
        &mut self,
        run: &mut Run<'a>,
        at: usize,
        content: Content<'a>,
        level: i64,
        above: Option<Above<'a>>,
    ) -> Result<(), Stop> {
        self.stamp += 1;
        self.views[at].stamp = self.stamp;
        self.views[at].begin(self.documents);
        let mut lists = run.lists.pop().unwrap_or_default();
        let mut entries = std::mem::take(&mut run.entries);
        let given = self.collect(run, at, content, level, &mut entries, &mut lists);
        let id = match (given, &above) {
            (Some(text), _) => RowId::Given(text),
            (None, Some(above)) => ids::child(&above.parent, &self.views[at].name, above.index),
            (None, None) => self.root_id(run, &entries)?,
        };
        let written = self.write(run, at, &entries, id, above.as_ref());
        entries.clear();
        run.entries = entries;
        if written? {
            let root = above.map_or(id, |above| above.root);
            for (list, items) in lists.drain(..) {
                self.list(run, at, list, items, level - 1, id, root)?;
            }
        }
        lists.clear();
        run.lists.push(lists);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what a row hands down to its lists, all of it scalar")]
    fn list<'a>(
        &mut self,
        run: &mut Run<'a>,
        parent: usize,
        list: usize,
        items: &'a [Value],
        level: i64,
        id: RowId<'a>,
        root: RowId<'a>,
    ) -> Result<(), Stop> {
        if items.is_empty() {
            return Ok(());
        }
        let at = match self.views[parent].lists[list].view {
            Some(at) => at,
            None => self.child(parent, list),
        };
        for (index, item) in items.iter().enumerate() {
            let above = Some(Above { parent: id, root, index });
            match (Fields::of(item), item.plain()) {
                _ if self.has_form(item) => self.row(run, at, Content::Plain(item), level, above)?,
                (Some(fields), _) => self.row(run, at, Content::Object(fields), level, above)?,
                (None, list @ Value::List(_)) => self.row(run, at, Content::List(list), level - 1, above)?,
                (None, _) => self.row(run, at, Content::Plain(item), level, above)?,
            }
        }
        Ok(())
    }

    /// The view of the child table that a list becomes; two lists may become the same.
    fn child(&mut self, parent: usize, list: usize) -> usize {
        let mut view = self.views[parent].child(list, &self.naming);
        let at = match self.view_by_name.get(&view.name) {
            Some(at) => *at,
            None => {
                self.view_by_name.insert(view.name.clone(), self.views.len());
                self.look_up(&mut view);
                self.views.push(view);
                self.views.len() - 1
            }
        };
        self.views[parent].lists[list].view = Some(at);
        at
    }

    /// Where the slots stand in the schema that have come from elsewhere than the plan of a field.
    fn look_up(&self, view: &mut View) {
        for slot in &mut view.slots {
            slot.placed = self.tables.placed(&view.name, &slot.name);
        }
    }

    fn root_id<'a>(&self, run: &Run<'a>, entries: &[Entry<'a>]) -> Result<RowId<'a>, Stop> {
        let view = &self.views[0];
        if self.shape.write_disposition != WriteDisposition::Merge(MergeStrategy::Upsert) {
            return Ok(ids::root(&view.name, run.place, run.batch, run.row));
        }
        let mut key: Vec<(&str, &Value)> = Vec::new();
        for name in &self.shape.primary_key {
            let name = self.naming.name(&name.replace('.', crate::naming::SEPARATOR));
            let entry = entries.iter().find(|entry| *view.slots[entry.slot].name == *name);
            let entry = entry.ok_or_else(|| Stop::Reject(format!("{name}: the primary key is missing")))?;
            key.push((&view.slots[entry.slot].name, &*entry.value));
        }
        key.sort_by_key(|(name, _)| *name);
        let mut text = Vec::new();
        json::object(key.into_iter(), &mut text);
        Ok(ids::keyed(&text))
    }

    /// Puts a row's values into their columns. `false`: the contract has taken the row out, and what is below it.
    fn write<'a>(
        &mut self,
        run: &mut Run<'a>,
        at: usize,
        entries: &[Entry<'a>],
        id: RowId<'a>,
        above: Option<&Above<'a>>,
    ) -> Result<bool, Stop> {
        if let Some(mode) = self.views[at].refused {
            self.discard_row(run, at, entries, "tables", mode);
            return Ok(false);
        }
        for entry in entries {
            if self.views[at].takes(entry.slot, &entry.value) {
                continue;
            }
            let cell = Cell::of(&entry.value);
            if matches!(cell, Cell::Null) {
                continue;
            }
            if let Some((entity, mode)) = self.put(run, at, entry.slot, cell, false)? {
                let is_row = entity == "tables" || mode == Mode::DiscardRow;
                if is_row {
                    self.discard_row(run, at, entries, entity, mode);
                    return Ok(false);
                }
                self.discard_value(run, at, entry, entity, mode);
            }
        }
        let system = self.views[at].system;
        let text = |text| Some(Cell::Text(Cow::Borrowed(text)));
        let has_root = matches!(self.shape.write_disposition, WriteDisposition::Merge(_));
        let added = match &above {
            None => [(system.load_id, text(&run.place.load_id)), (system.id, text(id.text())), NONE, NONE],
            Some(above) => [
                (system.root_id, text(above.root.text()).filter(|_| has_root)),
                (system.parent_id, text(above.parent.text())),
                (system.list_index, i64::try_from(above.index).ok().map(Cell::Int)),
                (system.id, text(id.text())),
            ],
        };
        for (slot, cell) in added {
            let Some(cell) = cell else { continue };
            if matches!(&cell, Cell::Text(text) if self.views[at].takes_text(slot, text)) {
                continue;
            }
            if let Some((entity, mode)) = self.put(run, at, slot, cell, false)? {
                self.discard_row(run, at, entries, entity, mode);
                return Ok(false);
            }
        }
        let view = &mut self.views[at];
        if let Some(slot) = view.required.iter().find(|slot| !view.has_value(**slot)) {
            let name = &view.slots[*slot].name;
            return Err(Stop::Reject(format!("{name}: null or missing, and the column may not be null")));
        }
        view.rows += 1;
        Ok(true)
    }

    /// One value into its column, or into the variant of its type. What the contract does not let in is answered.
    fn put(
        &mut self,
        run: &Run,
        at: usize,
        slot: usize,
        cell: Cell,
        is_variant: bool,
    ) -> Result<Option<(&'static str, Mode)>, Stop> {
        if self.views[at].slots[slot].placed.is_none()
            && let Some(refusal) = self.place(run, at, slot, &cell, is_variant)?
        {
            return Ok(Some(refusal));
        }
        let view = &mut self.views[at];
        let Some(cell) = view.put(slot, cell).map_err(Stop::Reject)? else { return Ok(None) };
        let (Some(own), Some(placed)) = (cell.data_type(), &view.slots[slot].placed) else { return Ok(None) };
        let column = &placed.column;
        if is_variant {
            let (name, has) = (&column.name, column.data_type.name());
            return Err(Stop::Reject(format!(
                "{name}: the column is {has}, and this {} is none",
                own.name()
            )));
        }
        let known = view.slots[slot].variants.iter().find(|(data_type, _)| *data_type == own);
        let variant = match known {
            Some((_, variant)) => *variant,
            None => {
                let name = self.naming.joined(&[&column.name, &format!("v_{}", own.name())]);
                let variant = view.slot(&name);
                view.slots[variant].placed = self.tables.placed(&view.name, &name);
                view.slots[slot].variants.push((own, variant));
                variant
            }
        };
        self.put(run, at, variant, cell, true)
    }

    /// Finds or makes the column of a slot. The contract's answer is remembered.
    fn place(
        &mut self,
        run: &Run,
        at: usize,
        slot: usize,
        cell: &Cell,
        is_variant: bool,
    ) -> Result<Option<(&'static str, Mode)>, Stop> {
        let view = &self.views[at];
        if let Some(refusal) = view.slots[slot].refused {
            return Ok(Some(refusal));
        }
        let hint = view.slots[slot].hint.map(|hint| &self.shape.columns[hint]);
        let hinted = hint.and_then(|hint| hint.data_type);
        let Some(data_type) = hinted.or_else(|| cell.inferred()) else { return Ok(None) };
        let wanted = Wanted {
            table: &view.name,
            parent: view.parent.as_deref(),
            column: &view.slots[slot].name,
            data_type,
            is_variant,
            hint,
        };
        let (entity, mode) = match self.tables.place(&wanted, &self.shape.contract) {
            Answer::Placed(placed) => {
                self.views[at].slots[slot].placed = Some(placed);
                return Ok(None);
            }
            Answer::Refused { entity, mode } => (entity, mode),
        };
        if mode == Mode::Freeze {
            let what = match entity {
                "tables" => format!("the table {} is new", view.name),
                "data_type" => format!("{} is a new type of its column", view.slots[slot].name),
                _ => format!("the column {} is new", view.slots[slot].name),
            };
            let (table, origin) = (view.name.to_string(), run.batch.origin(run.row));
            return Err(Stop::Fail(TablesError::Frozen { table, entity, what, origin }));
        }
        let view = &mut self.views[at];
        if entity == "tables" {
            view.refused = Some(mode);
        } else {
            view.slots[slot].refused = Some((entity, mode));
        }
        Ok(Some((entity, mode)))
    }

    fn discard_row(&mut self, run: &mut Run, at: usize, entries: &[Entry], entity: &str, mode: Mode) {
        let view = &mut self.views[at];
        view.take_back_row();
        let is_root = view.parent.is_none();
        let fields = entries.iter().map(|entry| (&*view.slots[entry.slot].name, &*entry.value));
        let mut text = Vec::new();
        json::object(fields, &mut text);
        let reason = format!("{}: a row left out by the contract, {entity}: {}", view.name, mode.name());
        run.normalized.discarded.rows_count += 1;
        match is_root {
            // Of the document nothing was taken.
            true => {
                let whole = run.whole(code::TM1202, reason);
                run.normalized.discarded.rejects.0.push(whole);
            }
            false => run.part(reason, text),
        }
    }

    fn discard_value(&mut self, run: &mut Run, at: usize, entry: &Entry, entity: &str, mode: Mode) {
        let view = &self.views[at];
        let mut text = Vec::new();
        json::value(&entry.value, &mut text);
        let column = &view.slots[entry.slot].name;
        let reason =
            format!("{}.{column}: a value left out by the contract, {entity}: {}", view.name, mode.name());
        run.normalized.discarded.values_count += 1;
        run.part(reason, text);
    }
}

impl Run<'_> {
    /// The document at hand, none of which is in a table.
    fn whole(&self, code: Code, reason: String) -> Reject {
        let mut reject = formats::reject(self.batch, self.row, code, STAGE, reason);
        match &self.batch.body {
            Body::Rows(rows) => received::tell(&rows[self.row], &mut reject),
            // JSON says it all.
            Body::Raw(_) | Body::Columns(_) => {
                let types = Some(Bytes::from_static(b"{}"));
                reject.headers.push(Header { name: received::TYPES.into(), value: types });
            }
        }
        reject
    }

    /// What was left out of the document at hand, whose other rows and values are in their tables.
    fn part(&mut self, reason: String, value: Vec<u8>) {
        let mut reject = formats::reject(self.batch, self.row, code::TM1202, STAGE, reason);
        reject.value = Some(Bytes::from(value));
        reject.headers.push(Header { name: PART.into(), value: None });
        self.normalized.discarded.rejects.0.push(reject);
    }
}

impl TableRows {
    /// The same rows with the columns of a later table: new ones are null.
    pub fn widened(&self, table: &Arc<Table>) -> TableRows {
        let columns: Vec<ArrayRef> = table
            .arrow
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| match self.columns.columns().get(at) {
                Some(array) => array.clone(),
                None => new_null_array(field.data_type(), self.columns.num_rows()),
            })
            .collect();
        let fields = table.arrow.fields().iter().zip(&columns);
        let field = |(field, array): (&Arc<arrow_schema::Field>, &ArrayRef)| {
            let is_nullable = field.is_nullable() || array.null_count() > 0;
            field.as_ref().clone().with_nullable(is_nullable)
        };
        let schema = Arc::new(arrow_schema::Schema::new(fields.map(field).collect::<Vec<_>>()));
        let columns =
            RecordBatch::try_new(schema, columns).expect("columns of one table, and all of one length");
        TableRows { table: table.clone(), columns }
    }
}

#[cfg(test)]
mod tests;
