//! Against the embedded broker, on a free port, through the engine as every transfer runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{Array, BinaryViewArray};
use async_trait::async_trait;
use base::{
    Backoff, Batch, Body, Budget, Envelope, Extent, Fault, Handle, Header, Lease, Load, Place, Position,
    Problem, Receipt, Rejects, Saved, Sink, Split, SystemClock, Writer,
};
use engine::{Cuts, Ended, OnError, Progress, Transfer, dead_letters::NoDeadLetters};
use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio_util::sync::CancellationToken;

use super::*;

struct World {
    _folder: tempfile::TempDir,
    _broker: Handle,
    bootstrap: String,
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = broker::Options::at(folder.path(), "127.0.0.1:0".parse().expect("an address"));
    options.auto_create_topics = false;
    options.offsets_partitions = 1;
    let broker = broker::Service::start(options).await.expect("the broker starts");
    let bootstrap = broker.addr.to_string();
    World { _folder: folder, _broker: broker, bootstrap }
}

fn split(id: &str) -> Split {
    Split { id: id.into(), place: Arc::new(Place::Made { name: id.into() }) }
}

fn load() -> Load {
    Load { id: "1".into(), transfer: "test".into() }
}

fn batch(records: &[(Option<&str>, Option<&str>)]) -> Batch {
    let values: BinaryViewArray = records.iter().map(|record| record.1.map(str::as_bytes)).collect();
    let keys: BinaryViewArray = records.iter().map(|record| record.0.map(str::as_bytes)).collect();
    let place = Arc::new(Place::Made { name: "test".into() });
    let envelope = Envelope { keys: Some(keys), ..Envelope::default() };
    Batch {
        body: Body::Raw(values),
        envelope,
        contract: None,
        place,
        end: Position::Start,
        lease: Lease::free(),
    }
}

async fn send(world: &World, topic: &str, partitions_count: i32, batch: &Batch) {
    let mut config = SinkConfig::new(&world.bootstrap, topic);
    config.create = Some(Create { partitions_count, replication_factor: 1, config: BTreeMap::new() });
    let sink = KafkaSink::connect(config).expect("connects");
    sink.begin(&load()).await.expect("begins");
    let mut writer = sink.writer(&split("a")).await.expect("a writer");
    assert!(writer.write(batch).await.expect("writes").is_empty());
    let extent = Extent {
        split: split("a"),
        start: Position::Start,
        end: Position::Start,
        records_count: 0,
        bytes: 0,
    };
    writer.commit(&extent).await.expect("commits");
}

/// Keeps what is committed, and what is only written, by partition.
#[derive(Default, Clone)]
struct Kept(Arc<Mutex<BTreeMap<Arc<str>, Vec<Row>>>>);
struct Keeper(Kept, Split, Vec<Row>);
type Row = (i64, Option<String>, Option<String>, base::Headers, Option<i64>);

#[async_trait]
impl Sink for Kept {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(Keeper(self.clone(), split.clone(), Vec::new())))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for Keeper {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let Body::Raw(values) = &batch.body else { panic!("raw") };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for row in 0..batch.len() {
            let value = values.is_valid(row).then(|| text(values.value(row)));
            assert_eq!(value.is_none(), batch.envelope.is_tombstone(row));
            let headers = batch.envelope.headers.as_ref().map(|rows| rows[row].clone()).unwrap_or_default();
            let key = batch.envelope.key(row).map(text);
            self.2.push((
                batch.envelope.mark(row).expect("offsets"),
                key,
                value,
                headers,
                batch.envelope.timestamp_ms(row),
            ));
        }
        Ok(Rejects::default())
    }
    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        self.0.0.lock().entry(self.1.id.clone()).or_default().append(&mut self.2);
        Ok(Receipt(bytes::Bytes::from_static(b"receipt")))
    }
}

struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<engine::Summary, Fault>>,
    progress: Arc<Progress>,
    kept: Kept,
}

fn consume(
    world: &World,
    group: &str,
    topic: &str,
    records_count: u64,
    properties: &[(&str, &str)],
) -> Running {
    let mut config = SourceConfig::new(&world.bootstrap, group, Topics::List(vec![topic.to_owned()]));
    config.properties = properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let source = KafkaSource::join(config).expect("joins");
    let (kept, stop, progress) = (Kept::default(), CancellationToken::new(), Arc::new(Progress::default()));
    let transfer = Transfer {
        load: load(),
        checkpoints: Arc::new(GroupCheckpoints::of(&source)),
        source: Arc::new(source),
        stages: Vec::new(),
        sink: Arc::new(kept.clone()),
        cuts: Cuts::records(records_count),
        budget: Budget::new(8 << 20),
        dead_letters: Arc::new(NoDeadLetters),
        progress: progress.clone(),
        on_error: OnError::Stop,
        clock: Arc::new(SystemClock),
        retries: Backoff::new(10, 200, 20, 7),
        lanes_count_max: usize::MAX,
    };
    let task = tokio::spawn(transfer.run(stop.clone()));
    Running { stop, task, progress, kept }
}

impl Running {
    async fn until(&self, what: impl Fn(&Progress) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !what(&self.progress) {
            assert!(!self.task.is_finished(), "the transfer ended early");
            assert!(Instant::now() < deadline, "it did not come about: {:?}", self.progress);
            ticks.tick().await;
        }
    }

    async fn end(self) -> Kept {
        self.stop.cancel();
        let summary = self.task.await.expect("joins").expect("runs");
        assert_eq!(summary.ended, Ended::Stopped);
        self.kept
    }
}

/// The committed offset and metadata, as another client sees them.
async fn committed(world: &World, group: &str, topic: &str, partition: i32) -> (Offset, String) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &world.bootstrap).set("group.id", group);
    let topic = topic.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, partition);
        let list = consumer.committed_offsets(list, Duration::from_secs(10)).expect("an answer");
        let one = list.elements();
        (one[0].offset(), one[0].metadata().to_owned())
    });
    asked.await.expect("joins")
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_as_they_were_sent() {
    let world = world().await;
    let mut sent = batch(&[
        (Some("k"), Some("v")),
        (None, Some("a value that is longer than a view")),
        (Some("gone"), None),
    ]);
    let headers = vec![
        Header { name: "h".into(), value: Some(bytes::Bytes::from_static(b"1")) },
        Header { name: "h".into(), value: None },
    ];
    sent.envelope.headers = Some(vec![headers.clone(), vec![], vec![]].into());
    sent.envelope.timestamps_ms = Some(vec![1_000, 2_000, 3_000].into());
    send(&world, "orders", 1, &sent).await;
    let running = consume(&world, "g", "orders", 3, &[]);
    running.until(|progress| progress.records_committed() == 3).await;
    let kept = running.end().await;
    let text = |text: &str| Some(text.to_owned());
    let expected = vec![
        (0, text("k"), text("v"), headers, Some(1_000)),
        (1, None, text("a value that is longer than a view"), vec![], Some(2_000)),
        (2, text("gone"), None, vec![], Some(3_000)),
    ];
    assert_eq!(kept.0.lock().get("orders-0"), Some(&expected));
    let (offset, metadata) = committed(&world, "g", "orders", 0).await;
    assert_eq!((offset, metadata.as_str()), (Offset::Offset(3), "tidemill:1:72656365697074"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_fall_where_javas_producer_puts_them() {
    let world = world().await;
    let keys: Vec<String> = (0..200).map(|number| format!("key-{number}")).collect();
    let records: Vec<(Option<&str>, Option<&str>)> =
        keys.iter().map(|key| (Some(key.as_str()), Some("v"))).collect();
    send(&world, "orders", 6, &batch(&records)).await;
    let running = consume(&world, "g", "orders", 1, &[]);
    running.until(|progress| progress.records_committed() == 200).await;
    let kept = running.end().await;
    for (id, rows) in kept.0.lock().iter() {
        for row in rows {
            let key = row.1.as_deref().expect("a key");
            let partition = wire::partition::of_key(key.as_bytes(), 6);
            assert_eq!(format!("orders-{partition}"), **id, "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_life_goes_on_from_the_groups_offsets() {
    let world = world().await;
    let values: Vec<String> = (0..25).map(|number| format!("value number {number}")).collect();
    let records: Vec<(Option<&str>, Option<&str>)> =
        values.iter().map(|value| (None, Some(value.as_str()))).collect();
    send(&world, "orders", 1, &batch(&records)).await;
    let first = consume(&world, "g", "orders", 10, &[]);
    first.until(|progress| progress.records_written() == 25).await;
    let kept = first.end().await;
    assert_eq!(kept.0.lock()["orders-0"].len(), 20, "a stop leaves the open extent");
    assert_eq!(committed(&world, "g", "orders", 0).await.0, Offset::Offset(20));
    let second = consume(&world, "g", "orders", 5, &[]);
    second.until(|progress| progress.records_committed() == 5).await;
    let offsets: Vec<i64> = second.end().await.0.lock()["orders-0"].iter().map(|row| row.0).collect();
    assert_eq!(offsets, [20, 21, 22, 23, 24]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_the_partitions_and_lose_nothing() {
    for strategy in ["range", "cooperative-sticky"] {
        let world = world().await;
        let keys: Vec<String> = (0..400).map(|number| format!("key-{number}")).collect();
        let records: Vec<(Option<&str>, Option<&str>)> =
            keys.iter().map(|key| (Some(key.as_str()), Some(key.as_str()))).collect();
        send(&world, "orders", 4, &batch(&records)).await;
        let properties = [("partition.assignment.strategy", strategy), ("heartbeat.interval.ms", "100")];
        let first = consume(&world, "g", "orders", 1, &properties);
        first.until(|progress| progress.records_committed() == 400).await;
        let second = consume(&world, "g", "orders", 1, &properties);
        second.until(|progress| progress.lanes() == 2).await;
        first.until(|progress| progress.lanes() == 2).await;
        send(&world, "orders", 4, &batch(&records)).await;
        first
            .until(|progress| progress.records_committed() + second.progress.records_committed() == 800)
            .await;
        let (first, second) = (first.end().await, second.end().await);
        let mut all = BTreeSet::new();
        for kept in [first, second] {
            for (id, rows) in kept.0.lock().iter() {
                for row in rows {
                    assert!(all.insert((id.clone(), row.0)), "{strategy}: {id}/{} came twice", row.0);
                }
            }
        }
        assert_eq!(all.len(), 800, "{strategy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_and_a_dead_address_say_so() {
    let world = world().await;
    let sink = KafkaSink::connect(SinkConfig::new(&world.bootstrap, "nowhere")).expect("connects");
    let fault = sink.begin(&load()).await.expect_err("no topic");
    let error = fault.into_inner().downcast::<Error>().expect("ours");
    assert_eq!((error.code().id, error.to_string().as_str()), ("TM0703", "Kafka has no topic nowhere"));
    let mut config = SourceConfig::new(&world.bootstrap, "g", Topics::List(vec!["nowhere".to_owned()]));
    config.topics_must_exist = true;
    let source = KafkaSource::join(config).expect("joins");
    let ask = base::Ask { bytes_max: 1, records_max: 1, deadline: Instant::now(), lease: Lease::free() };
    let fault = base::Source::discover(&source, &ask).await.expect_err("no topic");
    assert!(fault.to_string().contains("nowhere"), "{fault}");
}

#[test]
fn every_error_says_what_where_why_and_what_to_do() {
    let source = || {
        rdkafka::error::KafkaError::MessageConsumption(
            rdkafka::types::RDKafkaErrorCode::BrokerTransportFailure,
        )
    };
    let (bootstrap, topic, group, partition) =
        ("127.0.0.1:9092".to_owned(), "orders".to_owned(), "g".to_owned(), 3);
    let errors = [
        Error::setting("partitioner", "md5", "murmur2, consistent or fnv1a"),
        Error::Client { bootstrap: bootstrap.clone(), source: source() },
        Error::Unreachable { bootstrap: bootstrap.clone(), source: source() },
        Error::Nowhere {
            bootstrap: bootstrap.clone(),
            source: std::io::Error::other("127.0.0.1:9092: Connection refused"),
        },
        Error::TopicMissing { topic: topic.clone(), bootstrap },
        Error::CreateTopic { topic: topic.clone(), source: source() },
        Error::Denied { subject: "topic orders".to_owned(), source: source() },
        Error::Consume { topic: topic.clone(), partition, source: source() },
        Error::Fenced { group: group.clone(), topic: topic.clone(), partition, source: Box::new(source()) },
        Error::Commit { group, topic: topic.clone(), partition, source: Box::new(source()) },
        Error::Deliver {
            topic: topic.clone(),
            failed_count: 12,
            reason: "Local: Message timed out".to_owned(),
        },
        Error::Remade { topic: topic.clone(), partition: 0, offset: 500, end: 12 },
        Error::Replaced {
            topic: topic.clone(),
            was: "wKvVqLVWQ0WyqmuU0Hy1kA".to_owned(),
            now: "3mVYd0JJRmKPvTfmpFpcfg".to_owned(),
        },
        Error::NoPartition { topic, partition: 3, partitions_count: 3 },
        Error::Transaction {
            id: "tidemill-load-orders".to_owned(),
            step: "commit",
            source: Box::new(source()),
        },
    ];
    let text: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    insta::assert_snapshot!(text.join("\n"));
}

/// All values of a topic, as another client reads them.
async fn values(bootstrap: String, topic: String) -> Vec<Vec<u8>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &bootstrap)
            .set("group.id", "reader")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Beginning).expect("a partition");
        consumer.assign(&list).expect("assigns");
        let (mut values, until) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while Instant::now() < until {
            match consumer.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => values.extend(rdkafka::Message::payload(&message).map(<[u8]>::to_vec)),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return values,
                _ => {}
            }
        }
        values
    });
    read.await.expect("joins")
}

/// A sink whose topics begin so: one for each rule, so that what is read back is that rule's own.
fn fixture(
    world: &World,
    prefix: &'static str,
    scope: Option<Scope>,
    cannot: &'static [(engine::contract::Rule, &'static str)],
) -> engine::contract::SinkFixture {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let (bootstrap, reader) = (world.bootstrap.clone(), world.bootstrap.clone());
    let rules = Arc::new(AtomicUsize::new(0));
    let current = rules.clone();
    engine::contract::SinkFixture {
        open: Box::new(move || {
            let topic = format!("{prefix}-{}", current.load(SeqCst));
            let mut config = SinkConfig::new(&bootstrap, &topic);
            config.create =
                Some(Create { partitions_count: 1, replication_factor: 1, config: BTreeMap::new() });
            config.properties.insert("message.max.bytes".to_owned(), "100000".to_owned());
            config.transaction = scope.map(|scope| Transaction { id: topic.clone(), group: topic, scope });
            Arc::new(KafkaSink::connect(config).expect("connects"))
        }),
        read_back: Box::new(move |_| {
            let rule = rules.load(SeqCst);
            let (reader, next) = (reader.clone(), rules.clone());
            Box::pin(async move {
                let values = values(reader, format!("{prefix}-{rule}")).await;
                if !values.is_empty() {
                    next.fetch_add(1, SeqCst);
                }
                values
            })
        }),
        value: engine::contract::value,
        bad_value: Some(vec![b'x'; 200_000]),
        denied: None,
        throttled: None,
        cannot,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_keeps_the_contract() {
    use engine::contract::{self, Rule};
    let world = world().await;
    let cannot = &[
        (Rule::EveryType, "a topic takes bytes; serializers stand before it"),
        (Rule::KilledBeforeCommit, "a topic keeps what it was sent: at least once"),
        (Rule::KilledAfterCommit, "a topic keeps what it was sent: at least once"),
        (Rule::CommitRepeated, "a topic keeps what it was sent: at least once"),
        (Rule::AnotherCutInTheSecondLife, "a topic keeps what it was sent: at least once"),
        (Rule::Cancelled, "a topic keeps what it was sent: at least once"),
        (Rule::Throttled, "the embedded broker has no quotas yet"),
        (Rule::Denied, "the embedded broker has no rights yet"),
    ];
    insta::assert_snapshot!(contract::sink(&fixture(&world, "contract", None, cannot)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_with_transactions_keeps_more_of_the_contract() {
    use engine::contract::{self, Rule};
    let world = world().await;
    let cannot = &[
        (Rule::EveryType, "a topic takes bytes; serializers stand before it"),
        (Rule::CommitRepeated, "the position is the group's: nobody commits the same twice"),
        (Rule::Throttled, "the embedded broker has no quotas yet"),
        (Rule::Denied, "the embedded broker has no rights yet"),
    ];
    insta::assert_snapshot!(
        contract::sink(&fixture(&world, "transaction", Some(Scope::Extent), cannot)).await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_keeps_the_contract() {
    use engine::contract::{self, SourceFixture};
    let world = world().await;
    let values: Vec<String> = (0..50).map(|number| format!("value number {number}")).collect();
    let records: Vec<(Option<&str>, Option<&str>)> =
        values.iter().map(|value| (None, Some(value.as_str()))).collect();
    send(&world, "orders", 1, &batch(&records)).await;
    let (bootstrap, group) = (world.bootstrap.clone(), std::sync::atomic::AtomicUsize::new(0));
    let fixture = SourceFixture {
        open: Box::new(move || {
            let group = format!("g{}", group.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            let config = SourceConfig::new(&bootstrap, group, Topics::List(vec!["orders".to_owned()]));
            Arc::new(KafkaSource::join(config).expect("joins"))
        }),
        expected: vec![("orders-0".into(), values.iter().map(|value| value.as_bytes().to_vec()).collect())],
    };
    insta::assert_snapshot!(contract::source(&fixture).await);
}

/// A queue of a fiftieth of the batch, records with headers between those without, and two that no client takes.
async fn check_full_queue(has_headers: bool) {
    const COUNT: usize = 5_000;
    let world = world().await;
    let mut config = SinkConfig::new(&world.bootstrap, "a");
    config.create = Some(Create { partitions_count: 1, replication_factor: 1, config: BTreeMap::new() });
    config.partitioner = Partitioner::Given;
    config.properties.insert("queue.buffering.max.messages".to_owned(), "100".to_owned());
    config.properties.insert("message.max.bytes".to_owned(), "2000".to_owned());
    let texts: Vec<String> =
        (0..COUNT).map(|row| format!("{row:>0$}", if row == 9 { 3_000 } else { 5 })).collect();
    let mut batch = batch(&texts.iter().map(|text| (Some("k"), Some(text.as_str()))).collect::<Vec<_>>());
    batch.envelope.partitions = Some((0..COUNT).map(|row| if row == 700 { 7 } else { 0 }).collect());
    let header = || Header { name: "h".into(), value: None };
    let headers = (0..COUNT)
        .map(|row| if row % 10 == 3 { std::iter::once(header()).collect() } else { base::Headers::new() });
    batch.envelope.headers = has_headers.then(|| headers.collect::<Vec<_>>().into());

    let sink = KafkaSink::connect(config).expect("connects");
    sink.begin(&load()).await.expect("begins");
    let mut writer = sink.writer(&split("a")).await.expect("a writer");
    let rejects = writer.write(&batch).await.expect("writes");
    let (start, end) = (Position::Start, Position::Start);
    let extent = Extent { split: split("a"), start, end, records_count: COUNT as u64, bytes: 0 };
    writer.commit(&extent).await.expect("commits");

    let told: Vec<String> =
        rejects.0.iter().map(|reject| format!("{}: {}", reject.code, reject.reason)).collect();
    assert_eq!(
        told,
        [
            "TM0710: 3001 bytes are more than the producer's message.max.bytes",
            "TM1482: a has 1 partitions, and none is number 7",
        ]
    );
    let sent = texts.iter().enumerate().filter(|(row, _)| ![9, 700].contains(row));
    let sent: Vec<&[u8]> = sent.map(|(_, text)| text.as_bytes()).collect();
    assert!(
        values(world.bootstrap.clone(), "a".to_owned()).await == sent,
        "other records, or in another order"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_keeps_the_order_and_what_is_not_taken_says_why() {
    check_full_queue(false).await;
    check_full_queue(true).await;
}

/// The keys of so many records of a topic, and their partitions.
async fn keyed(
    bootstrap: String,
    topic: &'static str,
    partitions: i32,
    count: usize,
) -> Vec<(Option<String>, i32)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &bootstrap).set("group.id", "reader");
        let consumer: BaseConsumer = config.create().expect("a client");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition");
        }
        consumer.assign(&list).expect("assigns");
        let (mut found, until) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while found.len() < count && Instant::now() < until {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                let key = message.key().map(|key| String::from_utf8_lossy(key).into_owned());
                found.push((key, message.partition()));
            }
        }
        found
    });
    read.await.expect("joins")
}

/// Keys of several lengths, an empty one and none at all, into a topic for each partitioner: librdkafka itself says where they belong.
#[tokio::test(flavor = "multi_thread")]
async fn keys_go_where_librdkafka_would_send_them() {
    const PARTITIONS: i32 = 5;
    let world = world().await;
    let keys: Vec<Option<String>> =
        (0..40).map(|length| Some("k".repeat(length))).chain([None, Some("7".to_owned())]).collect();
    let records: Vec<(Option<&str>, Option<&str>)> =
        keys.iter().map(|key| (key.as_deref(), Some("v"))).collect();
    let batch = batch(&records);
    for (name, partitioner) in
        [("murmur2", Partitioner::Murmur2), ("crc32", Partitioner::Crc32), ("fnv1a", Partitioner::Fnv1a)]
    {
        let mut config = SinkConfig::new(&world.bootstrap, name);
        config.create =
            Some(Create { partitions_count: PARTITIONS, replication_factor: 1, config: BTreeMap::new() });
        config.partitioner = partitioner;
        let theirs: BaseProducer = config.client().create().expect("a client");
        let sink = KafkaSink::connect(config).expect("connects");
        sink.begin(&load()).await.expect("begins");
        let mut writer = sink.writer(&split(name)).await.expect("a writer");
        writer.write(&batch).await.expect("writes");
        let (start, end) = (Position::Start, Position::Start);
        let extent = Extent { split: split(name), start, end, records_count: 42, bytes: 0 };
        writer.commit(&extent).await.expect("commits");
        for key in keys.iter().flatten() {
            theirs.send(BaseRecord::to(name).key(key.as_str()).payload("theirs")).expect("sends");
        }
        theirs.flush(Duration::from_secs(10)).expect("flushes");
        // The empty key is none to `crc32`, and goes anywhere.
        let is_sure =
            |key: &Option<String>| key.as_ref().is_some_and(|key| !(key.is_empty() && name == "crc32"));
        let found = keyed(world.bootstrap.clone(), name, PARTITIONS, 2 * keys.len() - 1).await;
        for key in keys.iter().filter(|key| is_sure(key)) {
            let partitions: Vec<i32> =
                found.iter().filter(|(one, _)| one == key).map(|(_, partition)| *partition).collect();
            assert!(
                partitions.len() == 2 && partitions[0] == partitions[1],
                "{name}: {key:?} in {partitions:?}"
            );
        }
    }
}
