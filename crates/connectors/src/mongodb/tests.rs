//! Against a real mongod, a replica set of one node, through the engine as every transfer runs.

mod errors;
mod reading;
mod values;
mod writing;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use base::{
    Backoff, Batch, Body, Budget, Envelope, Extent, Fault, Lease, Load, Place, Position, Receipt, Rejects,
    Saved, Secret, Sink, Source, Split, SystemClock, Value, Writer,
};
use engine::{Checkpoints, Cuts, OnError, Progress, Summary, Transfer, dead_letters::NoDeadLetters};
use futures::TryStreamExt;
use mongodb::{
    Client, Database,
    bson::{Document, RawDocumentBuf, doc},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;

/// The server has one fail point for all commands: the last test that sets it would undo what another one has set.
static FAIL_POINT: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One database for each test, and a client that is not ours.
struct World {
    uri: String,
    database: Database,
}

async fn world(name: &str) -> Option<World> {
    let server = testkit::mongod()?;
    let uri = server.uri(name);
    let client = Client::with_uri_str(&uri).await.expect("connects");
    Some(World { uri, database: client.database(name) })
}

impl World {
    /// Documents as they are, byte for byte.
    async fn put(&self, collection: &str, documents: &[RawDocumentBuf]) {
        for documents in documents.chunks(5_000) {
            self.database
                .collection::<RawDocumentBuf>(collection)
                .insert_many(documents)
                .await
                .expect("inserts");
        }
    }

    async fn documents(&self, collection: &str) -> Vec<RawDocumentBuf> {
        let collection = self.database.collection::<RawDocumentBuf>(collection);
        let found = collection.find(doc! {}).sort(doc! { "_id": 1 }).await.expect("finds");
        found.try_collect().await.expect("reads")
    }

    fn source(&self, collection: &str, selection: &Selection) -> Arc<dyn Source> {
        let settings = self.settings(collection, &[]);
        (CONNECTOR.source.expect("it has one"))(&settings, selection).expect("opens")
    }

    fn sink(&self, collection: &str, more: &[(&str, &str)]) -> Arc<dyn Sink> {
        (CONNECTOR.sink.expect("it has one"))(&self.settings(collection, more)).expect("opens")
    }

    fn settings(&self, collection: &str, more: &[(&str, &str)]) -> Settings {
        let all = [("uri", self.uri.as_str()), ("collection", collection)];
        all.iter().chain(more).map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    /// Makes the server fail the next `times` of a command of clients that call themselves `app`; the caller has `FAIL_POINT`.
    async fn fail(&self, app: &str, command: &str, times: i32, how: Document) {
        let mut data = doc! { "failCommands": [command], "appName": app };
        data.extend(how);
        let point = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
        self.database.client().database("admin").run_command(point).await.expect("fail points are there");
    }
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("it can be written")
}

fn load() -> Load {
    Load { id: "1".into(), transfer: "test".into() }
}

fn everything() -> Selection {
    Selection::default()
}

/// Documents of about a kilobyte, as a shop has them.
fn order(number: i64) -> Document {
    let lines: Vec<Document> = (0..3)
        .map(|line| doc! { "sku": format!("SKU-{:05}", number % 977 + line), "quantity": (line + 1) as i32, "price": 9.99 + line as f64 })
        .collect();
    doc! {
        "_id": mongodb::bson::oid::ObjectId::from_bytes({
            let mut bytes = [7; 12];
            bytes[4..].copy_from_slice(&(number as u64).to_be_bytes());
            bytes
        }),
        "number": number,
        "status": if number % 3 == 0 { "shipped" } else { "open" },
        "customer": {
            "id": (number % 5_000) as i32,
            "name": format!("Customer {}", number % 5_000),
            "email": format!("customer{}@example.com", number % 5_000),
            "address": { "street": "17 Long Street", "city": "Springfield", "zip": "01101", "country": "US" },
        },
        "lines": lines,
        "created": mongodb::bson::DateTime::from_millis(1_700_000_000_000 + number * 1_000),
        "updated": mongodb::bson::DateTime::from_millis(1_700_000_100_000 + number * 1_000),
        "total": number as f64 * 1.5,
        "tax": (number % 19) as i32,
        "paid": number % 2 == 0,
        "note": "please leave the parcel with the neighbours, they are at home in the afternoon and know about it",
        "tags": ["web", "returning", "priority"],
        "currency": "EUR",
        "warehouse": (number % 7) as i32,
        "weight": 1.25,
        "discount": mongodb::bson::Bson::Null,
    }
}

/// Outlives the lives of a run. The save with this number never happens: the life ends instead.
#[derive(Default)]
struct Kept {
    saved: Mutex<BTreeMap<Arc<str>, Saved>>,
    dies_at: AtomicI64,
}

#[async_trait]
impl Checkpoints for Kept {
    async fn load(&self, split: &Split) -> Result<Saved, Fault> {
        Ok(self.saved.lock().get(&split.id).cloned().unwrap_or_default())
    }

    async fn save(&self, extent: &Extent, receipt: &Receipt) -> Result<(), Fault> {
        if self.dies_at.fetch_sub(1, SeqCst) == 1 {
            return Err(Fault::Fatal("killed".into()));
        }
        let saved = Saved { position: extent.end.clone(), receipt: receipt.clone() };
        self.saved.lock().insert(extent.split.id.clone(), saved);
        Ok(())
    }
}

/// Rows by split and start of their extent, so that a second life replaces what a first one committed.
#[derive(Default, Clone)]
struct Memory(Arc<Mutex<Extents>>);
type Extents = BTreeMap<(Arc<str>, String), Vec<(String, Value)>>;
struct MemoryWriter(Memory, Vec<(String, Value)>);

impl Memory {
    /// All rows with their keys.
    fn rows(&self) -> Vec<(String, Value)> {
        self.0.lock().values().flatten().cloned().collect()
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.rows().into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    fn splits(&self) -> Vec<Arc<str>> {
        let mut splits: Vec<Arc<str>> = self.0.lock().keys().map(|(split, _)| split.clone()).collect();
        splits.dedup();
        splits
    }
}

#[async_trait]
impl Sink for Memory {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
    async fn writer(&self, _: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(MemoryWriter(self.clone(), Vec::new())))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for MemoryWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let Body::Rows(rows) = &batch.body else { panic!("rows") };
        for (at, row) in rows.iter().enumerate() {
            let key = batch.envelope.key(at).expect("each has its _id");
            self.1.push((String::from_utf8_lossy(key).into_owned(), row.clone()));
        }
        Ok(Rejects::default())
    }
    async fn commit(&mut self, extent: &Extent) -> Result<Receipt, Fault> {
        let name = (extent.split.id.clone(), extent.start.to_string());
        self.0.0.lock().insert(name, std::mem::take(&mut self.1));
        Ok(Receipt::default())
    }
}

/// One life of a run, with 8 MiB and at most four lanes.
async fn run(
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    checkpoints: Arc<Kept>,
    extent_records: u64,
) -> Result<Summary, Fault> {
    let transfer = Transfer {
        load: load(),
        source,
        stages: Vec::new(),
        sink,
        cuts: Cuts::records(extent_records),
        budget: Budget::new(8 << 20),
        checkpoints,
        dead_letters: Arc::new(NoDeadLetters),
        progress: Arc::new(Progress::default()),
        on_error: OnError::Stop,
        clock: Arc::new(SystemClock),
        retries: Backoff::new(10, 100, 5, 7),
        lanes_count_max: 4,
    };
    transfer.run(CancellationToken::new()).await
}

fn split(id: &str) -> Split {
    Split { id: id.into(), place: Arc::new(Place::Topic { topic: id.into(), partition: 0 }) }
}

/// Rows with keys and numbers from 0, a tombstone where there is no row.
fn batch(rows: Vec<(Option<&str>, Option<Value>)>) -> Batch {
    let count = rows.len() as i64;
    Batch {
        envelope: Envelope {
            keys: Some(rows.iter().map(|(key, _)| key.map(str::as_bytes)).collect()),
            tombstones: Some(rows.iter().map(|(_, row)| row.is_none()).collect()),
            marks: Some((0..count).collect()),
            ..Envelope::default()
        },
        body: Body::Rows(rows.into_iter().map(|(_, row)| row.unwrap_or_default()).collect::<Vec<_>>().into()),
        contract: None,
        place: split("orders").place,
        end: Position::Mark(count),
        lease: Lease::free(),
    }
}

fn row(fields: &[(&str, Value)]) -> Option<Value> {
    Some(Value::Struct(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()))
}

/// Writes one batch and tells what was refused: `code origin: reason`.
async fn write(sink: &dyn Sink, batch: &Batch) -> Vec<String> {
    sink.begin(&load()).await.expect("begins");
    let mut writer = sink.writer(&split("orders")).await.expect("a writer");
    writer.recover(&Saved::default()).await.expect("recovers");
    let rejects = writer.write(batch).await.expect("writes");
    rejects.0.iter().map(|reject| format!("{} {}: {}", reject.code, reject.origin, reject.reason)).collect()
}

fn uri_secret(world: &World) -> Secret {
    Secret::new(world.uri.as_str())
}
