//! The rules of a sink, each a transfer or two and a look at what is visible then.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use base::{
    Backoff, Batch, Body, Budget, Contract, ContractKind, Envelope, Extent, Fault, Header, Kind, Lease, Load,
    Place, Position, Saved, Schema, Shared, Sink, Split, SystemClock, Value, problem::line,
};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Rule, SinkFixture,
    made::{Kept, Made, Record},
};
use crate::{Cuts, DeadLetters, OnError, Progress, Summary, Transfer};

/// Runs every rule; a line each: `kept`, `broken: why`, or `cannot: the fixture's reason`.
pub async fn sink(fixture: &SinkFixture) -> String {
    let mut text = String::new();
    for (number, rule) in Rule::ALL.into_iter().enumerate() {
        let cannot = fixture.cannot.iter().find(|(known, _)| *known == rule);
        let verdict = match cannot {
            Some((_, reason)) => format!("cannot: {reason}"),
            None => match check(fixture, rule, number as i32).await {
                Ok(()) => "kept".to_owned(),
                Err(why) => format!("broken: {why}"),
            },
        };
        text += &format!("{}: {verdict}\n", rule.words());
    }
    text
}

/// How many records most rules send, and in extents of how many.
const RECORDS: u64 = 25;
const EXTENT: u64 = 10;
/// What the memory rule pushes through its budget.
const BUDGET_BYTES: u32 = 1 << 20;
const MEMORY_RECORDS: u64 = 4_000;
const MEMORY_RECORD_BYTES: usize = 4_096;
const RULE_MS: u64 = 60_000;

/// One rule's split and settings.
struct Run<'a> {
    fixture: &'a SinkFixture,
    split: Split,
    records: Vec<Record>,
    batch_records: usize,
    has_keys: bool,
    dies_at: i64,
    cut: u64,
    kept: Arc<Kept>,
    letters: Arc<Letters>,
}

/// Keeps the places of dead letters.
#[derive(Default)]
struct Letters(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl DeadLetters for Letters {
    async fn put(&self, _: &Split, rejects: base::Rejects) -> Result<(), Fault> {
        self.0.lock().extend(rejects.0.iter().map(|reject| reject.origin.to_string()));
        Ok(())
    }
    async fn flush(&self, _: &Extent) -> Result<(), Fault> {
        Ok(())
    }
    async fn discard(&self, _: &Split) {}
}

fn split(number: i32) -> Split {
    let place = Arc::new(Place::Topic { topic: "contract".into(), partition: number });
    Split { id: format!("contract-{number}").into(), place }
}

impl<'a> Run<'a> {
    fn new(fixture: &'a SinkFixture, number: i32) -> Self {
        let record = |number| Record {
            key: Some(format!("key-{number}").into_bytes()),
            value: Some((fixture.value)(number)),
            ..Record::default()
        };
        Self {
            fixture,
            split: split(number),
            records: (0..RECORDS).map(record).collect(),
            batch_records: 7,
            has_keys: true,
            dies_at: -1,
            cut: EXTENT,
            kept: Arc::default(),
            letters: Arc::default(),
        }
    }

    fn transfer(&self, sink: Arc<dyn Sink>) -> Transfer {
        let made = Made {
            split: self.split.clone(),
            records: Arc::new(self.records.clone()),
            batch_records: self.batch_records,
            has_keys: self.has_keys,
            dies_at: self.dies_at.into(),
            is_endless: false,
            told: AtomicBool::new(false),
        };
        Transfer {
            load: Load { id: "contract".into(), transfer: "contract".into() },
            source: Arc::new(made),
            stages: Vec::new(),
            sink,
            cuts: Cuts { on_contract_change: true, ..Cuts::records(self.cut) },
            budget: Budget::new(BUDGET_BYTES),
            checkpoints: self.kept.clone(),
            dead_letters: self.letters.clone(),
            progress: Arc::new(Progress::default()),
            on_error: OnError::DeadLetter,
            clock: Arc::new(SystemClock),
            retries: Backoff::new(10, 100, 5, 7),
            lanes_count_max: 4,
        }
    }

    /// A life from the checkpoint to its end.
    async fn live(&self) -> Result<Summary, String> {
        self.live_with((self.fixture.open)()).await
    }

    async fn live_with(&self, sink: Arc<dyn Sink>) -> Result<Summary, String> {
        let run = self.transfer(sink).run(CancellationToken::new());
        let ended = tokio::time::timeout(Duration::from_millis(RULE_MS), run).await;
        let ended = ended.map_err(|_| format!("it hangs: {RULE_MS} ms were not enough"))?;
        ended.map_err(|fault| line(&fault))
    }

    /// A life that has to be killed.
    async fn die(&self) -> Result<(), String> {
        match self.live().await {
            Err(why) if why.contains("killed") => Ok(()),
            Err(why) => Err(why),
            Ok(_) => Err("the first life was not killed".to_owned()),
        }
    }

    /// Compares what is visible with these values.
    async fn shows(&self, expected: impl Iterator<Item = &Record>) -> Result<(), String> {
        let mut wanted: Vec<Vec<u8>> = expected.filter_map(|record| record.value.clone()).collect();
        let mut found = (self.fixture.read_back)(&self.split).await;
        wanted.sort();
        found.sort();
        if wanted == found {
            return Ok(());
        }
        let text = |values: &[Vec<u8>]| {
            let some: Vec<_> = values.iter().take(5).map(|value| String::from_utf8_lossy(value)).collect();
            some.join(" ")
        };
        let lost: Vec<Vec<u8>> = wanted.iter().filter(|value| !found.contains(value)).cloned().collect();
        Err(format!("{} of {} records are there; lost: {}", found.len(), wanted.len(), text(&lost)))
    }

    async fn shows_all(&self) -> Result<(), String> {
        self.shows(self.records.iter()).await
    }
}

async fn check(fixture: &SinkFixture, rule: Rule, number: i32) -> Result<(), String> {
    let mut run = Run::new(fixture, number);
    match rule {
        Rule::EmptyBatch => empty_batch(&run).await,
        Rule::EveryType => every_type(&run).await,
        Rule::NoKey => {
            run.has_keys = false;
            run.live().await?;
            run.shows_all().await
        }
        Rule::Headers => headers(run).await,
        Rule::Tombstones => {
            run.records[3].value = None;
            run.records[11].value = None;
            run.live().await?;
            run.shows_all().await
        }
        Rule::KeyTwiceInABatch => {
            run.records[4].key = run.records[3].key.clone();
            run.live().await?;
            run.shows_all().await
        }
        Rule::ContractChanges => contract_changes(run).await,
        Rule::RejectAmongGood => reject_among_good(run).await,
        Rule::KilledBeforeCommit => {
            run.dies_at = 14;
            run.die().await?;
            run.dies_at = -1;
            run.live().await?;
            run.shows_all().await
        }
        Rule::KilledAfterCommit => {
            run.kept = Arc::new(Kept::dying_at(2));
            run.die().await?;
            run.live().await?;
            run.shows_all().await
        }
        Rule::CommitRepeated => {
            run.live().await?;
            run.kept = Arc::default();
            run.live().await?;
            run.shows_all().await
        }
        Rule::AnotherCutInTheSecondLife => {
            run.kept = Arc::new(Kept::dying_at(2));
            run.die().await?;
            // Longer than the extent that was committed but not saved, so that it is overwritten by name.
            run.cut = EXTENT + 5;
            run.batch_records = 4;
            run.live().await?;
            run.shows_all().await
        }
        Rule::Cancelled => cancelled(&run).await,
        Rule::BeginTwice => begin_twice(run).await,
        Rule::Throttled => {
            let Some(open) = &fixture.throttled else {
                return Err("the fixture gives no throttled sink".to_owned());
            };
            run.live_with(open()).await?;
            run.shows_all().await
        }
        Rule::Denied => denied(&run).await,
        Rule::MemoryWithinBudget => memory(run).await,
    }
}

async fn headers(mut run: Run<'_>) -> Result<(), String> {
    let header =
        |value: &'static [u8]| Header { name: "trace".into(), value: Some(Bytes::from_static(value)) };
    run.records[3].headers = vec![header(b"1"), header(b"\xff"), Header { name: "".into(), value: None }];
    run.live().await?;
    run.shows_all().await
}

async fn begin_twice(run: Run<'_>) -> Result<(), String> {
    let sink = (run.fixture.open)();
    let load = Load { id: "contract".into(), transfer: "contract".into() };
    sink.begin(&load).await.map_err(|fault| line(&fault))?;
    run.live_with(sink.clone()).await?;
    sink.finish(&load).await.map_err(|fault| line(&fault))?;
    run.shows_all().await
}

async fn empty_batch(run: &Run<'_>) -> Result<(), String> {
    let sink = (run.fixture.open)();
    let load = Load { id: "contract".into(), transfer: "contract".into() };
    let told = |fault: Fault| line(&fault);
    sink.begin(&load).await.map_err(told)?;
    let mut writer = sink.writer(&run.split).await.map_err(told)?;
    writer.recover(&Saved::default()).await.map_err(told)?;
    let body = Body::Raw(arrow_array::BinaryViewArray::from_iter_values(std::iter::empty::<&[u8]>()));
    let (place, lease) = (run.split.place.clone(), Lease::free());
    let envelope = Envelope { marks: Some(Vec::new().into()), ..Envelope::default() };
    let batch = Batch { body, envelope, contract: None, place, end: Position::Mark(0), lease };
    writer.write(&batch).await.map_err(told)?;
    run.shows([].iter()).await?;
    drop(writer);
    run.live().await?;
    run.shows_all().await
}

/// Parsed values of every kind, in one struct; only that they are taken or refused one by one is asked.
async fn every_type(run: &Run<'_>) -> Result<(), String> {
    let name = |name: &str| Arc::<str>::from(name);
    let fields = vec![
        (name("null"), Value::Null),
        (name("boolean"), Value::Boolean(true)),
        (name("int"), Value::Int(i64::MIN)),
        (name("float"), Value::Float(1.5)),
        (name("decimal"), Value::Decimal { unscaled: -12_345, scale: 2 }),
        (name("string"), Value::string("\u{0}\"é\u{1f600}")),
        (name("bytes"), Value::Bytes(Bytes::from_static(b"\x00\xff"))),
        (name("date"), Value::Date(-1)),
        (name("time"), Value::TimeMs(86_399_999)),
        (name("timestamp"), Value::TimestampMs(-1)),
        (name("list"), Value::List(vec![Value::Int(1), Value::Null])),
        (name("map"), Value::Map(vec![(Value::string("k"), Value::Int(1))])),
        (name("struct"), Value::Struct(vec![(name("inner"), Value::Null)])),
    ];
    let sink = (run.fixture.open)();
    let load = Load { id: "contract".into(), transfer: "contract".into() };
    let told = |fault: Fault| line(&fault);
    sink.begin(&load).await.map_err(told)?;
    let mut writer = sink.writer(&run.split).await.map_err(told)?;
    writer.recover(&Saved::default()).await.map_err(told)?;
    let rows = vec![Value::Struct(fields.clone()), Value::Struct(fields)];
    let envelope = Envelope {
        marks: Some(vec![0, 1].into()),
        timestamps_ms: Some(vec![0, 1].into()),
        ..Envelope::default()
    };
    let (place, lease) = (run.split.place.clone(), Lease::free());
    let body = Body::Rows(Shared::from(rows));
    let batch = Batch { body, envelope, contract: None, place, end: Position::Mark(2), lease };
    let rejects = writer.write(&batch).await.map_err(told)?;
    let records_count = 2 - (rejects.0.len() as u64).min(2);
    let (start, end) = (Position::Mark(0), Position::Mark(2));
    let extent = Extent { split: run.split.clone(), start, end, records_count, bytes: 0 };
    writer.commit(&extent).await.map_err(told)?;
    let found = (run.fixture.read_back)(&run.split).await.len() as u64;
    if found == records_count { Ok(()) } else { Err(format!("{found} of {records_count} rows are there")) }
}

async fn contract_changes(mut run: Run<'_>) -> Result<(), String> {
    let contract = |subject: &str| {
        let schema = Arc::new(Schema::of(Kind::Struct(Vec::new().into())));
        let (kind, text) = (ContractKind::JsonSchema, "{}".into());
        Some(Arc::new(Contract { kind, subject: subject.into(), id: None, text, schema }))
    };
    let (one, two) = (contract("one"), contract("two"));
    for (number, record) in run.records.iter_mut().enumerate() {
        record.contract = if number < 12 { one.clone() } else { two.clone() };
    }
    let summary = run.live().await?;
    run.shows_all().await?;
    // 0..10, 10..12 cut by the contract, 12..22, 22..25.
    if summary.extents_count == 4 { Ok(()) } else { Err(format!("{} extents, not 4", summary.extents_count)) }
}

async fn reject_among_good(mut run: Run<'_>) -> Result<(), String> {
    let Some(bad) = &run.fixture.bad_value else { return Err("the fixture gives no bad value".to_owned()) };
    run.records[4].value = Some(bad.clone());
    let summary = run.live().await?;
    let good: Vec<Record> =
        run.records.iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, record)| record.clone()).collect();
    run.shows(good.iter()).await?;
    let letters = run.letters.0.lock().clone();
    if summary.rejected_count == 1 && letters == [format!("{}/4", run.split.place)] {
        return Ok(());
    }
    Err(format!("{} rejects, of {letters:?}", summary.rejected_count))
}

/// A stop in the middle leaves whole extents alone; the next life completes the rest.
async fn cancelled(run: &Run<'_>) -> Result<(), String> {
    let stop = CancellationToken::new();
    let transfer = run.transfer((run.fixture.open)());
    let progress = transfer.progress.clone();
    let running = tokio::spawn(transfer.run(stop.clone()));
    let until = Instant::now() + Duration::from_millis(RULE_MS);
    while progress.records_committed() < EXTENT && !running.is_finished() && Instant::now() < until {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.map_err(|error| error.to_string())?.map_err(|fault| line(&fault))?;
    run.live().await?;
    run.shows_all().await
}

async fn denied(run: &Run<'_>) -> Result<(), String> {
    let Some(open) = &run.fixture.denied else {
        return Err("the fixture gives no sink without rights".to_owned());
    };
    match run.transfer(open()).run(CancellationToken::new()).await {
        Err(Fault::Denied(_)) => Ok(()),
        Err(other) => Err(format!("another fault than Denied: {}", line(&other))),
        Ok(_) => Err("it was let in".to_owned()),
    }
}

/// Sixteen times the budget goes through without waiting for itself.
async fn memory(mut run: Run<'_>) -> Result<(), String> {
    let value = run.fixture.value;
    let record = |number| {
        let mut bytes = value(number);
        // JSON stays JSON with space behind it.
        bytes.resize(MEMORY_RECORD_BYTES.max(bytes.len()), b' ');
        Record { value: Some(bytes), ..Record::default() }
    };
    run.records = (0..MEMORY_RECORDS).map(record).collect();
    run.batch_records = 16;
    run.cut = MEMORY_RECORDS;
    let summary = run.live().await?;
    if summary.records_count == MEMORY_RECORDS {
        Ok(())
    } else {
        Err(format!("{} records", summary.records_count))
    }
}
