//! The source: splits, pages of any size, every position, Query, lives that are killed.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use base::{
    Ask, Backoff, Batch, Body, Budget, Discovery, Extent, Fault, Read, Receipt, Rejects, Saved, Sink, Source,
    SystemClock, Writer,
};
use engine::{
    Cuts, Ended, OnError, Progress, Transfer, checkpoints::NoCheckpoints, dead_letters::NoDeadLetters,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::CursorRange;

fn ask(bytes_max: u64) -> Ask {
    let deadline = Instant::now() + Duration::from_millis(500);
    Ask { bytes_max, records_max: 1_000, deadline, lease: Lease::free() }
}

async fn splits(source: &dyn Source) -> Vec<Split> {
    let Discovery::Changed { assigned, .. } = source.discover(&ask(0)).await.unwrap() else {
        panic!("splits")
    };
    assert!(matches!(source.discover(&ask(0)).await.unwrap(), Discovery::Complete));
    assigned
}

/// Rows with their keys, and the position behind each batch, from a position on.
async fn read(
    source: &dyn Source,
    split: &Split,
    from: &Position,
    bytes_max: u64,
) -> Result<(Vec<(String, Value)>, Vec<(usize, Position)>), String> {
    let mut reader = source.open(split, from).await.map_err(told)?;
    let (mut rows, mut positions) = (Vec::new(), Vec::new());
    loop {
        let ask = ask(bytes_max);
        match reader.read(&ask).await.map_err(told)? {
            Read::Batch(batch) => {
                let Body::Rows(values) = &batch.body else { panic!("rows") };
                for (row, value) in values.iter().enumerate() {
                    let key = String::from_utf8_lossy(batch.envelope.key(row).unwrap()).into_owned();
                    assert_eq!(batch.origin(row).to_string(), format!("{}/{key}", batch.place));
                    rows.push((key, value.clone()));
                }
                positions.push((rows.len(), batch.end));
            }
            Read::Idle => assert!(Instant::now() >= ask.deadline, "idle before the deadline"),
            Read::End => return Ok((rows, positions)),
        }
    }
}

async fn read_all(source: &dyn Source, bytes_max: u64) -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    for split in splits(source).await {
        rows.extend(read(source, &split, &Position::Start, bytes_max).await.unwrap().0);
    }
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows
}

async fn numbered(peer: &Peer, table: &str, count: u64) {
    peer.create(table, &[("id", KeyKind::Text)]).await;
    let item =
        |number: u64| json!({ "id": { "S": format!("id-{number:04}") }, "n": { "N": number.to_string() } });
    peer.put(table, &(0..count).map(item).collect::<Vec<_>>()).await;
}

/// The rules that the engine's suite has for sources with marks, for one whose positions are tokens.
#[tokio::test(flavor = "multi_thread")]
async fn the_source_keeps_the_contract() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("contract");
        numbered(peer, &table, 60).await;
        let selection = Selection { splits_count: Some(3), ..Selection::default() };
        let open = || peer.source(&table, &[], &selection);
        let source = open();
        let found = splits(&*source).await;
        let ids: Vec<String> = found.iter().map(|split| split.id.to_string()).collect();
        assert_eq!(ids, [0, 1, 2].map(|number| format!("{table}/{number}/3")), "{}", peer.name);
        let whole = read_all(&*open(), 1 << 20).await;
        let expected: Vec<String> = (0..60).map(|number| format!("id-{number:04}")).collect();
        assert_eq!(whole.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), expected, "{}", peer.name);
        assert_eq!(read_all(&*open(), 1).await, whole, "{}: a page of one item each", peer.name);
        for split in &found {
            let (rows, positions) = read(&*source, split, &Position::Start, 1).await.unwrap();
            for (at, position) in &positions {
                let (rest, _) = read(&*open(), split, position, 1 << 20).await.unwrap();
                assert_eq!(rest, rows[*at..], "{}: on from {position}", peer.name);
            }
            let strange = [Position::Mark(7), Position::Token(bytes::Bytes::from_static(b"?"))];
            for position in strange {
                assert!(source.open(split, &position).await.is_err(), "{position}");
            }
        }
        let (_, other) = read(&*source, &found[1], &Position::Start, 1).await.unwrap();
        let refused = read(&*source, &found[0], &other[0].1, 1).await.unwrap_err();
        assert!(refused.starts_with("TM0749"), "{refused}");
        tables::delete(peer.access(), &table).await.unwrap();
    }
}

/// Attributes of every type, and what the row of them is.
fn every_type() -> (Json, Value) {
    let item = json!({
        "id": { "S": "1" }, "s": { "S": "\u{0}\"é\u{1f600}" }, "empty": { "S": "" },
        "n": { "N": "-9223372036854775808" }, "d": { "N": "1234567890123456789012345678.9012345678" },
        "tiny": { "N": "1E-130" }, "b": { "B": "AP8=" }, "yes": { "BOOL": true }, "no": { "BOOL": false },
        "null": { "NULL": true }, "l": { "L": [{ "N": "1" }, { "S": "two" }, { "L": [] }] },
        "m": { "M": { "inner": { "M": { "deep": { "NULL": true } } }, "a.b": { "N": "0.5" } } },
        "ss": { "SS": ["a", "b"] }, "ns": { "NS": ["1", "2.5"] }, "bs": { "BS": ["AA==", "/w=="] },
    });
    let decimal = |unscaled, scale| Value::Decimal { unscaled, scale };
    let bytes = |bytes: &'static [u8]| Value::Bytes(bytes::Bytes::from_static(bytes));
    let value = row(&[
        ("id", Value::string("1")),
        ("b", bytes(b"\x00\xff")),
        ("bs", Value::tagged("BS", Value::List(vec![bytes(b"\x00"), bytes(b"\xff")]))),
        ("d", decimal(12_345_678_901_234_567_890_123_456_789_012_345_678, 10)),
        ("empty", Value::string("")),
        ("l", Value::List(vec![Value::Int(1), Value::string("two"), Value::List(vec![])])),
        ("m", row(&[("a.b", decimal(5, 1)), ("inner", row(&[("deep", Value::Null)]))])),
        ("n", Value::Int(i64::MIN)),
        ("no", Value::Boolean(false)),
        ("ns", Value::tagged("NS", Value::List(vec![Value::Int(1), decimal(25, 1)]))),
        ("null", Value::Null),
        ("s", Value::string("\u{0}\"é\u{1f600}")),
        ("ss", Value::tagged("SS", Value::List(vec![Value::string("a"), Value::string("b")]))),
        ("tiny", Value::tagged("N", Value::string("1E-130"))),
        ("yes", Value::Boolean(true)),
    ]);
    (item, value)
}

/// Sets have no order, and each of them writes a small number in its own way.
fn sorted(value: Value) -> Value {
    match value {
        Value::Tagged { tag: "N", value } => match *value {
            Value::String(digits) => Value::Float(digits.parse().unwrap()),
            other => other,
        },
        Value::Tagged { tag, value } => match *value {
            Value::List(mut items) => {
                items.sort_by_key(|item| format!("{item:?}"));
                Value::tagged(tag, Value::List(items))
            }
            other => Value::tagged(tag, other),
        },
        Value::Struct(fields) => {
            Value::Struct(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_there_and_back() {
    let peers = peers().await;
    for peer in &peers.all {
        let (from, to) = (fresh("types"), fresh("types"));
        peer.create(&from, &[("id", KeyKind::Text)]).await;
        let (item, value) = every_type();
        peer.put(&from, &[item]).await;
        let rows = read_all(&*peer.source(&from, &[], &Selection::default()), 1 << 20).await;
        let read = sorted(rows[0].1.clone());
        if peer.name == "embedded" {
            assert_eq!(read, sorted(value));
        }
        // What was read goes into another table, by the sink, and is the same there.
        let sink = peer.sink(&to, &[("create", "true"), ("key", "id")]);
        super::sink::write(&*sink, super::sink::rows(vec![rows[0].1.clone()])).await;
        let again = read_all(&*peer.source(&to, &[], &Selection::default()), 1 << 20).await;
        assert_eq!(sorted(again[0].1.clone()), read, "{}", peer.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_passed_down() {
    let peers = peers().await;
    for peer in &peers.all {
        let table = fresh("flights");
        peer.create(&table, &[("carrier", KeyKind::Text), ("flight", KeyKind::Number)]).await;
        let item = |(carrier, flight): (&str, u32)| {
            json!({ "carrier": { "S": carrier }, "flight": { "N": flight.to_string() },
                    "size": { "N": (flight * 10).to_string() }, "name": { "S": format!("{carrier} {flight}") } })
        };
        let all: Vec<(&str, u32)> =
            ["AA", "UA"].iter().flat_map(|c| (1..=20).map(move |f| (*c, f))).collect();
        peer.put(&table, &all.into_iter().map(item).collect::<Vec<_>>()).await;
        let keys = async |selection: Selection| {
            let source = peer.source(&table, &[("consistent", "true")], &selection);
            let is_query = splits(&*source).await[0].id.ends_with("/query");
            let rows = read_all(&*peer.source(&table, &[], &selection), 200).await;
            (is_query, rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>())
        };
        let cursor = |field: &str, from, to, is_from_included| {
            let (from, to) = (Some(Value::Int(from)), Some(Value::Int(to)));
            Some(CursorRange { field: field.to_owned(), from, is_from_included, to, takes_missing: false })
        };
        let filter = |text: &str| Some(text.to_owned());
        let found =
            keys(Selection { filter: filter("size < 30 AND carrier <> 'AA'"), ..Selection::default() }).await;
        assert_eq!(found, (false, vec!["UA|1".to_owned(), "UA|2".to_owned()]), "{}", peer.name);
        let query = Selection { filter: filter("carrier = 'AA' AND size >= 190"), ..Selection::default() };
        assert_eq!(keys(query).await, (true, vec!["AA|19".to_owned(), "AA|20".to_owned()]), "{}", peer.name);
        for (is_included, expected) in [(true, ["AA|3", "AA|4"].to_vec()), (false, vec!["AA|4"])] {
            let by_sort = cursor("flight", 3, 5, is_included);
            let query =
                Selection { filter: filter("carrier = 'AA'"), cursor: by_sort, ..Selection::default() };
            assert_eq!(keys(query).await, (true, expected.iter().map(|key| (*key).to_owned()).collect()));
            let scan = cursor("size", 30, 50, is_included);
            let scan =
                Selection { filter: filter("begins_with(name, 'AA')"), cursor: scan, ..Selection::default() };
            assert_eq!(keys(scan).await, (false, expected.iter().map(|key| (*key).to_owned()).collect()));
        }
        let fields = Selection { fields: vec!["size".to_owned()], ..Selection::default() };
        let rows = read_all(&*peer.source(&table, &[], &fields), 1 << 20).await;
        let first =
            row(&[("carrier", Value::string("AA")), ("flight", Value::Int(1)), ("size", Value::Int(10))]);
        assert_eq!((rows.len(), &rows[0].1), (40, &first), "{}", peer.name);
    }
}

/// Keeps what is committed; dies at the extent with this number.
#[derive(Default)]
struct Kept {
    rows: Mutex<Vec<Value>>,
    extents: std::sync::atomic::AtomicI64,
}

struct KeptSink(Arc<Kept>);
struct KeptWriter(Arc<Kept>, Vec<Value>);

#[async_trait]
impl Sink for KeptSink {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
    async fn writer(&self, _: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(KeptWriter(self.0.clone(), Vec::new())))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for KeptWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let Body::Rows(rows) = &batch.body else { panic!("rows") };
        self.1.extend(rows.iter().cloned());
        Ok(Rejects::default())
    }
    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        if self.0.extents.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            return Err(Fault::Fatal("killed".into()));
        }
        self.0.rows.lock().append(&mut self.1);
        Ok(Receipt::default())
    }
}

fn transfer(source: Arc<dyn Source>, kept: &Arc<Kept>, saved: &Arc<NoCheckpoints>) -> Transfer {
    Transfer {
        load: load(),
        source,
        stages: Vec::new(),
        sink: Arc::new(KeptSink(kept.clone())),
        cuts: Cuts::records(10),
        // So small that pages are, too.
        budget: Budget::new(64 << 10),
        checkpoints: saved.clone(),
        dead_letters: Arc::new(NoDeadLetters),
        progress: Arc::new(Progress::default()),
        on_error: OnError::Stop,
        clock: Arc::new(SystemClock),
        retries: Backoff::new(10, 100, 5, 7),
        lanes_count_max: 4,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_every_item_comes_once() {
    let peers = peers().await;
    let (peer, table) = (peers.embedded(), fresh("killed"));
    numbered(peer, &table, 300).await;
    // Pages of a few items, whatever the budget: the first page tells how large items are.
    let selection =
        Selection { splits_count: Some(5), filter: Some("n >= 0".to_owned()), ..Selection::default() };
    for deaths in 1..12 {
        let (kept, saved) = (Arc::new(Kept::default()), Arc::new(NoCheckpoints::default()));
        let mut lives = 0;
        loop {
            lives += 1;
            kept.extents.store(if lives < 4 { deaths } else { -1 }, std::sync::atomic::Ordering::SeqCst);
            let run = transfer(peer.source(&table, &[], &selection), &kept, &saved);
            match run.run(CancellationToken::new()).await {
                Ok(summary) => {
                    assert_eq!(summary.ended, Ended::Finished);
                    break;
                }
                Err(fault) => assert!(told(fault).contains("killed")),
            }
        }
        let mut found: Vec<String> =
            kept.rows.lock().iter().map(|row| format!("{:?}", row.get("n"))).collect();
        assert_eq!(found.len(), 300, "{deaths} deaths in {lives} lives");
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 300, "{deaths} deaths in {lives} lives");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_table_is_waited_for_and_one_that_stays_so_is_a_fault() {
    let peers = peers().await;
    let table = fresh("busy");
    numbered(peers.embedded(), &table, 30).await;
    let selection = Selection { splits_count: Some(1), ..Selection::default() };
    let (peer, busy) = super::busy::before(peers.embedded(), 5).await;
    assert_eq!(read_all(&*peer.source(&table, &[], &selection), 1 << 20).await.len(), 30);
    assert_eq!(busy.refused.load(std::sync::atomic::Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_table_from_being_read_is_told() {
    let peers = peers().await;
    for peer in &peers.all {
        let source = peer.source("no-such-table", &[], &Selection::default());
        let fault = source.discover(&ask(0)).await.unwrap_err();
        assert!(matches!(fault, Fault::Fatal(_)));
        assert!(told(fault).starts_with("TM0741 × the table no-such-table does not exist"), "{}", peer.name);
    }
    let nowhere = Peer { name: "nowhere", endpoint: format!("http://127.0.0.1:{}", testkit::free_port()) };
    let fault = nowhere.source("planes", &[], &Selection::default()).discover(&ask(0)).await.unwrap_err();
    assert!(matches!(fault, Fault::Transient(_)));
    assert!(told(fault).contains("Connection refused"));
    let table = fresh("index");
    numbered(peers.embedded(), &table, 1).await;
    let source = peers.embedded().source(&table, &[("index", "none")], &Selection::default());
    assert!(told(source.discover(&ask(0)).await.unwrap_err()).starts_with("TM0740"));
}
