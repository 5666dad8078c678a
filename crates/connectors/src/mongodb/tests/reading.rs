//! The source: all documents once, in splits or whole, from any position, in bounded calls, as the selection asks.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use base::{Ask, Discovery, Read, Reader};
use mongodb::bson::{Binary, Bson, DateTime, oid::ObjectId, spec::BinarySubtype};

use super::*;
use crate::CursorRange;

fn ask(bytes_max: u64) -> Ask {
    let deadline = Instant::now() + Duration::from_millis(5_000);
    Ask { bytes_max, records_max: 1_000, deadline, lease: Lease::free() }
}

/// The source as the contract suite wants it: its rows as JSON.
struct AsJson(Arc<dyn Source>);
struct JsonReader(Box<dyn Reader>);

#[async_trait]
impl Source for AsJson {
    async fn discover(&self, ask: &Ask) -> Result<Discovery, Fault> {
        self.0.discover(ask).await
    }
    async fn open(&self, split: &Split, from: &Position) -> Result<Box<dyn Reader>, Fault> {
        Ok(Box::new(JsonReader(self.0.open(split, from).await?)))
    }
    async fn covered(&self, split: &Split, upto: &Position) -> Result<(), Fault> {
        self.0.covered(split, upto).await
    }
}

#[async_trait]
impl Reader for JsonReader {
    async fn read(&mut self, ask: &Ask) -> Result<Read, Fault> {
        Ok(match self.0.read(ask).await? {
            Read::Batch(batch) => {
                let Body::Rows(rows) = &batch.body else { panic!("rows") };
                let body = Body::Raw(rows.iter().map(|row| Some(json(row))).collect());
                Read::Batch(batch.with_body(body))
            }
            other => other,
        })
    }
}

fn json(row: &Value) -> String {
    formats::json_value(row, None, formats::DecimalAs::Number)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_keeps_the_contract() {
    use engine::contract::{self, SourceFixture};
    let Some(world) = world("reading_contract").await else { return };
    let documents: Vec<RawDocumentBuf> =
        (0..50).map(|number| raw(&doc! { "_id": number, "n": number * 2 })).collect();
    world.put("orders", &documents).await;
    let expected =
        (0..50).map(|number| format!("{{\"_id\":{number},\"n\":{}}}", number * 2).into_bytes()).collect();
    let selection = Selection { splits_count: Some(1), ..everything() };
    let fixture = SourceFixture {
        open: Box::new(move || Arc::new(AsJson(world.source("orders", &selection)))),
        expected: vec![("orders".into(), expected)],
    };
    insta::assert_snapshot!(contract::source(&fixture).await);
}

/// `_id`s of all kinds, so many of each, and never one twice.
fn mixed_ids(count: i32) -> Vec<Bson> {
    let id = |number: i32| match number % 8 {
        0 => Bson::Int32(number),
        1 => Bson::Int64(i64::from(number) << 32),
        2 => Bson::Double(f64::from(number) + 0.5),
        3 => Bson::String(format!("id {number}")),
        4 => Bson::ObjectId(ObjectId::from_bytes(
            [number.to_be_bytes(), [1; 4], [2; 4]].concat().try_into().expect("12"),
        )),
        5 => Bson::Document(doc! { "a": number, "b": "x" }),
        6 => Bson::DateTime(DateTime::from_millis(i64::from(number))),
        _ => Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: [number.to_be_bytes(); 4].concat() }),
    };
    (0..count).map(id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn splits_hold_every_document_once_whatever_its_id_is() {
    let Some(world) = world("reading_mixed").await else { return };
    let mut documents: Vec<RawDocumentBuf> =
        mixed_ids(10_000).into_iter().map(|id| raw(&doc! { "_id": id, "text": "x".repeat(40) })).collect();
    documents.push(raw(&doc! { "_id": Bson::MinKey }));
    documents.push(raw(&doc! { "_id": Bson::MaxKey }));
    documents.push(raw(&doc! { "_id": Bson::Null }));
    documents.push(raw(&doc! { "_id": f64::NAN }));
    world.put("orders", &documents).await;
    let whole = Memory::default();
    let selection = Selection { splits_count: Some(1), ..everything() };
    run(world.source("orders", &selection), Arc::new(whole.clone()), Arc::default(), 1_000)
        .await
        .expect("runs");
    let cut = Memory::default();
    let conditional = Memory::default();
    let filter = Some("{}".to_owned());
    let selection = Selection { splits_count: Some(4), filter, ..everything() };
    run(world.source("orders", &selection), Arc::new(conditional.clone()), Arc::default(), 500)
        .await
        .expect("runs");
    assert_eq!(conditional.keys(), whole.keys());
    let selection = Selection { splits_count: Some(4), ..everything() };
    let summary = run(world.source("orders", &selection), Arc::new(cut.clone()), Arc::default(), 500)
        .await
        .expect("runs");
    assert_eq!(summary.records_count, 10_004);
    assert_eq!((whole.splits().len(), cut.splits().len()), (1, 4));
    assert_eq!(cut.keys(), whole.keys());
    assert_eq!(cut.keys().into_iter().collect::<BTreeSet<_>>().len(), 10_004);
}

/// Kills the first life at each of its saves in turn. Before the second one the collection has grown, so that another
/// sample would cut elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_life_goes_on_in_the_splits_of_the_first() {
    let Some(world) = world("reading_killed").await else { return };
    let mut number = 4_000;
    let first: Vec<RawDocumentBuf> = (0..number).map(|number| raw(&order(number))).collect();
    world.put("orders", &first).await;
    let selection = Selection { splits_count: Some(3), ..everything() };
    for dies_at in 1..=12 {
        let (checkpoints, memory) = (Arc::new(Kept::default()), Memory::default());
        checkpoints.dies_at.store(dies_at, SeqCst);
        let before = number;
        let life =
            run(world.source("orders", &selection), Arc::new(memory.clone()), checkpoints.clone(), 400).await;
        assert!(life.is_err(), "save {dies_at} was not reached");
        let more: Vec<RawDocumentBuf> = (number..number + 300).map(|number| raw(&order(number))).collect();
        world.put("orders", &more).await;
        number += 300;
        run(world.source("orders", &selection), Arc::new(memory.clone()), checkpoints, 450)
            .await
            .expect("runs");
        let keys = memory.keys();
        let distinct: BTreeSet<&String> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len(), "save {dies_at}: a document came twice");
        assert!(keys.len() as i64 >= before, "save {dies_at}: {} of {before} documents", keys.len());
        assert_eq!(memory.splits().len(), 3, "save {dies_at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_behind_the_end_of_any_batch() {
    let Some(world) = world("reading_resumed").await else { return };
    let documents: Vec<RawDocumentBuf> =
        mixed_ids(200).into_iter().map(|id| raw(&doc! { "_id": id })).collect();
    world.put("orders", &documents).await;
    for filter in [None, Some("{}".to_owned())] {
        let selection = Selection { splits_count: Some(1), filter, ..everything() };
        goes_on(&*world.source("orders", &selection)).await;
    }
}

async fn goes_on(source: &dyn Source) {
    let Discovery::Changed { assigned, .. } = source.discover(&ask(0)).await.expect("discovers") else {
        panic!("splits")
    };
    let read = async |from: Position, bytes_max: u64| {
        let mut reader = source.open(&assigned[0], &from).await.expect("opens");
        let mut batches: Vec<(Vec<String>, Position)> = Vec::new();
        loop {
            match reader.read(&ask(bytes_max)).await.expect("reads") {
                Read::Batch(batch) => {
                    let keys = (0..batch.len())
                        .map(|row| String::from_utf8_lossy(batch.envelope.key(row).expect("keys")).into());
                    batches.push((keys.collect(), batch.end.clone()));
                }
                Read::Idle => {}
                Read::End => return batches,
            }
        }
    };
    let batches = read(Position::Start, 3_000).await;
    let all: Vec<&String> = batches.iter().flat_map(|(keys, _)| keys).collect();
    assert_eq!(all.len(), 200);
    assert!(batches.len() > 5, "{} batches", batches.len());
    let mut passed = 0;
    for (keys, end) in &batches {
        passed += keys.len();
        let rest = read(end.clone(), 1 << 20).await;
        assert_eq!(rest.iter().flat_map(|(keys, _)| keys).collect::<Vec<_>>(), all[passed..]);
    }
}

async fn rows(world: &World, collection: &str, selection: Selection) -> Vec<String> {
    let memory = Memory::default();
    let source = world.source(collection, &selection);
    run(source, Arc::new(memory.clone()), Arc::default(), 1_000).await.expect("runs");
    memory.rows().iter().map(|(_, row)| json(row)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_filter_and_cursor_are_asked_of_the_server() {
    let Some(world) = world("reading_selection").await else { return };
    let at = |seconds: i64| DateTime::from_millis(seconds * 1_000);
    let documents = [
        doc! { "_id": 1, "at": at(10), "kind": "a", "more": { "x": 1 } },
        doc! { "_id": 2, "at": at(20), "kind": "b" },
        doc! { "_id": 3, "at": at(30), "kind": "a" },
        doc! { "_id": 4, "at": Bson::Null, "kind": "a" },
        doc! { "_id": 5, "kind": "b" },
    ];
    world.put("events", &documents.iter().map(raw).collect::<Vec<_>>()).await;
    let fields = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let only = Selection { fields: fields(&["kind"]), ..everything() };
    assert_eq!(rows(&world, "events", only.clone()).await[0], r#"{"_id":1,"kind":"a"}"#);
    let filter = Some(r#"{"kind": "a", "at": {"$gt": {"$date": "1970-01-01T00:00:15Z"}}}"#.to_owned());
    let only_id = Selection { fields: fields(&["_id"]), ..everything() };
    assert_eq!(rows(&world, "events", Selection { filter, ..only_id.clone() }).await, [r#"{"_id":3}"#]);
    let cursor = |from: Option<Value>, is_from_included, to: Option<Value>, takes_missing| Selection {
        cursor: Some(CursorRange { field: "at".to_owned(), from, is_from_included, to, takes_missing }),
        ..only_id.clone()
    };
    let ids = async |selection| {
        rows(&world, "events", selection).await.join(" ").replace("{\"_id\":", "").replace('}', "")
    };
    let time = |seconds: i64| Some(Value::TimestampMs(seconds * 1_000));
    let text = |text: &str| Some(Value::string(text));
    assert_eq!(ids(cursor(time(20), true, None, false)).await, "2 3");
    assert_eq!(ids(cursor(time(20), false, None, false)).await, "3");
    assert_eq!(ids(cursor(time(10), true, time(30), false)).await, "1 2");
    assert_eq!(ids(cursor(time(30), true, None, true)).await, "3 4 5");
    assert_eq!(ids(cursor(None, true, None, false)).await, "1 2 3");
    assert_eq!(ids(cursor(None, true, None, true)).await, "1 2 3 4 5");
    assert_eq!(ids(cursor(text("1970-01-01T00:00:20Z"), true, None, false)).await, "2 3");
    assert_eq!(ids(cursor(Some(Value::TimestampUs(20_000_001)), true, None, false)).await, "3");
    assert_eq!(ids(cursor(Some(Value::TimestampUs(20_000_001)), false, None, false)).await, "3");
    assert_eq!(ids(cursor(Some(Value::TimestampUs(19_999_999)), false, None, false)).await, "2 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_over_object_ids_may_be_text() {
    let Some(world) = world("reading_cursor_ids").await else { return };
    world.put("orders", &(0..10).map(|number| raw(&order(number))).collect::<Vec<_>>()).await;
    let from = Some(Value::string(ObjectId::from_bytes([7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 8]).to_hex()));
    let cursor = CursorRange {
        field: "_id".to_owned(),
        from,
        is_from_included: false,
        to: None,
        takes_missing: false,
    };
    let selection = Selection { cursor: Some(cursor), ..everything() };
    assert_eq!(rows(&world, "orders", selection).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_ids_are_ranges_of_the_index() {
    let Some(world) = world("reading_explained").await else { return };
    world.put("orders", &(0..100).map(|number| raw(&order(number))).collect::<Vec<_>>()).await;
    let query = crate::mongodb::query::Query::new("orders", &everything()).expect("a query");
    let id = |last: u8| Some(Bson::ObjectId(ObjectId::from_bytes([7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, last])));
    let range = crate::mongodb::query::Range { from: id(10), below: id(20) };
    let find = doc! { "find": "orders", "filter": query.filter(&range, None), "sort": { "_id": 1 } };
    let explained = world
        .database
        .run_command(doc! { "explain": find, "verbosity": "executionStats" })
        .await
        .expect("explains");
    let stats = explained.get_document("executionStats").expect("stats");
    let number = |name: &str| stats.get_i32(name).expect("a number");
    assert_eq!((number("nReturned"), number("totalDocsExamined")), (10, 10), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_read_whole() {
    let Some(world) = world("reading_view").await else { return };
    world.put("orders", &(0..20).map(|number| raw(&order(number))).collect::<Vec<_>>()).await;
    let pipeline = vec![doc! { "$match": { "status": "open" } }, doc! { "$project": { "status": 1 } }];
    world
        .database
        .create_collection("open")
        .view_on("orders".to_owned())
        .pipeline(pipeline)
        .await
        .expect("a view");
    assert_eq!(rows(&world, "open", everything()).await.len(), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_the_server_lost_goes_on_behind_its_last_document() {
    let Some(mut world) = world("reading_lost").await else { return };
    let _alone = FAIL_POINT.lock().await;
    world.put("orders", &(0..5_000).map(|number| raw(&order(number))).collect::<Vec<_>>()).await;
    world.uri += "&appName=reading_lost";
    world.fail("reading_lost", "getMore", 2, doc! { "errorCode": 43 }).await;
    let selection = Selection { splits_count: Some(2), ..everything() };
    assert_eq!(rows(&world, "orders", selection.clone()).await.len(), 5_000);
    world.fail("reading_lost", "getMore", 1, doc! { "closeConnection": true }).await;
    assert_eq!(rows(&world, "orders", selection).await.len(), 5_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_bounded_by_bytes_and_records() {
    let Some(world) = world("reading_bounded").await else { return };
    world.put("orders", &(0..3_000).map(|number| raw(&order(number))).collect::<Vec<_>>()).await;
    let source = world.source("orders", &Selection { splits_count: Some(1), ..everything() });
    let Discovery::Changed { assigned, .. } = source.discover(&ask(0)).await.expect("discovers") else {
        panic!("splits")
    };
    let mut reader = source.open(&assigned[0], &Position::Start).await.expect("opens");
    let mut counts = Vec::new();
    for (bytes_max, records_max) in [(1, 1_000), (64 << 10, 1_000), (4 << 20, 7)] {
        let Read::Batch(batch) = reader.read(&Ask { records_max, ..ask(bytes_max) }).await.expect("reads")
        else {
            panic!("a batch")
        };
        counts.push(batch.len());
    }
    assert_eq!((counts[0], counts[2]), (1, 7));
    assert!((5..40).contains(&counts[1]), "{} documents of a kilobyte in 64 KiB of values", counts[1]);
}

/// Of use is the figure: `cargo test --release -p tidemill-connectors read_rate -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn read_rate() {
    let Some(world) = world("reading_rate").await else { return };
    let count: i64 = if cfg!(debug_assertions) { 5_000 } else { 200_000 };
    for start in (0..count).step_by(5_000) {
        world
            .put("orders", &(start..start + 5_000).map(|number| raw(&order(number))).collect::<Vec<_>>())
            .await;
    }
    let source = world.source("orders", &everything());
    let start = Instant::now();
    let summary = run(source, Arc::new(Nothing), Arc::default(), 50_000).await.expect("runs");
    assert_eq!(summary.records_count, count as u64);
    println!(
        "{count} documents in {:.3} s, {} splits",
        start.elapsed().as_secs_f64(),
        summary.splits_count - 1
    );
}

/// Takes everything and keeps nothing.
struct Nothing;

#[async_trait]
impl Sink for Nothing {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
    async fn writer(&self, _: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(Nothing))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for Nothing {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, _: &Batch) -> Result<Rejects, Fault> {
        Ok(Rejects::default())
    }
    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        Ok(Receipt::default())
    }
}
