//! The clients of a history, all of them librdkafka. Each goes on whatever happens to the broker.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use testkit::poll;

use super::checker::{Place, Record};
use crate::transactions::fate::{CALL, Fate, PATIENCE, aborted, committed, patiently};

pub const PARTITIONS: i32 = 3;
pub const GROUP: &str = "workers";
/// Records that wait for their acknowledgement at once.
const WAITING_COUNT_MAX: i32 = 500;
const INPUTS_PER_TRANSACTION_MAX: usize = 50;

fn client(kafka: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka);
    config.set("reconnect.backoff.ms", "10").set("reconnect.backoff.max.ms", "50");
    for (name, value) in more {
        config.set(*name, *value);
    }
    config
}

pub fn consumer(kafka: &str, group: &str, more: &[(&str, &str)]) -> BaseConsumer {
    let own = [("group.id", group), ("isolation.level", "read_committed"), ("enable.auto.commit", "false")];
    client(kafka, &[&own, more].concat()).create().unwrap()
}

pub fn partitions(topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition(topic, partition);
    }
    list
}

fn from_the_beginning(kafka: &str, topic: &str) -> BaseConsumer {
    let more = [("enable.partition.eof", "true"), ("check.crcs", "true"), ("fetch.error.backoff.ms", "10")];
    let consumer = consumer(kafka, "readers", &more);
    let mut list = partitions(topic);
    list.set_all_offsets(Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

fn text_of(record: Record) -> String {
    format!("{}:{}", record.producer, record.number)
}

pub fn record_of(text: &str) -> Record {
    let (producer, number) = text.split_once(':').unwrap();
    Record { producer: producer.parse().unwrap(), number: number.parse().unwrap() }
}

pub fn place_of(text: &str) -> Place {
    let (partition, offset) = text.split_once(':').unwrap();
    (partition.parse().unwrap(), offset.parse().unwrap())
}

/// Takes down where each record was acknowledged.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<BTreeMap<Record, Place>>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Box<Record>;

    fn delivery(&self, result: &DeliveryResult<'_>, record: Self::DeliveryOpaque) {
        match result {
            Ok(message) => {
                let before = self.0.lock().unwrap().insert(*record, (message.partition(), message.offset()));
                assert_eq!(before, None, "{record:?} was acknowledged twice");
            }
            Err((error, _)) => panic!("{record:?} is given up: {error}"),
        }
    }
}

/// An idempotent producer: some records, a pause, until it is told to stop and all are acknowledged.
pub fn produce(
    kafka: &str,
    topic: &str,
    id: u32,
    pause_ms: u64,
    stop: &AtomicBool,
) -> BTreeMap<Record, Place> {
    let acknowledged = Acknowledged::default();
    let settings = [("enable.idempotence", "true"), ("linger.ms", "1"), ("retry.backoff.ms", "10")];
    let config = client(kafka, &settings);
    let producer: ThreadedProducer<Acknowledged> = config.create_with_context(acknowledged.clone()).unwrap();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        for _ in 0..5 {
            let record = Record { producer: id, number };
            let (text, partition) = (text_of(record), (number % 7) as i32 % PARTITIONS);
            let sent = BaseRecord::<(), _, _>::with_opaque_to(topic, Box::new(record));
            producer.send(sent.partition(partition).payload(&text)).map_err(|(error, _)| error).unwrap();
            number += 1;
        }
        poll::moment(pause_ms);
        while producer.in_flight_count() > WAITING_COUNT_MAX {
            poll::moment(2);
        }
    }
    producer.flush(PATIENCE).unwrap();
    let all = acknowledged.0.lock().unwrap();
    assert_eq!(all.len(), number as usize, "every record is acknowledged");
    all.clone()
}

/// A producer that has ended what its former life left open.
fn transactional(kafka: &str, id: &str) -> BaseProducer {
    let producer: BaseProducer =
        client(kafka, &[("transactional.id", id), ("linger.ms", "0"), ("retry.backoff.ms", "10")])
            .create()
            .unwrap();
    patiently(|| producer.init_transactions(CALL)).unwrap_or_else(|error| panic!("{id}: {error}"));
    producer
}

/// Transactions of some records, one in four aborted on purpose.
pub fn transact(kafka: &str, id: u32, stop: &AtomicBool) -> Vec<(Fate, Vec<Record>)> {
    let (mut producer, mut told, mut number) = (None, Vec::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        let at_work = producer.take().unwrap_or_else(|| transactional(kafka, &format!("teller-{id}")));
        let records: Vec<Record> =
            (0..4).map(|more| Record { producer: id, number: number + more }).collect();
        number += 4;
        let written = at_work.begin_transaction().and_then(|()| {
            records.iter().try_for_each(|record| {
                let (text, partition) = (text_of(*record), (record.number % 5) as i32 % PARTITIONS);
                let sent = BaseRecord::<(), _>::to("plain").partition(partition).payload(&text);
                at_work.send(sent).map_err(|(error, _)| error)
            })
        });
        let (fate, goes_on) = match written {
            Ok(()) if told.len() % 4 != 3 => committed(&at_work),
            Ok(()) | Err(_) => (Fate::Aborted, aborted(&at_work)),
        };
        told.push((fate, records));
        producer = goes_on.then_some(at_work);
    }
    drop(producer);
    transactional(kafka, &format!("teller-{id}")); // what is open ends, whatever became of it
    told
}

/// Makes an output of each input, with the offset in the same transaction, until the input is drained.
pub fn work(kafka: &str, drained: &AtomicBool) {
    static NEXT: Mutex<u32> = Mutex::new(0);
    let id = {
        let mut next = NEXT.lock().unwrap();
        *next += 1;
        format!("worker-{next}")
    };
    while !drained.load(Ordering::SeqCst) {
        let more = [("auto.offset.reset", "earliest"), ("session.timeout.ms", "6000")];
        let consumer = consumer(kafka, GROUP, &more);
        consumer.subscribe(&["input"]).unwrap();
        let producer = transactional(kafka, &id);
        while !drained.load(Ordering::SeqCst) && transform(&consumer, &producer).is_ok() {}
    }
}

/// One transaction. After an error both begin anew, from what is committed.
fn transform(consumer: &BaseConsumer, producer: &BaseProducer) -> KafkaResult<()> {
    let mut inputs = Vec::new();
    let mut wait = Duration::from_millis(100);
    while inputs.len() < INPUTS_PER_TRANSACTION_MAX {
        match consumer.poll(wait) {
            None => break,
            Some(Ok(message)) => inputs.push((message.partition(), message.offset())),
            Some(Err(_)) => {} // the broker is away: it comes back
        }
        wait = Duration::from_millis(5);
    }
    if inputs.is_empty() {
        return Ok(());
    }
    let written = producer.begin_transaction().and_then(|()| {
        for (partition, offset) in &inputs {
            let text = format!("{partition}:{offset}");
            let sent = BaseRecord::<(), _>::to("output").partition(*partition).payload(&text);
            producer.send(sent).map_err(|(error, _)| error)?;
        }
        let mut offsets = TopicPartitionList::new();
        let next: BTreeMap<i32, i64> =
            inputs.iter().map(|(partition, offset)| (*partition, offset + 1)).collect();
        for (partition, offset) in next {
            offsets.add_partition_offset("input", partition, Offset::Offset(offset))?;
        }
        let group = consumer.group_metadata().expect("it is in a group");
        patiently(|| producer.send_offsets_to_transaction(&offsets, &group, CALL))
    });
    match written {
        Ok(()) => match committed(producer) {
            (Fate::Committed, _) => Ok(()),
            (Fate::Aborted | Fate::Unknown, _) => Err(KafkaError::Canceled),
        },
        Err(error) => {
            aborted(producer);
            Err(error)
        }
    }
}

/// Reads committed records as they come, and then to the end.
pub fn observe(kafka: &str, topic: &str, stop: &AtomicBool) -> Vec<(Place, Record)> {
    let consumer = from_the_beginning(kafka, topic);
    let mut seen = Vec::new();
    let mut last = Instant::now();
    // A last second without anything new: what is shown later need not be seen.
    while !stop.load(Ordering::SeqCst) || last.elapsed() < Duration::from_secs(1) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                last = Instant::now();
                let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
                seen.push(((message.partition(), message.offset()), record_of(text)));
            }
            Some(Err(KafkaError::MessageConsumption(code))) => {
                let word = format!("{code:?}");
                assert!(!word.contains("OutOfRange") && !word.contains("Reset"), "{word}");
            }
            Some(Err(_)) | None => {}
        }
    }
    seen
}

/// The offsets that the workers' group has committed, as often as they can be asked for.
pub fn watch_offsets(kafka: &str, drained: &AtomicBool) -> BTreeMap<i32, Vec<i64>> {
    let consumer = consumer(kafka, GROUP, &[]);
    let mut seen: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    while !drained.load(Ordering::SeqCst) {
        poll::moment(20);
        let Ok(committed) = consumer.committed_offsets(partitions("input"), CALL) else { continue };
        for element in committed.elements() {
            if let Offset::Offset(offset) = element.offset() {
                seen.entry(element.partition()).or_default().push(offset);
            }
        }
    }
    seen
}

/// All committed records of a topic that is at rest.
pub fn read(kafka: &str, topic: &str) -> BTreeMap<Place, String> {
    let consumer = from_the_beginning(kafka, topic);
    let (mut found, mut ended) = (BTreeMap::new(), 0);
    while ended < PARTITIONS {
        match consumer.poll(PATIENCE).expect("a record or an end within the time") {
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{error}"),
            Ok(message) => {
                let text = std::str::from_utf8(message.payload().unwrap()).unwrap().to_owned();
                found.insert((message.partition(), message.offset()), text);
            }
        }
    }
    found
}
