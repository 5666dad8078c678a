//! A Kafka load by librdkafka: produces or consumes so many records of a size, as fast as the broker takes them.
//!
//! Prints one line of JSON, so that `cargo xtask bench` can put it beside what Kafka's own perf tools say.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
    topic_partition_list::{Offset, TopicPartitionList},
};

/// Produces or consumes as fast as it goes.
#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    what: What,
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
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
    /// Further client settings, name=value
    #[arg(long)]
    property: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum What {
    Produce,
    Consume,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &args.bootstrap);
    for property in &args.property {
        let (name, value) = property.split_once('=').context("--property name=value")?;
        config.set(name, value);
    }
    let start = Instant::now();
    let bytes = match args.what {
        What::Produce => produce(&args, config)?,
        What::Consume => consume(&args, config)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({"records": args.records, "bytes": bytes, "seconds": seconds}));
    Ok(())
}

/// Counts what failed; a bench with a failure is none.
#[derive(Default)]
struct Failures(std::sync::atomic::AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn produce(args: &Args, mut config: ClientConfig) -> Result<u64> {
    for (name, value) in
        [("linger.ms", "5"), ("batch.size", "131072"), ("queue.buffering.max.kbytes", "131072")]
    {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    let producer: ThreadedProducer<Failures> = config.create_with_context(Failures::default())?;
    let noise = noise(args.record_bytes + 4096);
    let (mut bytes, mut value) = (0, Vec::new());
    for number in 0..args.records {
        value.clear();
        if args.events {
            write_event(&mut value, number);
        } else {
            let from = (number % 4096) as usize;
            value.extend_from_slice(&noise[from..from + args.record_bytes]);
        }
        bytes += value.len() as u64;
        loop {
            let mut record = BaseRecord::<(), [u8]>::to(&args.topic).payload(&value);
            record.partition = args.spread.map(|count| (number % count) as i32);
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => bail!("produce: {error}"),
            }
        }
    }
    producer.flush(Duration::from_secs(300))?;
    let failed = producer.context().0.load(std::sync::atomic::Ordering::Relaxed);
    anyhow::ensure!(failed == 0, "{failed} records were not delivered");
    Ok(bytes)
}

fn consume(args: &Args, mut config: ClientConfig) -> Result<u64> {
    config.set("group.id", "perf").set("enable.auto.commit", "false");
    // With its default of a second, the client's own wait after a full queue is what gets measured, on either side.
    config.set("fetch.queue.backoff.ms", "10");
    for (name, value) in [("fetch.message.max.bytes", "1048576"), ("queued.max.messages.kbytes", "131072")] {
        if config.get(name).is_none() {
            config.set(name, value);
        }
    }
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(&args.topic), Duration::from_secs(10))?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(&args.topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut count, mut bytes) = (0, 0);
    while count < args.records {
        let message = consumer.poll(Duration::from_secs(20)).context("no record for 20 s")??;
        count += 1;
        bytes += message.payload().map_or(0, <[u8]>::len) as u64;
    }
    Ok(bytes)
}

/// Bytes that do not compress and are the same each time.
fn noise(count: usize) -> Vec<u8> {
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
fn write_event(into: &mut Vec<u8>, number: u64) {
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
