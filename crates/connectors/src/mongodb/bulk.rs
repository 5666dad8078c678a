//! The records of a batch as statements of `insert`, `update` and `delete`: built once, in one buffer, on a thread that
//! may block.

use std::{collections::HashMap, ops::Range};

use arrow_array::Array;
use base::{Batch, Body, Code, Reject, Rejects, Split, code};
use engine::body_bytes;

use super::{
    SinkConfig, Write,
    decode::{self, Element},
    encode::{self, Reason},
    json,
    types::{self, kind},
};

/// The largest document there is.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// The statements of one command. They share a document with the command itself, which may have a little more.
const COMMAND_BYTES_MAX: usize = 16 << 20;
/// What is sent at once where documents are small: enough that the way there and back does not count, and little enough that a batch
/// of 4 MB keeps several of the server's threads at work.
const COMMAND_BYTES: usize = 1 << 20;
const COMMAND_STATEMENTS_MAX: usize = 20_000;
const STAGE: &str = "TASK_PUT";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
}

impl Kind {
    /// The command, and the name of its list.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::Insert => ("insert", "documents"),
            Kind::Update => ("update", "updates"),
            Kind::Delete => ("delete", "deletes"),
        }
    }
}

/// One record's statement.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) kind: Kind,
    pub(super) row: usize,
    /// The document that stands in the command's list.
    pub(super) bytes: Range<usize>,
    /// The `_id` was made here, of where the record lies: who has it already is this record.
    pub(super) is_named_by_position: bool,
}

/// The statements of a batch, and the rows that cannot become one.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) statements: Vec<Statement>,
    pub(super) buffer: Vec<u8>,
    pub(super) rejects: Rejects,
    /// Statements that touch the same document have to be executed in their order.
    pub(super) is_ordered: bool,
}

impl Bulk {
    pub(super) fn statement(&self, at: usize) -> &[u8] {
        &self.buffer[self.statements[at].bytes.clone()]
    }

    /// Cuts statements of one kind into commands.
    pub(super) fn commands(&self, statements: &[usize]) -> Vec<Vec<usize>> {
        let (mut commands, mut open, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut kind = None;
        for at in statements {
            let statement = &self.statements[*at];
            // Each stands in the list with a type and its number.
            let size = statement.bytes.len() + 12;
            let is_other = kind.is_some_and(|kind| kind != statement.kind);
            let is_full = open.len() >= COMMAND_STATEMENTS_MAX || bytes + size > COMMAND_BYTES;
            if !open.is_empty() && (is_other || is_full) {
                commands.push(std::mem::take(&mut open));
                bytes = 0;
            }
            kind = Some(statement.kind);
            bytes += size;
            open.push(*at);
        }
        if !open.is_empty() {
            commands.push(open);
        }
        commands
    }
}

/// Builds the statements of a batch.
pub(super) struct Builder<'a> {
    config: &'a SinkConfig,
    split: &'a Split,
    batch: &'a Batch,
    bulk: Bulk,
    /// The fields of the record at hand.
    record: Vec<u8>,
    /// What the record at hand is told apart by, and the statements that others of the batch have.
    key: Vec<u8>,
    by_key: HashMap<Box<[u8]>, usize>,
}

/// A statement in the buffer, before it counts.
struct Written {
    start: usize,
    /// The bytes of its document.
    size: usize,
    is_by_position: bool,
}

/// Which document a record is.
struct Identity {
    /// The type and the value of its `_id`.
    id: Option<(u8, Vec<u8>)>,
    /// It stands among the record's fields.
    is_own: bool,
    is_by_position: bool,
}

impl Identity {
    /// Of a record that has none.
    fn made(id: Option<(u8, Vec<u8>)>) -> Self {
        Self { id, is_own: false, is_by_position: false }
    }
}

impl<'a> Builder<'a> {
    pub(super) fn build(config: &'a SinkConfig, split: &'a Split, batch: &'a Batch) -> Bulk {
        // BSON is about as long as JSON; `_id`s and numbers take more.
        let bytes = usize::try_from(body_bytes(&batch.body)).unwrap_or(0);
        let buffer = Vec::with_capacity(bytes + bytes / 4);
        let bulk = Bulk { is_ordered: config.is_ordered, buffer, ..Bulk::default() };
        let (record, key, by_key) = (Vec::new(), Vec::new(), HashMap::new());
        let mut builder = Self { config, split, batch, bulk, record, key, by_key };
        for row in 0..batch.len() {
            let start = builder.bulk.buffer.len();
            if let Err((code, reason)) = builder.row(row) {
                builder.bulk.buffer.truncate(start);
                builder.bulk.rejects.0.push(reject(batch, row, code, reason));
            }
        }
        builder.collapse();
        builder.bulk
    }

    fn row(&mut self, row: usize) -> Result<(), (Code, Reason)> {
        let refuse = |reason| (code::TM0737, reason);
        self.record.clear();
        self.key.clear();
        let is_tombstone = match &self.batch.body {
            Body::Raw(values) if values.is_null(row) => true,
            Body::Raw(values) => {
                json::append_json(values.value(row), &mut self.record).map_err(refuse)?;
                false
            }
            Body::Rows(_) if self.batch.envelope.is_tombstone(row) => true,
            Body::Rows(rows) => {
                encode::append_record(&rows[row], &mut self.record).map_err(refuse)?;
                false
            }
            Body::Columns(_) => return Err(refuse("it is a row of columns".to_owned())),
        };
        if is_tombstone {
            return self.delete(row).map_err(refuse);
        }
        let record = std::mem::take(&mut self.record);
        let written = self.write(row, &record);
        self.record = record;
        let Written { start, size, is_by_position } = written.map_err(refuse)?;
        if size > DOCUMENT_BYTES_MAX {
            let reason =
                format!("{size} bytes are more than the {DOCUMENT_BYTES_MAX} of the largest document");
            return Err((code::TM0738, reason));
        }
        let kind = match self.config.write {
            Write::Insert => Kind::Insert,
            Write::Upsert | Write::Replace | Write::Update => Kind::Update,
            Write::Delete => Kind::Delete,
        };
        self.push(kind, row, start, is_by_position);
        Ok(())
    }

    fn write(&mut self, row: usize, record: &[u8]) -> Result<Written, Reason> {
        let own = decode::find(record, "_id")?;
        let identity = self.identity(row, own)?;
        let start = self.bulk.buffer.len();
        let new_id = identity.id.as_ref().filter(|_| own.is_none());
        let size = 4 + record.len() + 1 + new_id.map_or(0, |(_, id)| 1 + b"_id\0".len() + id.len());
        match self.config.write {
            Write::Insert => {
                let id = identity.id.as_ref().ok_or(NAMELESS)?;
                let document = open(&mut self.bulk.buffer);
                append_id_first(&mut self.bulk.buffer, Some(id), identity.is_own, record);
                encode::close(&mut self.bulk.buffer, document);
            }
            Write::Replace | Write::Upsert | Write::Update => {
                expect_plain_names(record, self.config.write)?;
                self.append_update(record, &identity)?;
            }
            Write::Delete => self.append_delete(record, &identity)?,
        }
        Ok(Written { start, size, is_by_position: identity.is_by_position })
    }

    /// The record's own `_id`; else its key, where a record of the same key is the same document; else where it lies.
    fn identity(&self, row: usize, own: Option<Element<'_>>) -> Result<Identity, Reason> {
        if let Some(own) = own {
            if matches!(own.kind, kind::ARRAY | kind::REGEX | kind::UNDEFINED) {
                return Err("an _id cannot be an array, a regular expression or undefined".to_owned());
            }
            let id = Some((own.kind, own.value.to_vec()));
            return Ok(Identity { id, is_own: true, is_by_position: false });
        }
        let key = self.batch.envelope.key(row);
        let mark = self.batch.envelope.mark(row);
        if self.config.write != Write::Insert || mark.is_none() {
            if let Some(key) = key {
                return Ok(Identity::made(Some(id_of_key(key)?)));
            }
            if !self.config.key.is_empty() {
                return Ok(Identity::made(None));
            }
        }
        if matches!(self.config.write, Write::Update | Write::Delete) {
            return Err("it has neither _id nor key, which say the document that is meant".to_owned());
        }
        let mark = mark.ok_or(NAMELESS)?;
        let id = text_id(&format!("{}:{mark}", self.split.id));
        Ok(Identity { is_by_position: true, ..Identity::made(Some(id)) })
    }

    /// `{q, u, upsert}`.
    fn append_update(&mut self, record: &[u8], identity: &Identity) -> Result<(), Reason> {
        let mut out = std::mem::take(&mut self.bulk.buffer);
        let start = open(&mut out);
        let appended = self.append_query(&mut out, record, identity).map(|()| {
            let update = open_in(&mut out, "u");
            match self.config.write {
                Write::Insert | Write::Replace => {
                    let id = identity.id.as_ref().filter(|_| self.config.key.is_empty());
                    append_id_first(&mut out, id, identity.is_own, record);
                }
                Write::Upsert => {
                    append_set(&mut out, identity.id.as_ref(), record, self.config.key.is_empty())
                }
                // Nothing is inserted: this only keeps an update of no fields from being a replacement by nothing.
                Write::Update | Write::Delete => {
                    append_set(&mut out, Some(&(kind::NULL, Vec::new())), record, true)
                }
            }
            encode::close(&mut out, update);
            out.extend_from_slice(b"\x08upsert\0");
            out.push(u8::from(self.config.write != Write::Update));
            encode::close(&mut out, start);
        });
        self.bulk.buffer = out;
        appended
    }

    /// `{q, limit: 1}`.
    fn append_delete(&mut self, record: &[u8], identity: &Identity) -> Result<(), Reason> {
        let mut out = std::mem::take(&mut self.bulk.buffer);
        let start = open(&mut out);
        let appended = self.append_query(&mut out, record, identity).map(|()| {
            append_element(&mut out, kind::INT32, "limit", &1i32.to_le_bytes());
            encode::close(&mut out, start);
        });
        self.bulk.buffer = out;
        appended
    }

    /// Which document it is: by `_id`, or by the fields of `key`.
    fn append_query(&mut self, out: &mut Vec<u8>, record: &[u8], identity: &Identity) -> Result<(), Reason> {
        let query = open_in(out, "q");
        if self.config.key.is_empty() {
            let (kind, id) = identity.id.as_ref().ok_or(NAMELESS)?;
            append_equal(out, "_id", *kind, id);
            types::append_id_text(*kind, id, &mut self.key);
        }
        for name in &self.config.key {
            let element =
                find_path(record, name)?.ok_or_else(|| format!("it has no {name}, which is its key"))?;
            append_equal(out, name, element.kind, element.value);
            types::append_id_text(element.kind, element.value, &mut self.key);
            self.key.push(0);
        }
        encode::close(out, query);
        Ok(())
    }

    /// A tombstone's key is text; it means the text, or the ObjectId or number that is printed so.
    fn delete(&mut self, row: usize) -> Result<(), Reason> {
        if self.config.write == Write::Insert {
            return Err("it has no value, and write=insert deletes nothing".to_owned());
        }
        let name = match self.config.key.as_slice() {
            [] => "_id",
            [name] => name,
            _ => return Err("it has no value, and its key is not the fields of the setting key".to_owned()),
        };
        let key = self.batch.envelope.key(row).ok_or("it has neither value nor key")?;
        let key = std::str::from_utf8(key).map_err(|_| "its key is not text")?;
        let out = &mut self.bulk.buffer;
        let start = open(out);
        let query = open_in(out, "q");
        let condition = open_in(out, name);
        let list = open_list(out, "$in");
        let (kind, text) = text_id(key);
        append_element(out, kind, "0", &text);
        if let Some(id) = types::hex_bytes::<12>(key.as_bytes()) {
            append_element(out, kind::OBJECT_ID, "1", &id);
        } else if let Ok(number) = key.parse::<i64>() {
            append_element(out, kind::INT64, "1", &number.to_le_bytes());
        }
        for document in [list, condition, query] {
            encode::close(out, document);
        }
        append_element(out, kind::INT32, "limit", &1i32.to_le_bytes());
        encode::close(out, start);
        self.key.extend_from_slice(key.as_bytes());
        if !self.config.key.is_empty() {
            self.key.push(0);
        }
        self.push(Kind::Delete, row, start, false);
        Ok(())
    }

    fn push(&mut self, kind: Kind, row: usize, start: usize, is_named_by_position: bool) {
        let bytes = start..self.bulk.buffer.len();
        self.bulk.statements.push(Statement { kind, row, bytes, is_named_by_position });
        if kind == Kind::Insert || self.bulk.is_ordered {
            return;
        }
        let last = self.bulk.statements.len() - 1;
        if let Some(earlier) = self.by_key.insert(self.key.as_slice().into(), last) {
            if matches!(self.config.write, Write::Replace | Write::Delete) {
                // The last one wins: empty statements are taken out when all are known.
                self.bulk.statements[earlier].bytes = 0..0;
            } else {
                // Each sets fields of its own: one after the other.
                self.bulk.is_ordered = true;
            }
        }
    }

    fn collapse(&mut self) {
        self.bulk.statements.retain(|statement| !statement.bytes.is_empty());
    }
}

const NAMELESS: &str =
    "it has neither _id, key nor number, so that it would be stored again by a second life";

pub(super) fn reject(batch: &Batch, row: usize, code: Code, reason: impl Into<String>) -> Reject {
    formats::reject(batch, row, code, STAGE, reason)
}

/// Text, or bytes where it is none.
fn id_of_key(key: &[u8]) -> Result<(u8, Vec<u8>), Reason> {
    let text = std::str::from_utf8(key).map_err(|_| "its key is not text, and it has no _id")?;
    Ok(text_id(text))
}

fn text_id(text: &str) -> (u8, Vec<u8>) {
    let mut value = (text.len() as u32 + 1).to_le_bytes().to_vec();
    value.extend_from_slice(text.as_bytes());
    value.push(0);
    (kind::STRING, value)
}

/// A field by its path; dots go down.
fn find_path<'a>(elements: &'a [u8], path: &str) -> Result<Option<Element<'a>>, Reason> {
    if let Some(found) = decode::find(elements, path)? {
        return Ok(Some(found));
    }
    let Some((head, rest)) = path.split_once('.') else { return Ok(None) };
    match decode::find(elements, head)? {
        Some(Element { kind: kind::DOCUMENT, value, .. }) => find_path(&value[4..value.len() - 1], rest),
        _ => Ok(None),
    }
}

/// An update takes names that begin with `$` for operators, and dots in `$set` for paths.
fn expect_plain_names(record: &[u8], write: Write) -> Result<(), Reason> {
    for element in decode::elements(record) {
        let name = element?.name;
        if name.is_empty() || name[0] == b'$' || (write != Write::Replace && name.contains(&b'.')) {
            let name = String::from_utf8_lossy(name);
            return Err(format!("its field {name:?} has a name that write={write} cannot set"));
        }
    }
    Ok(())
}

fn open(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    start
}

fn open_in(out: &mut Vec<u8>, name: &str) -> usize {
    append_header(out, kind::DOCUMENT, name);
    open(out)
}

fn open_list(out: &mut Vec<u8>, name: &str) -> usize {
    append_header(out, kind::ARRAY, name);
    open(out)
}

fn append_header(out: &mut Vec<u8>, kind: u8, name: &str) {
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}

fn append_element(out: &mut Vec<u8>, kind: u8, name: &str, value: &[u8]) {
    append_header(out, kind, name);
    out.extend_from_slice(value);
}

/// `name: value`, or `name: {$eq: value}` where the value could be taken for operators.
fn append_equal(out: &mut Vec<u8>, name: &str, kind: u8, value: &[u8]) {
    if !matches!(kind, kind::DOCUMENT | kind::REGEX | kind::ARRAY) {
        return append_element(out, kind, name, value);
    }
    let equal = open_in(out, name);
    append_element(out, kind, "$eq", value);
    encode::close(out, equal);
}

/// The fields, `_id` in front, as mongod would store them; `is_own` where it is among them.
fn append_id_first(out: &mut Vec<u8>, id: Option<&(u8, Vec<u8>)>, is_own: bool, record: &[u8]) {
    if let Some((kind, id)) = id {
        append_element(out, *kind, "_id", id);
    }
    match id {
        Some(_) if is_own => append_without_id(out, record),
        _ => out.extend_from_slice(record),
    }
}

fn append_without_id(out: &mut Vec<u8>, record: &[u8]) {
    for element in decode::elements(record).flatten().filter(|element| element.name != b"_id") {
        out.push(element.kind);
        out.extend_from_slice(element.name);
        out.push(0);
        out.extend_from_slice(element.value);
    }
}

/// `$set` of all but the `_id`, which a new document gets by the query, or else by `$setOnInsert`.
fn append_set(out: &mut Vec<u8>, id: Option<&(u8, Vec<u8>)>, record: &[u8], is_id_in_query: bool) {
    let before = out.len();
    let set = open_in(out, "$set");
    let empty = out.len();
    append_without_id(out, record);
    if out.len() == empty {
        // Before 5.0 an empty `$set` is an error.
        out.truncate(before);
    } else {
        encode::close(out, set);
    }
    if let Some((kind, id)) = id
        && (!is_id_in_query || out.len() == before)
    {
        let once = open_in(out, "$setOnInsert");
        append_element(out, *kind, "_id", id);
        encode::close(out, once);
    }
}

/// A command over these statements, without what the driver adds.
pub(super) fn command(bulk: &Bulk, collection: &str, statements: &[usize], write_concern: &[u8]) -> Vec<u8> {
    let (name, list) = bulk.statements[statements[0]].kind.words();
    let size: usize = statements.iter().map(|at| bulk.statements[*at].bytes.len() + 12).sum();
    debug_assert!(statements.len() == 1 || size <= COMMAND_BYTES_MAX, "a command is bounded");
    let mut out = Vec::with_capacity(size + 256);
    let start = open(&mut out);
    append_element(&mut out, kind::STRING, name, &text_id(collection).1);
    append_element(&mut out, kind::BOOLEAN, "ordered", &[u8::from(bulk.is_ordered)]);
    append_element(&mut out, kind::DOCUMENT, "writeConcern", write_concern);
    let list = open_list(&mut out, list);
    let mut index = encode::Index::default();
    for at in statements {
        out.push(kind::DOCUMENT);
        out.extend_from_slice(index.next());
        out.push(0);
        out.extend_from_slice(bulk.statement(*at));
    }
    encode::close(&mut out, list);
    encode::close(&mut out, start);
    out
}
