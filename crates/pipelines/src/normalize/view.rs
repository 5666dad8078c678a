//! A lane's view of one table: which field of a document goes to which column, remembered from row to row, and the
//! columns being filled.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{ArrowError, Field, Schema};
use base::Value;

use super::builder::{Builder, Room};
use crate::{DataType, Mode, Naming, Table, naming::SEPARATOR, tables::Placed, types::Cell};

/// Names from a table's row down to a field, normalized.
pub(super) type Path = Vec<Arc<str>>;

pub(super) struct View {
    pub(super) name: Arc<str>,
    pub(super) parent: Option<Arc<str>>,
    /// The parts that the name is joined of.
    pub(super) path: Path,
    /// Names of the fields from the document down to this table's rows, joined; empty for the root table.
    pub(super) document_path: String,
    pub(super) frames: Vec<Frame>,
    frame_by_path: HashMap<Path, usize>,
    pub(super) slots: Vec<Slot>,
    slot_by_name: HashMap<Arc<str>, usize>,
    pub(super) lists: Vec<ListSlot>,
    list_by_path: HashMap<Path, usize>,
    pub(super) system: System,
    /// Slots that must have a value in each row.
    pub(super) required: Vec<usize>,
    builders: Vec<Option<Builder>>,
    /// What each column took in the batch before.
    rooms: Vec<Room>,
    pub(super) rows: usize,
    /// The row being read: a slot with this stamp has its entry already.
    pub(super) stamp: u64,
    /// The document that wrote here last, and how many rows there were before it.
    document: u64,
    document_rows: usize,
    /// The contract does not let this table come into being.
    pub(super) refused: Option<Mode>,
}

/// The fields of one object within a row: the row itself, or an object in it.
pub(super) struct Frame {
    pub(super) path: Path,
    pub(super) fields: Vec<FieldPlan>,
    pub(super) by_name: HashMap<Arc<str>, usize>,
}

/// What is known of a field by its name in the document.
pub(super) struct FieldPlan {
    pub(super) name: Arc<str>,
    /// The name normalized, or what the pipeline file calls it.
    pub(super) own: Arc<str>,
    pub(super) is_excluded: bool,
    pub(super) slot: usize,
    pub(super) list: Option<usize>,
    pub(super) frame: Option<usize>,
}

pub(super) struct Slot {
    pub(super) name: Arc<str>,
    pub(super) hint: Option<usize>,
    pub(super) placed: Option<Placed>,
    pub(super) variants: Vec<(DataType, usize)>,
    pub(super) refused: Option<(&'static str, Mode)>,
    pub(super) stamp: u64,
    pub(super) entry: usize,
}

/// A list in a row, and the view of the table that it becomes.
pub(super) struct ListSlot {
    pub(super) path: Path,
    pub(super) view: Option<usize>,
    pub(super) stamp: u64,
    pub(super) entry: usize,
}

/// Slots of the columns that we add.
#[derive(Clone, Copy)]
pub(super) struct System {
    pub(super) load_id: usize,
    pub(super) id: usize,
    pub(super) parent_id: usize,
    pub(super) list_index: usize,
    pub(super) root_id: usize,
    pub(super) value: usize,
}

impl View {
    pub(super) fn new(name: Arc<str>, parent: Option<Arc<str>>, path: Path, document_path: String) -> Self {
        let system = System { load_id: 0, id: 0, parent_id: 0, list_index: 0, root_id: 0, value: 0 };
        let mut view = Self {
            name,
            parent,
            path,
            document_path,
            frames: Vec::new(),
            frame_by_path: HashMap::new(),
            slots: Vec::new(),
            slot_by_name: HashMap::new(),
            lists: Vec::new(),
            list_by_path: HashMap::new(),
            system,
            required: Vec::new(),
            builders: Vec::new(),
            rooms: Vec::new(),
            rows: 0,
            stamp: 0,
            document: 0,
            document_rows: 0,
            refused: None,
        };
        view.system = System {
            load_id: view.slot("_dlt_load_id"),
            id: view.slot("_dlt_id"),
            parent_id: view.slot("_dlt_parent_id"),
            list_index: view.slot("_dlt_list_idx"),
            root_id: view.slot("_dlt_root_id"),
            value: view.slot("value"),
        };
        view.frame(Vec::new());
        view
    }

    pub(super) fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.slot_by_name.get(name) {
            return *slot;
        }
        let name: Arc<str> = name.into();
        self.slot_by_name.insert(name.clone(), self.slots.len());
        self.slots.push(Slot {
            name,
            hint: None,
            placed: None,
            variants: Vec::new(),
            refused: None,
            stamp: 0,
            entry: 0,
        });
        self.slots.len() - 1
    }

    pub(super) fn is_system(&self, slot: usize) -> bool {
        slot < self.system.value
    }

    pub(super) fn frame(&mut self, path: Path) -> usize {
        if let Some(frame) = self.frame_by_path.get(&path) {
            return *frame;
        }
        self.frame_by_path.insert(path.clone(), self.frames.len());
        self.frames.push(Frame { path, fields: Vec::new(), by_name: HashMap::new() });
        self.frames.len() - 1
    }

    pub(super) fn list(&mut self, path: Path) -> usize {
        if let Some(list) = self.list_by_path.get(&path) {
            return *list;
        }
        self.list_by_path.insert(path.clone(), self.lists.len());
        self.lists.push(ListSlot { path, view: None, stamp: 0, entry: 0 });
        self.lists.len() - 1
    }

    /// The field `name` of a frame; `guess` is where it stood in the row before.
    #[inline]
    pub(super) fn known_field(&mut self, frame: usize, guess: usize, name: &Arc<str>) -> Option<usize> {
        let frame = &mut self.frames[frame];
        match frame.fields.get_mut(guess) {
            Some(field) if Arc::ptr_eq(&field.name, name) => Some(guess),
            Some(field) if field.name == *name => {
                // Documents of a batch share their names: the next one's is found without a look at its letters.
                field.name = name.clone();
                Some(guess)
            }
            _ => frame.by_name.get(name).copied(),
        }
    }

    /// The document's path to a field of a frame.
    pub(super) fn path_in_document(&self, frame: usize, name: &str) -> String {
        let own = self.frames[frame].path.iter().map(|part| &**part);
        let parts: Vec<&str> = Some(&*self.document_path)
            .filter(|path| !path.is_empty())
            .into_iter()
            .chain(own)
            .chain(Some(name))
            .collect();
        parts.join(SEPARATOR)
    }

    /// The view of the table that a list becomes.
    pub(super) fn child(&self, list: usize, naming: &Naming) -> View {
        let list = &self.lists[list];
        let path: Path = self.path.iter().chain(&list.path).cloned().collect();
        let name = naming.joined(&path.iter().map(|part| &**part).collect::<Vec<_>>());
        let above = Some(self.document_path.as_str()).filter(|path| !path.is_empty());
        let document_path: Vec<&str> =
            above.into_iter().chain(list.path.iter().map(|part| &**part)).collect();
        View::new(name.into(), Some(self.name.clone()), path, document_path.join(SEPARATOR))
    }

    /// Whether the column of a slot takes the value without a look at any rule; if so, it is there.
    #[inline]
    pub(super) fn takes(&mut self, slot: usize, value: &Value) -> bool {
        let rows = self.rows;
        self.begun(slot).is_some_and(|builder| builder.takes(rows, value.plain()))
    }

    #[inline]
    pub(super) fn takes_text(&mut self, slot: usize, text: &str) -> bool {
        let rows = self.rows;
        self.begun(slot).is_some_and(|builder| builder.takes_text(rows, text))
    }

    /// The column of a slot, where it has a value already.
    #[inline]
    fn begun(&mut self, slot: usize) -> Option<&mut Builder> {
        let placed = self.slots[slot].placed.as_ref()?;
        self.builders.get_mut(placed.index)?.as_mut()
    }

    /// A value into the column of a slot that has one. A value that the column does not take comes back.
    #[inline]
    pub(super) fn put<'c>(&mut self, slot: usize, cell: Cell<'c>) -> Result<Option<Cell<'c>>, String> {
        let Some(placed) = &self.slots[slot].placed else { return Ok(Some(cell)) };
        let to = placed.column.data_type;
        let fitting = if cell.data_type() == Some(to) {
            cell
        } else {
            match cell.clone().coerced(to) {
                Some(fitting) => fitting,
                None => return Ok(Some(cell)),
            }
        };
        if self.builders.len() <= placed.index {
            self.builders.resize_with(placed.index + 1, || None);
        }
        let builder = self.builders[placed.index].get_or_insert_with(|| {
            let room = self.rooms.get(placed.index).copied().unwrap_or_default();
            Builder::new(to, placed.column.arrow(), room)
        });
        let put = builder.put(self.rows, fitting);
        put.map(|()| None).map_err(|reason| format!("{}: {reason}", placed.column.name))
    }

    pub(super) fn has_value(&self, slot: usize) -> bool {
        let placed = self.slots[slot].placed.as_ref();
        let builder = placed.and_then(|placed| self.builders.get(placed.index)?.as_ref());
        builder.is_some_and(|builder| builder.has(self.rows))
    }

    /// A document is about to write here: remembers what there is, for the case that it has to be taken back.
    pub(super) fn begin(&mut self, document: u64) {
        if self.document != document {
            self.document = document;
            self.document_rows = self.rows;
        }
    }

    /// Takes back what the document wrote, if it wrote here.
    pub(super) fn take_back(&mut self, document: u64) {
        if self.document == document {
            self.rows = self.document_rows;
            self.take_back_row();
        }
    }

    /// Forgets all rows.
    pub(super) fn empty(&mut self) {
        self.rows = 0;
        self.document_rows = 0;
        self.take_back_row();
    }

    /// Takes back the row that is being written.
    pub(super) fn take_back_row(&mut self) {
        let rows = self.rows;
        self.builders.iter_mut().flatten().for_each(|builder| builder.truncate(rows));
    }

    /// The rows as columns of `table`; the view begins anew.
    pub(super) fn finish(&mut self, table: &Table) -> Result<RecordBatch, ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.document_rows = 0;
        let mut builders = std::mem::take(&mut self.builders);
        builders.resize_with(table.columns.len(), || None);
        let room = |builder: &Option<Builder>| builder.as_ref().map(|builder| builder.room(rows));
        self.rooms = builders.iter().map(|builder| room(builder).unwrap_or_default()).collect();
        let column = |(builder, field): (Option<Builder>, &Arc<Field>)| match builder {
            Some(builder) => builder.finish(rows),
            None => Ok(new_null_array(field.data_type(), rows)),
        };
        let columns: Vec<ArrayRef> =
            builders.into_iter().zip(table.arrow.fields()).map(column).collect::<Result<_, _>>()?;
        let lacks = |(array, field): (&ArrayRef, &Arc<Field>)| !field.is_nullable() && array.null_count() > 0;
        if !columns.iter().zip(table.arrow.fields()).any(lacks) {
            return RecordBatch::try_new(table.arrow.clone(), columns);
        }
        // A column that may not be null came into being after rows without it.
        let field = |(array, field): (&ArrayRef, &Arc<Field>)| {
            let is_nullable = field.is_nullable() || array.null_count() > 0;
            field.as_ref().clone().with_nullable(is_nullable)
        };
        let fields: Vec<Field> = columns.iter().zip(table.arrow.fields()).map(field).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }
}
