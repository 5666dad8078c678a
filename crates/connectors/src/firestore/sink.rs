//! Documents by BatchWrite: several batches on their way at once, each write standing or falling for itself.
//!
//! A batch takes a document once: of the rows of one id the last one wins, and merges follow each other. What Firestore asks
//! to send again is sent again; what it will never take leaves as a reject, found by halving where a whole batch is
//! refused for one of its documents.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use arrow_array::Array;
use async_trait::async_trait;
use base::{
    Backoff, Batch, Body, Clock, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Sink, Split, Writer,
    code, crash_point,
};
use futures::{StreamExt, TryStreamExt, stream};
use googleapis_tonic_google_firestore_v1::google::firestore::v1::{
    self as pb, precondition::ConditionType, structured_query::FieldReference, structured_query::Projection,
    value::ValueType, write::Operation,
};
use prost::Message;
use tonic::{Code as Grpc, Status};

use super::{
    Error, SinkConfig, WriteMode,
    client::Client,
    errors::{Refusal, is_passing},
    filter::{NAME, segment},
    id, json,
    ramp::Ramp,
    reader::field_of,
    split::{Kind, Part},
    types::{self, Fields},
};

/// Firestore's own limits of a batch; the bytes with room for the request around them.
const WRITES_COUNT_MAX: usize = 500;
const WRITES_BYTES_MAX: usize = 9 << 20;
/// Firestore's own limit of a document.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Documents that are read at once, each of up to a megabyte.
const DOCUMENTS_ASKED_MAX: usize = 50;
const TRIES_COUNT_MAX: u32 = 8;
const WAIT_FIRST_MS: u64 = 100;
const WAIT_MS_MAX: u64 = 10_000;
const STAGE: &str = "TASK_PUT";

pub struct FirestoreSink {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    config: SinkConfig,
    ramp: Option<Ramp>,
}

impl FirestoreSink {
    /// Sets the client up; asks nothing of the network.
    ///
    /// # Errors
    /// An address that cannot be one.
    pub fn new(config: SinkConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let client = Client::new(&config.connection)?;
        let ramp = config.is_ramped.then(|| Ramp::new(clock));
        Ok(Self { shared: Arc::new(Shared { client, config, ramp }) })
    }
}

#[async_trait]
impl Sink for FirestoreSink {
    /// A collection comes to be with its first document; whether the database is there, an empty batch tells.
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        let Shared { client, config, .. } = &*self.shared;
        match client.batch_write(Vec::new()).await? {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Grpc::InvalidArgument => Ok(()),
            Err(status) => Err(client.error(&status, &config.collection).into()),
        }
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(DocumentWriter {
            shared: self.shared.clone(),
            split: split.clone(),
            start: Position::Start,
            number: 0,
        }))
    }

    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

struct DocumentWriter {
    shared: Arc<Shared>,
    split: Split,
    /// Of the open extent, and how many rows of it were offered.
    start: Position,
    number: u64,
}

/// Writes that go together, each with its row.
struct Group {
    rows: Vec<usize>,
    writes: Vec<pb::Write>,
}

/// The answers that are not final yet.
#[derive(Default)]
struct Sorted {
    /// The rows to send again, and why.
    again: Vec<usize>,
    last: Option<Status>,
    /// Rows whose documents are there already, and what Firestore says of it.
    doubtful: Vec<(usize, Status)>,
}

/// One row that is not to be written, with Firestore's reason or ours.
struct Refused {
    row: usize,
    code: base::Code,
    reason: String,
}

#[async_trait]
impl Writer for DocumentWriter {
    /// What an earlier life wrote past the checkpoint is written again, to the same documents.
    async fn recover(&mut self, saved: &Saved) -> Result<Option<Position>, Fault> {
        self.start = saved.position.clone();
        self.number = 0;
        Ok(None)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        if matches!(batch.body, Body::Columns(_)) {
            return Err(Fault::Fatal("Firestore takes rows or JSON, not columns".into()));
        }
        let (rounds, mut refused) = self.plan(batch);
        crash_point("firestore.write.before");
        for round in rounds {
            let sent: Vec<Vec<Refused>> = stream::iter(round)
                .map(|group| self.send(batch, group))
                .buffer_unordered(BATCHES_IN_FLIGHT_MAX)
                .try_collect()
                .await?;
            refused.extend(sent.into_iter().flatten());
        }
        crash_point("firestore.write.after");
        self.number += batch.len() as u64;
        refused.sort_by_key(|refused| refused.row);
        let reject =
            |refused: Refused| formats::reject(batch, refused.row, refused.code, STAGE, refused.reason);
        Ok(Rejects(refused.into_iter().map(reject).collect()))
    }

    /// Everything is in Firestore when `write` comes back.
    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        self.start = extent.end.clone();
        self.number = 0;
        Ok(Receipt::default())
    }
}

impl DocumentWriter {
    /// The rows as groups that Firestore takes, in rounds that follow each other: a round has a document once.
    fn plan(&self, batch: &Batch) -> (Vec<Vec<Group>>, Vec<Refused>) {
        let (mut writes, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
        for row in 0..batch.len() {
            match self.row(batch, row) {
                Ok(write) => writes.push((row, write)),
                Err(reason) => refused.push(Refused { row, code: code::TM0765, reason }),
            }
        }
        let numbers = self.rounds(&writes, &mut refused);
        let last = numbers.iter().flatten().max().copied().unwrap_or(0);
        let mut rounds: Vec<Vec<(usize, pb::Write)>> = Vec::new();
        rounds.resize_with(last + 1, Vec::new);
        for (write, number) in writes.into_iter().zip(numbers) {
            if let Some(number) = number {
                rounds[number].push(write);
            }
        }
        (rounds.into_iter().map(grouped).collect(), refused)
    }

    /// The round of each write; `None`: it is left out, since another row of the same document says all.
    fn rounds(&self, writes: &[(usize, pb::Write)], refused: &mut Vec<Refused>) -> Vec<Option<usize>> {
        let mut numbers = vec![Some(0); writes.len()];
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(writes.len());
        for (place, (row, write)) in writes.iter().enumerate() {
            let earlier = match seen.entry(name_of(write)) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                    continue;
                }
                Entry::Occupied(mut entry) if self.shared.config.write != WriteMode::Insert => {
                    entry.insert(place)
                }
                Entry::Occupied(entry) => *entry.get(),
            };
            match self.shared.config.write {
                WriteMode::Upsert | WriteMode::Delete => numbers[earlier] = None,
                WriteMode::Merge | WriteMode::Update => {
                    numbers[place] = numbers[earlier].map(|number| number + 1)
                }
                WriteMode::Insert => {
                    numbers[place] = None;
                    let reason = "a document of this id stands before it".to_owned();
                    refused.push(Refused { row: *row, code: code::TM0766, reason });
                }
            }
        }
        numbers
    }

    /// One row's write, or why there is none. The same again at any time.
    fn row(&self, batch: &Batch, row: usize) -> Result<pb::Write, String> {
        let is_tombstone = batch.envelope.is_tombstone(row)
            || matches!(&batch.body, Body::Raw(values) if values.is_null(row));
        let fields = match &batch.body {
            _ if is_tombstone => Fields::new(),
            Body::Raw(values) => json::fields(values.value(row))?,
            Body::Rows(values) => types::fields(&values[row])?,
            Body::Columns(_) => return Err("columns are no documents".to_owned()),
        };
        let path = id::path(&self.shared.config.collection, &self.key(batch, row, &fields, is_tombstone)?)?;
        let name = format!("{}/{path}", self.shared.client.root());
        if is_tombstone || self.shared.config.write == WriteMode::Delete {
            return Ok(pb::Write { operation: Some(Operation::Delete(name)), ..Default::default() });
        }
        let bytes = document_bytes(&path, &fields);
        if bytes > DOCUMENT_BYTES_MAX {
            return Err(format!(
                "the document has {bytes} bytes, more than Firestore's {DOCUMENT_BYTES_MAX}"
            ));
        }
        let mut write = pb::Write::default();
        match self.shared.config.write {
            WriteMode::Upsert | WriteMode::Delete => {}
            WriteMode::Update => {
                write.update_mask = Some(pb::DocumentMask { field_paths: leaves(&fields) });
                write.current_document =
                    Some(pb::Precondition { condition_type: Some(ConditionType::Exists(true)) });
            }
            WriteMode::Insert => {
                write.current_document =
                    Some(pb::Precondition { condition_type: Some(ConditionType::Exists(false)) });
            }
            WriteMode::Merge => write.update_mask = Some(pb::DocumentMask { field_paths: leaves(&fields) }),
        }
        write.operation = Some(Operation::Update(pb::Document { name, fields, ..Default::default() }));
        Ok(write)
    }

    /// The document's id: of the field that is named, of the record's key, or of its position.
    fn key(&self, batch: &Batch, row: usize, fields: &Fields, is_tombstone: bool) -> Result<String, String> {
        if let Some(field) = self.shared.config.key.as_deref().filter(|_| !is_tombstone) {
            return match field_of(fields, field).and_then(|value| value.value_type.as_ref()) {
                Some(ValueType::StringValue(text)) => Ok(text.clone()),
                Some(ValueType::IntegerValue(whole)) => Ok(whole.to_string()),
                Some(_) => Err(format!("the key field {field} is neither a string nor an integer")),
                None => Err(format!("it has no key field {field}")),
            };
        }
        match batch.envelope.key(row) {
            Some(key) => match std::str::from_utf8(key) {
                Ok(key) => Ok(key.to_owned()),
                Err(_) => Err("its key is not UTF-8, so it cannot be a document's id".to_owned()),
            },
            None if is_tombstone => Err("a delete without a key names no document".to_owned()),
            None if matches!(self.shared.config.write, WriteMode::Update | WriteMode::Delete) => {
                Err("it has no key, which says the document that is meant".to_owned())
            }
            None => Ok(self.positional(batch, row)),
        }
    }

    fn positional(&self, batch: &Batch, row: usize) -> String {
        id::of_position(&self.split.id, batch.envelope.mark(row), &self.start, self.number + row as u64)
    }

    /// A document that is there already is our own, of a try or a life before, where its id is a position's.
    fn is_own(&self, batch: &Batch, row: usize) -> bool {
        self.shared.config.key.is_none() && batch.envelope.key(row).is_none()
    }

    /// Which of the documents that are there already are not what these rows say: the others are their own, of an earlier life.
    async fn foreign(&self, batch: &Batch, doubtful: Vec<(usize, Status)>) -> Result<Vec<Refused>, Fault> {
        let mut refused = Vec::new();
        for doubtful in doubtful.chunks(DOCUMENTS_ASKED_MAX) {
            let wanted: Vec<(usize, &Status, pb::Document)> = doubtful
                .iter()
                .filter_map(|(row, status)| match self.row(batch, *row).ok()?.operation {
                    Some(Operation::Update(document)) => Some((*row, status, document)),
                    _ => None,
                })
                .collect();
            let names = wanted.iter().map(|(_, _, document)| document.name.clone()).collect();
            let there = self.shared.client.documents(names, &self.shared.config.collection).await?;
            let there: HashMap<&str, &Fields> =
                there.iter().map(|document| (document.name.as_str(), &document.fields)).collect();
            refused.extend(wanted.iter().filter_map(|(row, status, document)| {
                let is_own = there.get(document.name.as_str()) == Some(&&document.fields);
                (!is_own).then(|| refusal(*row, status))
            }));
        }
        Ok(refused)
    }

    /// Sends a group until every write has its answer.
    async fn send(&self, batch: &Batch, group: Group) -> Result<Vec<Refused>, Fault> {
        let (mut refused, mut doubtful) = (Vec::new(), Vec::new());
        let mut waiting =
            vec![(group, Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, self.number))];
        while let Some((Group { rows, writes }, mut backoff)) = waiting.pop() {
            if let Some(ramp) = &self.shared.ramp {
                tokio::time::sleep(ramp.reserve(rows.len())).await;
            }
            let is_again = backoff.tries() > 0;
            let (again, last) = match self.shared.client.batch_write(writes).await? {
                Ok(answer) => {
                    let sorted = self.sort(batch, rows, answer, is_again, &mut refused)?;
                    doubtful.extend(sorted.doubtful);
                    (sorted.again, sorted.last)
                }
                Err(status) if is_passing(status.code()) => (rows, Some(status)),
                Err(status) if status.code() == Grpc::InvalidArgument => {
                    match halves(&rows) {
                        Some(halves) => {
                            let halves = halves.map(|rows| (self.group(batch, rows), backoff.clone()));
                            waiting.extend(halves);
                        }
                        None => refused.extend(rows.into_iter().map(|row| refusal(row, &status))),
                    }
                    continue;
                }
                Err(status) => return Err(self.fault(&status)),
            };
            let Some(status) = last.filter(|_| !again.is_empty()) else { continue };
            let Some(wait) = backoff.next() else {
                return Err(Fault::Transient(self.error(&status).into()));
            };
            tracing::debug!(writes = again.len(), %status, "sent again");
            tokio::time::sleep(wait).await;
            waiting.push((self.group(batch, again), backoff));
        }
        refused.extend(self.foreign(batch, doubtful).await?);
        Ok(refused)
    }

    /// What becomes of each write, by its answer.
    fn sort(
        &self,
        batch: &Batch,
        rows: Vec<usize>,
        answer: pb::BatchWriteResponse,
        is_again: bool,
        refused: &mut Vec<Refused>,
    ) -> Result<Sorted, Fault> {
        let mut sorted = Sorted::default();
        if answer.status.len() != rows.len() {
            let status =
                Status::internal(format!("{} answers to {} writes", answer.status.len(), rows.len()));
            return Err(self.fault(&status));
        }
        for (row, status) in rows.into_iter().zip(answer.status) {
            let status = Status::new(Grpc::from_i32(status.code), status.message);
            match status.code() {
                Grpc::Ok => {}
                Grpc::AlreadyExists if is_again || self.is_own(batch, row) => {}
                Grpc::AlreadyExists => sorted.doubtful.push((row, status)),
                Grpc::InvalidArgument => refused.push(refusal(row, &status)),
                Grpc::NotFound if self.shared.config.write == WriteMode::Update => {
                    let reason = "there is no document that it could update".to_owned();
                    refused.push(Refused { row, code: code::TM1456, reason });
                }
                code if is_passing(code) => {
                    sorted.again.push(row);
                    sorted.last = Some(status);
                }
                _ => return Err(self.fault(&status)),
            }
        }
        Ok(sorted)
    }

    /// The writes of these rows, made anew: none is kept while it is on its way.
    fn group(&self, batch: &Batch, rows: Vec<usize>) -> Group {
        let writes = rows.iter().filter_map(|row| self.row(batch, *row).ok()).collect();
        Group { rows, writes }
    }

    fn error(&self, status: &Status) -> Error {
        self.shared.client.error(status, &self.shared.config.collection)
    }

    fn fault(&self, status: &Status) -> Fault {
        self.error(status).into()
    }
}

fn refusal(row: usize, status: &Status) -> Refused {
    Refused { row, code: code::TM0766, reason: Refusal::new(status.code(), status.message()).to_string() }
}

fn halves(rows: &[usize]) -> Option<[Vec<usize>; 2]> {
    (rows.len() > 1).then(|| {
        let (one, other) = rows.split_at(rows.len() / 2);
        [one.to_vec(), other.to_vec()]
    })
}

fn name_of(write: &pb::Write) -> &str {
    match &write.operation {
        Some(Operation::Update(document)) => &document.name,
        Some(Operation::Delete(name)) => name,
        Some(Operation::Transform(transform)) => &transform.document,
        None => "",
    }
}

/// Cut at Firestore's limits of a batch.
fn grouped(writes: Vec<(usize, pb::Write)>) -> Vec<Group> {
    let (mut groups, mut bytes): (Vec<Group>, usize) = (Vec::new(), 0);
    for (row, write) in writes {
        let size = write.encoded_len();
        let fits =
            |group: &&mut Group| group.rows.len() < WRITES_COUNT_MAX && bytes + size <= WRITES_BYTES_MAX;
        match groups.last_mut().filter(fits) {
            Some(group) => {
                group.rows.push(row);
                group.writes.push(write);
                bytes += size;
            }
            None => {
                groups.push(Group { rows: vec![row], writes: vec![write] });
                bytes = size;
            }
        }
    }
    groups
}

/// The least that a document counts by Firestore's rules: its name, the fields' names and values, and 32.
fn document_bytes(path: &str, fields: &Fields) -> usize {
    path.split('/').map(|part| part.len() + 1).sum::<usize>() + 16 + fields_bytes(fields) + 32
}

fn fields_bytes(fields: &Fields) -> usize {
    fields.iter().map(|(name, value)| name.len() + 1 + value_bytes(value)).sum()
}

fn value_bytes(value: &pb::Value) -> usize {
    match &value.value_type {
        Some(ValueType::IntegerValue(_) | ValueType::DoubleValue(_) | ValueType::TimestampValue(_)) => 8,
        Some(ValueType::StringValue(text) | ValueType::ReferenceValue(text)) => text.len() + 1,
        Some(ValueType::BytesValue(data)) => data.len(),
        Some(ValueType::GeoPointValue(_)) => 16,
        Some(ValueType::ArrayValue(array)) => array.values.iter().map(value_bytes).sum(),
        Some(ValueType::MapValue(map)) => fields_bytes(&map.fields),
        _ => 1,
    }
}

/// The paths of all values that are no maps with entries: what a merge puts in, leaving what lies beside them.
fn leaves(fields: &Fields) -> Vec<String> {
    let mut paths = Vec::new();
    leaves_below("", fields, &mut paths);
    paths
}

fn leaves_below(above: &str, fields: &Fields, paths: &mut Vec<String>) {
    for (name, value) in fields {
        let path = if above.is_empty() { segment(name) } else { format!("{above}.{}", segment(name)) };
        match &value.value_type {
            // Names like `__type__` are of one value that looks like a map: a vector.
            Some(ValueType::MapValue(map))
                if !map.fields.is_empty() && !map.fields.keys().any(|name| types::is_reserved(name)) =>
            {
                leaves_below(&path, &map.fields, paths);
            }
            _ => paths.push(path),
        }
    }
}

/// Deletes a collection's documents and all below them; says how many there were.
pub(super) async fn delete_all(client: &Client, collection: &str) -> Result<u64, Fault> {
    let part = Part::new(collection, Kind::Whole);
    let root = client.root();
    let name = FieldReference { field_path: NAME.to_owned() };
    let query = pb::StructuredQuery {
        select: Some(Projection { fields: vec![name] }),
        from: vec![part.selector()],
        r#where: super::filter::all(part.bounds(&root)),
        ..Default::default()
    };
    let names = client.run_query(part.parent(&root), query, collection).await?;
    let refuse = |status: Status| Fault::from(client.error(&status, collection));
    let deleted = names
        .map_err(refuse)
        .try_filter_map(|answer| async move { Ok(answer.document.map(|document| document.name)) })
        .try_chunks(WRITES_COUNT_MAX)
        .map_err(|error| error.1)
        .map_ok(|names| delete(client, collection, names))
        .try_buffer_unordered(BATCHES_IN_FLIGHT_MAX);
    deleted.try_fold(0, |sum, count| async move { Ok(sum + count) }).await
}

async fn delete(client: &Client, collection: &str, names: Vec<String>) -> Result<u64, Fault> {
    let count = names.len() as u64;
    let mut left: HashSet<String> = names.into_iter().collect();
    let mut backoff = Backoff::new(WAIT_FIRST_MS, WAIT_MS_MAX, TRIES_COUNT_MAX, count);
    loop {
        let names: Vec<String> = left.iter().cloned().collect();
        let delete = |name: &String| pb::Write {
            operation: Some(Operation::Delete(name.clone())),
            ..Default::default()
        };
        let mut failed = match client.batch_write(names.iter().map(delete).collect()).await? {
            Ok(answer) => {
                let answers = names.into_iter().zip(answer.status);
                let mut failed = None;
                for (name, status) in answers {
                    match Grpc::from_i32(status.code) {
                        Grpc::Ok => drop(left.remove(&name)),
                        code => failed = Some(Status::new(code, status.message)),
                    }
                }
                failed
            }
            Err(status) => Some(status),
        };
        let Some(status) = failed.take() else { return Ok(count) };
        let error = client.error(&status, collection);
        match backoff.next().filter(|_| is_passing(status.code())) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(error.into()),
        }
    }
}
