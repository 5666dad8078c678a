//! Consumes with a client that is not itself the limit: what it is sent it reads into one buffer, and of that only the headers of
//! the batches. It asks as a client does, for the next records once an answer has come, over one connection for each consumer.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse,
    fetch_request::{FetchPartition, FetchTopic},
};
use wire::batch::batches;

use crate::{
    Target,
    lean::{Connection, name},
};

/// The last one that has topics by their names.
const FETCH_VERSION: i16 = 12;

/// What is read. The defaults are those of the clients.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// So many are there; another count is an error
    #[arg(long)]
    records: u64,
    /// So many consumers, each with its share of the partitions
    #[arg(long, default_value_t = 1)]
    consumers: usize,
    /// Read everything so many times
    #[arg(long, default_value_t = 1)]
    passes: u64,
    #[arg(long, default_value_t = 52_428_800)]
    bytes_max: i32,
    #[arg(long, default_value_t = 1_048_576)]
    partition_bytes_max: i32,
    #[arg(long, default_value_t = 500)]
    wait_ms_max: i32,
}

/// What came.
#[derive(Default)]
struct Came {
    records: u64,
    batches: u64,
    bytes: u64,
    answers: u64,
}

pub fn run(args: &Args) -> Result<serde_json::Value> {
    let start = Instant::now();
    let partitions = Connection::to(&args.target)?.partitions(&args.target.topic)?;
    let came = std::thread::scope(|scope| {
        let share = |at| partitions.iter().copied().skip(at).step_by(args.consumers).collect::<Vec<_>>();
        let threads: Vec<_> = (0..args.consumers)
            .map(share)
            .map(|partitions| scope.spawn(move || consume(args, &partitions)))
            .collect();
        threads.into_iter().try_fold(Came::default(), |sum, thread| match thread.join() {
            Ok(came) => came.map(|came| sum.and(&came)),
            Err(_) => bail!("a consumer panicked"),
        })
    })?;
    let expected = args.records * args.passes;
    ensure!(came.records == expected, "{} records came, and not {expected}", came.records);
    Ok(serde_json::json!({
        "records": came.records, "bytes": came.bytes, "batches": came.batches, "answers": came.answers,
        "seconds": start.elapsed().as_secs_f64(),
    }))
}

impl Came {
    fn and(self, other: &Came) -> Came {
        Came {
            records: self.records + other.records,
            batches: self.batches + other.batches,
            bytes: self.bytes + other.bytes,
            answers: self.answers + other.answers,
        }
    }
}

/// Where a consumer is in a partition, and how far it goes, once that is known.
struct Place {
    partition: i32,
    offset: i64,
    end: Option<i64>,
}

fn consume(args: &Args, partitions: &[i32]) -> Result<Came> {
    let mut connection = Connection::to(&args.target)?;
    let mut came = Came::default();
    for _ in 0..args.passes {
        let mut places: Vec<Place> =
            partitions.iter().map(|&partition| Place { partition, offset: 0, end: None }).collect();
        while places.iter().any(|place| place.end.is_none_or(|end| place.offset < end)) {
            let answer: FetchResponse = connection.ask(&request(args, &places), FETCH_VERSION)?;
            came.answers += 1;
            take(answer, &mut places, &mut came)?;
        }
    }
    Ok(came)
}

fn request(args: &Args, places: &[Place]) -> FetchRequest {
    let asked = |place: &Place| {
        FetchPartition::default()
            .with_partition(place.partition)
            .with_fetch_offset(place.offset)
            .with_partition_max_bytes(args.partition_bytes_max)
    };
    let topic = FetchTopic::default()
        .with_topic(name(&args.target.topic))
        .with_partitions(places.iter().map(asked).collect());
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(args.wait_ms_max)
        .with_min_bytes(1)
        .with_max_bytes(args.bytes_max)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// Counts what came, and moves on. The last batch of a partition may be cut off: it comes again.
fn take(answer: FetchResponse, places: &mut [Place], came: &mut Came) -> Result<()> {
    ensure!(answer.error_code == 0, "Fetch: error {}", answer.error_code);
    for partition in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        let index = partition.partition_index;
        ensure!(partition.error_code == 0, "partition {index}: error {}", partition.error_code);
        let place = places.iter_mut().find(|place| place.partition == index).context("an answer unasked")?;
        place.end.get_or_insert(partition.high_watermark);
        let records = partition.records.unwrap_or_default();
        came.bytes += records.len() as u64;
        for batch in batches(&records).map_while(Result::ok) {
            came.records += batch.header.records_count as u64;
            came.batches += 1;
            place.offset = batch.header.next_offset();
        }
    }
    Ok(())
}
