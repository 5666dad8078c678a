//! A collection as a sink: a batch becomes a few commands, and what the server says of each record is known when `write`
//! returns.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use base::{
    Batch, Body, Code, Extent, Fault, Load, Position, Receipt, Rejects, Saved, Sink, Split, Writer, code,
};
use engine::body_bytes;
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::{
    Collection,
    bson::{Bson, Document, RawDocument, RawDocumentBuf, doc},
};
use tokio::task::spawn_blocking;

use super::{
    Collections, Error, SinkConfig, Write,
    bulk::{self, Builder, Bulk, Kind},
    client::Connection,
    errors::{self, Sorted, fatal},
};

/// Commands on their way at once, where their order does not matter.
const COMMANDS_AT_ONCE: usize = 3;
/// Of a batch of inserts, what is built and sent as one; one of them is built while the server works at those before it.
const PART_BYTES: usize = 512 << 10;
const PARTS_AT_ONCE: usize = 4;
const DUPLICATE_KEY: i32 = 11_000;

pub struct MongoSink {
    shared: Arc<Shared>,
}

struct Shared {
    config: SinkConfig,
    connection: Connection,
}

impl MongoSink {
    /// Nothing is asked of the server before `begin`.
    pub fn new(config: SinkConfig) -> Self {
        let connection = Connection::new(config.uri.clone(), config.database.clone());
        Self { shared: Arc::new(Shared { config, connection }) }
    }
}

#[async_trait]
impl Sink for MongoSink {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        let shared = &self.shared;
        let answer = shared.connection.database().await?.run_command(doc! { "ping": 1 }).await;
        answer.map(|_| ()).map_err(|error| {
            errors::first_fault(&shared.connection.hosts, &error, |source| shared.failed(source))
        })?;
        let SinkConfig { uri, database, collection, is_created, indexes, .. } = &shared.config;
        let collections = Collections::of(uri.clone(), database.clone());
        if *is_created {
            collections.create(collection).await?;
        }
        for index in indexes {
            collections.index(collection, &index.fields, index.is_unique).await?;
        }
        Ok(())
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(CollectionWriter { shared: self.shared.clone(), split: split.clone() }))
    }

    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

struct CollectionWriter {
    shared: Arc<Shared>,
    split: Split,
}

#[async_trait]
impl Writer for CollectionWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        if let Body::Columns(_) = &batch.body {
            return Err(fatal(Error::Form));
        }
        let written = self.parts(batch).into_iter().map(|part| self.write_part(part));
        let parts: Vec<Rejects> = stream::iter(written).buffered(PARTS_AT_ONCE).try_collect().await?;
        Ok(Rejects(parts.into_iter().flat_map(|part| part.0).collect()))
    }

    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        // Each command waited for what the write concern asks.
        Ok(Receipt::default())
    }
}

impl CollectionWriter {
    /// Inserts do not know each other: the server works at those that are sent while the next are built.
    fn parts(&self, batch: &Batch) -> Vec<Batch> {
        let config = &self.shared.config;
        if config.write != Write::Insert || config.is_ordered {
            return vec![batch.clone()];
        }
        let count = usize::try_from(body_bytes(&batch.body)).unwrap_or(usize::MAX).div_ceil(PART_BYTES);
        let rows = batch.len().div_ceil(count.max(1)).max(1);
        let starts = (0..batch.len()).step_by(rows);
        starts.map(|start| batch.slice(start..batch.len().min(start + rows))).collect()
    }

    async fn write_part(&self, part: Batch) -> Result<Rejects, Fault> {
        let (shared, split, records) = (self.shared.clone(), self.split.clone(), part.clone());
        let bulk = spawn_blocking(move || Builder::build(&shared.config, &split, &records)).await;
        let mut bulk = bulk.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?;
        let mut rejects = std::mem::take(&mut bulk.rejects);
        let refused = self.shared.send(Arc::new(bulk)).await?;
        let refused = refused.into_iter().map(|one| bulk::reject(&part, one.row, one.code, one.reason));
        rejects.0.extend(refused);
        Ok(rejects)
    }
}

/// A record that the server does not take.
struct Refusal {
    row: usize,
    code: Code,
    reason: String,
}

/// What a command came to.
struct Executed {
    flaws: Vec<Flaw>,
    /// Statements that found their document.
    found_count: usize,
}

/// What the server says of one statement.
struct Flaw {
    /// Its place in the command.
    at: usize,
    code: i32,
    message: String,
    /// Another document has this `_id`.
    is_by_id: bool,
}

impl Shared {
    fn failed(&self, source: errors::Cause) -> Error {
        Error::Write { collection: self.config.collection.clone(), source }
    }

    async fn send(&self, bulk: Arc<Bulk>) -> Result<Vec<Refusal>, Fault> {
        let all: Vec<usize> = (0..bulk.statements.len()).collect();
        if bulk.is_ordered {
            let mut refused = Vec::new();
            for command in bulk.commands(&all) {
                refused.extend(self.send_in_order(&bulk, command).await?);
            }
            return Ok(refused);
        }
        let of_kind = |kind: Kind| -> Vec<usize> {
            all.iter().copied().filter(|at| bulk.statements[*at].kind == kind).collect()
        };
        let kinds = [Kind::Insert, Kind::Update, Kind::Delete];
        let commands: Vec<Vec<usize>> =
            kinds.into_iter().flat_map(|kind| bulk.commands(&of_kind(kind))).collect();
        let sent = commands.into_iter().map(|command| self.send_one(&bulk, command));
        let refused: Vec<Vec<Refusal>> =
            stream::iter(sent).buffer_unordered(COMMANDS_AT_ONCE).try_collect().await?;
        Ok(refused.into_iter().flatten().collect())
    }

    async fn send_one(&self, bulk: &Arc<Bulk>, statements: Vec<usize>) -> Result<Vec<Refusal>, Fault> {
        let executed = self.execute(bulk, &statements).await?;
        let missing = self.missing(bulk, &statements, &executed).await?;
        let mut refused = self.refusals(bulk, &statements, executed.flaws).await?;
        refused.extend(missing);
        Ok(refused)
    }

    /// Statements that should have changed a document and found none. The server only tells how many: halves of them are executed
    /// again, which changes nothing, until each stands alone.
    async fn missing(
        &self,
        bulk: &Arc<Bulk>,
        statements: &[usize],
        executed: &Executed,
    ) -> Result<Vec<Refusal>, Fault> {
        if self.config.write != Write::Update {
            return Ok(Vec::new());
        }
        let is_flawed = |at: usize| executed.flaws.iter().any(|flaw| flaw.at == at);
        let good: Vec<usize> = statements
            .iter()
            .enumerate()
            .filter(|(at, statement)| !is_flawed(*at) && bulk.statements[**statement].kind == Kind::Update)
            .map(|(_, statement)| *statement)
            .collect();
        let (mut refused, mut groups) = (Vec::new(), Vec::new());
        if executed.found_count < good.len() {
            groups.push(good);
        }
        while let Some(group) = groups.pop() {
            if let [one] = group[..] {
                let reason = "there is no document that it could update".to_owned();
                refused.push(Refusal { row: bulk.statements[one].row, code: code::TM1456, reason });
                continue;
            }
            let (one, other) = group.split_at(group.len() / 2);
            for half in [one, other] {
                if self.execute(bulk, half).await?.found_count < half.len() {
                    groups.push(half.to_vec());
                }
            }
        }
        Ok(refused)
    }

    /// The server stops at the first statement that it refuses; those behind it are sent again.
    async fn send_in_order(
        &self,
        bulk: &Arc<Bulk>,
        mut statements: Vec<usize>,
    ) -> Result<Vec<Refusal>, Fault> {
        let mut refused = Vec::new();
        while !statements.is_empty() {
            let executed = self.execute(bulk, &statements).await?;
            let done = executed.flaws.first().map_or(statements.len(), |flaw| flaw.at + 1);
            let done = done.min(statements.len());
            refused.extend(self.missing(bulk, &statements[..done], &executed).await?);
            refused.extend(self.refusals(bulk, &statements, executed.flaws).await?);
            statements.drain(..done.min(statements.len()));
        }
        Ok(refused)
    }

    async fn execute(&self, bulk: &Arc<Bulk>, statements: &[usize]) -> Result<Executed, Fault> {
        let database = self.connection.database().await?;
        let concern = match database.client().write_concern() {
            Some(concern) => mongodb::bson::serialize_to_vec(concern),
            None => mongodb::bson::serialize_to_vec(&doc! { "w": "majority" }),
        };
        let concern = concern.map_err(|error| Fault::Fatal(Box::new(error)))?;
        let (shared, collection, listed) =
            (bulk.clone(), self.config.collection.clone(), statements.to_vec());
        let built = spawn_blocking(move || {
            RawDocumentBuf::from_bytes(bulk::command(&shared, &collection, &listed, &concern))
        });
        let command = built.await.map_err(|panicked| Fault::Fatal(Box::new(panicked)))?;
        let command = command.map_err(|error| Fault::Fatal(Box::new(error)))?;
        let answer = database.run_raw_command(command).await;
        let answer = answer
            .map_err(|error| errors::fault(&self.connection.hosts, &error, |source| self.failed(source)))?;
        if let Ok(concern) = answer.get_document("writeConcernError") {
            let message = concern.get_str("errmsg").unwrap_or("the write concern was not met").to_owned();
            return Err(self.fault(concern.get_i32("code").unwrap_or(0), message, Sorted::Transient));
        }
        let listed = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let flaws = listed.iter().filter_map(Bson::as_document).map(Flaw::of).collect();
        let found_count = answer.get_i32("n").ok().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        Ok(Executed { flaws, found_count })
    }

    /// By the server's code; `otherwise` for one that says nothing of itself.
    fn fault(&self, code: i32, message: String, otherwise: Sorted) -> Fault {
        let hosts = self.connection.hosts.clone();
        let sorted = match errors::sort_code(code) {
            Sorted::Fatal => otherwise,
            other => other,
        };
        let source = errors::Cause(message);
        match sorted {
            Sorted::Denied => Fault::Denied(Box::new(Error::Denied { hosts, source })),
            Sorted::Transient | Sorted::Unreachable => Fault::Transient(Box::new(self.failed(source))),
            Sorted::Fatal => fatal(self.failed(source)),
        }
    }

    /// Which flaws are the records' own.
    async fn refusals(
        &self,
        bulk: &Bulk,
        statements: &[usize],
        flaws: Vec<Flaw>,
    ) -> Result<Vec<Refusal>, Fault> {
        let mut refused = Vec::new();
        let mut doubtful = Vec::new();
        for flaw in flaws {
            if errors::sort_code(flaw.code) != Sorted::Fatal {
                return Err(self.fault(flaw.code, flaw.message, Sorted::Transient));
            }
            let Some(at) = statements.get(flaw.at).copied() else { continue };
            let statement = &bulk.statements[at];
            let is_duplicate = flaw.code == DUPLICATE_KEY && flaw.is_by_id;
            if is_duplicate && statement.is_named_by_position {
                continue;
            }
            if is_duplicate && statement.kind == Kind::Update && self.config.key.is_empty() {
                // Two lanes made the same document at once: next time it is there.
                return Err(self.fault(flaw.code, flaw.message, Sorted::Transient));
            }
            let refusal = Refusal { row: statement.row, code: code::TM0738, reason: flaw.message };
            if is_duplicate && self.config.write == Write::Insert {
                doubtful.push((at, refusal));
            } else {
                refused.push(refusal);
            }
        }
        let stored = self.stored(bulk, &doubtful).await?;
        refused.extend(doubtful.into_iter().filter_map(|(at, refusal)| {
            let own = bulk.statement(at);
            let is_own = stored.get(id_of(own)?).is_some_and(|stored| stored.as_bytes() == own);
            (!is_own).then_some(refusal)
        }));
        Ok(refused)
    }

    /// The documents that have the `_id`s of these inserts. One that is the same is the record's own, from an earlier life.
    async fn stored(
        &self,
        bulk: &Bulk,
        doubtful: &[(usize, Refusal)],
    ) -> Result<HashMap<Vec<u8>, RawDocumentBuf>, Fault> {
        let ids: Vec<Bson> = doubtful
            .iter()
            .filter_map(|(at, _)| RawDocument::from_bytes(bulk.statement(*at)).ok()?.get("_id").ok()?)
            .filter_map(|id| Bson::try_from(id).ok())
            .collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let collection: Collection<RawDocumentBuf> =
            self.connection.collection(&self.config.collection).await?;
        let found =
            async { collection.find(doc! { "_id": { "$in": ids } }).await?.try_collect::<Vec<_>>().await };
        let found = found.await;
        let found = found
            .map_err(|error| errors::fault(&self.connection.hosts, &error, |source| self.failed(source)))?;
        Ok(found
            .into_iter()
            .filter_map(|stored| Some((id_of(stored.as_bytes())?.to_vec(), stored)))
            .collect())
    }
}

/// The value of a document's `_id`, which stands first.
fn id_of(document: &[u8]) -> Option<&[u8]> {
    super::decode::find(document.get(4..document.len().checked_sub(1)?)?, "_id").ok()?.map(|id| id.value)
}

impl Flaw {
    fn of(error: &Document) -> Self {
        let number = |name| error.get_i32(name).unwrap_or(0);
        let is_by_id = error.get_document("keyPattern").is_ok_and(|pattern| pattern.contains_key("_id"));
        Self {
            at: usize::try_from(number("index")).unwrap_or(0),
            code: number("code"),
            message: error.get_str("errmsg").unwrap_or("it was refused").to_owned(),
            is_by_id,
        }
    }
}
