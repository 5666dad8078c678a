//! Produces or consumes so many records of a size, as fast as the broker takes them.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use rdkafka::{
    ClientContext, Message,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
    topic_partition_list::{Offset, TopicPartitionList},
};

use crate::Target;

/// What is sent or read.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    records: u64,
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// Values are JSON events of about 100 bytes instead of random bytes
    #[arg(long)]
    events: bool,
    /// Deal the records out to partitions 0..N in turn, instead of leaving it to the client
    #[arg(long)]
    spread: Option<u64>,
    /// Commit a transaction after so many records; wants a `transactional.id`
    #[arg(long)]
    transaction_records: Option<u64>,
    /// So many consumers, each with its share of the partitions
    #[arg(long, default_value_t = 1)]
    consumers: usize,
}

/// Counts what failed; a bench with a failure is none.
#[derive(Default)]
struct Failures(AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends them all and waits for the last acknowledgement.
pub fn produce(args: &Args) -> Result<serde_json::Value> {
    let mut config = args.target.config()?;
    for (name, value) in
        [("linger.ms", "5"), ("batch.size", "131072"), ("queue.buffering.max.kbytes", "131072")]
    {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    let start = Instant::now();
    let producer: ThreadedProducer<Failures> = config.create_with_context(Failures::default())?;
    if args.transaction_records.is_some() {
        producer.init_transactions(Duration::from_secs(30))?;
    }
    let noise = noise(args.record_bytes + 4096);
    let (mut bytes, mut value) = (0, Vec::new());
    for number in 0..args.records {
        if args.transaction_records.is_some_and(|every| number % every == 0) {
            if number > 0 {
                producer.commit_transaction(Duration::from_secs(30))?;
            }
            producer.begin_transaction()?;
        }
        value.clear();
        if args.events {
            write_event(&mut value, number);
        } else {
            let from = (number % 4096) as usize;
            value.extend_from_slice(&noise[from..from + args.record_bytes]);
        }
        bytes += value.len() as u64;
        let partition = args.spread.map(|count| (number % count) as i32);
        send(&producer, &args.target.topic, partition, &value)?;
    }
    if args.transaction_records.is_some() {
        producer.commit_transaction(Duration::from_secs(30))?;
    }
    producer.flush(Duration::from_secs(300))?;
    let failed = producer.context().0.load(Ordering::Relaxed);
    anyhow::ensure!(failed == 0, "{failed} records were not delivered");
    Ok(figures(args.records, bytes, start))
}

/// Hands one over, waiting while the client's queue is full.
fn send(
    producer: &ThreadedProducer<Failures>,
    topic: &str,
    partition: Option<i32>,
    value: &[u8],
) -> Result<()> {
    loop {
        let mut record = BaseRecord::<(), [u8]>::to(topic).payload(value);
        record.partition = partition;
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => bail!("produce: {error}"),
        }
    }
}

/// Reads them all, without a group's protocol.
pub fn consume(args: &Args) -> Result<serde_json::Value> {
    let came = Came::default();
    std::thread::scope(|scope| {
        let share = |at| (at, &came);
        let threads: Vec<_> = (0..args.consumers)
            .map(share)
            .map(|(at, came)| scope.spawn(move || consume_share(args, at, came)))
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a consumer panicked"),
        })
    })?;
    // By chance the client needs 10 ms or 110 until it first asks, which is as long as it takes for all that comes then.
    let first = came.first.into_inner().unwrap_or_else(Instant::now);
    Ok(figures(args.records, came.bytes.into_inner(), first))
}

/// What all consumers together have got, and when the first record came.
#[derive(Default)]
struct Came {
    first: OnceLock<Instant>,
    records: AtomicU64,
    bytes: AtomicU64,
}

/// Every `consumers`th partition, from the `at`th.
fn consume_share(args: &Args, at: usize, came: &Came) -> Result<()> {
    let mut config = args.target.config()?;
    config.set("group.id", "perf").set("enable.auto.commit", "false");
    // With its default of a second, the client's own wait after a full queue is what gets measured, on either side.
    config.set("fetch.queue.backoff.ms", "10");
    for (name, value) in [("fetch.message.max.bytes", "1048576"), ("queued.max.messages.kbytes", "131072")] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(&args.target.topic), Duration::from_secs(10))?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions().iter().skip(at).step_by(args.consumers) {
        list.add_partition_offset(&args.target.topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let mut idle_since = Instant::now();
    let (mut records, mut held) = (0, 0);
    loop {
        let message = consumer.poll(Duration::from_millis(if records == 0 { 5 } else { 0 }));
        if let Some(message) = message {
            if records == 0 {
                came.first.get_or_init(Instant::now);
            }
            records += 1;
            held += message?.payload().map_or(0, <[u8]>::len) as u64;
            if records < 1000 {
                continue;
            }
        }
        if records > 0 {
            idle_since = Instant::now();
        }
        anyhow::ensure!(idle_since.elapsed() < Duration::from_secs(20), "no record for 20 s");
        // What is read is told now and then, so that the consumers do not share a line of the cache with each record.
        came.bytes.fetch_add(held, Ordering::Relaxed);
        if came.records.fetch_add(records, Ordering::Relaxed) + records >= args.records {
            return Ok(());
        }
        (records, held) = (0, 0);
    }
}

fn figures(records: u64, bytes: u64, start: Instant) -> serde_json::Value {
    serde_json::json!({"records": records, "bytes": bytes, "seconds": start.elapsed().as_secs_f64()})
}

/// Bytes that do not compress and are the same each time.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..count).map(step).collect()
}

/// About 100 bytes, as an event of a shop might be.
pub fn write_event(into: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (user, cents, kind) =
        (mixed >> 44, (mixed >> 20) % 100_000, ["view", "cart", "buy"][(mixed % 3) as usize]);
    let at = 1_700_000_000_000 + number;
    let written = write!(
        into,
        "{{\"id\":{number},\"user\":{user},\"kind\":\"{kind}\",\"cents\":{cents},\"at\":{at},\"page\":\"/shop/item/{}\"}}",
        mixed % 10_000
    );
    written.expect("a Vec takes everything");
}
