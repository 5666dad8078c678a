//! End-to-end latency: from handing a record to the client until another client has it, at a steady rate.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    Message,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    topic_partition_list::{Offset, TopicPartitionList},
};

use crate::{Target, percentile};

/// How fast, how long.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Records a second
    #[arg(long)]
    rate: u64,
    /// Measured after one second that is not
    #[arg(long)]
    seconds: u64,
    #[arg(long, default_value_t = 100)]
    record_bytes: usize,
}

/// Percentiles in microseconds.
pub fn run(args: &Args) -> Result<serde_json::Value> {
    anyhow::ensure!(args.record_bytes >= 8, "a record holds its time, 8 bytes");
    let start = Instant::now();
    let failed = AtomicBool::new(false);
    let mut latencies_us = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            let took = consume(args, start);
            failed.store(took.is_err(), Ordering::Relaxed);
            took
        });
        produce(args, start, &failed)?;
        consumer.join().unwrap_or_else(|_| bail!("the consumer panicked"))
    })?;
    latencies_us.sort_unstable();
    anyhow::ensure!(!latencies_us.is_empty(), "nothing was measured");
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(&latencies_us, share));
    Ok(serde_json::json!({"records": latencies_us.len(), "p50_us": p50, "p99_us": p99, "p999_us": p999}))
}

fn produce(args: &Args, start: Instant, failed: &AtomicBool) -> Result<()> {
    let config = args.target.config()?;
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    let mut value = vec![0; args.record_bytes];
    for number in 0..args.rate * (args.seconds + 1) {
        let due = Duration::from_micros(number * 1_000_000 / args.rate);
        if let Some(wait) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(wait);
        }
        if failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        value[..8].copy_from_slice(&(start.elapsed().as_micros() as u64).to_be_bytes());
        let record = BaseRecord::<(), [u8]>::to(&args.target.topic).payload(&value);
        producer.send(record).map_err(|(error, _)| error).context("produce")?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

fn consume(args: &Args, start: Instant) -> Result<Vec<u32>> {
    let mut config = args.target.config()?;
    config.set("group.id", "latency").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(&args.target.topic), Duration::from_secs(10))?;
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition_offset(&args.target.topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (all, mut taken) = ((args.rate * (args.seconds + 1)) as usize, Vec::new());
    for _ in 0..all {
        let message = consumer.poll(Duration::from_secs(20)).context("no record for 20 s")??;
        let arrived_us = start.elapsed().as_micros() as u64;
        let sent =
            message.payload().and_then(|value| value.first_chunk()).context("a record without time")?;
        let sent_us = u64::from_be_bytes(*sent);
        // The first second is for connections and what a virtual machine compiles.
        if sent_us >= 1_000_000 {
            taken.push(u32::try_from(arrived_us.saturating_sub(sent_us)).unwrap_or(u32::MAX));
        }
    }
    Ok(taken)
}
