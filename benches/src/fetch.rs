//! Consumes with a client that is not itself the limit: what it is sent it reads into one buffer, and of that only the headers of
//! the batches. It asks as a client does, for the next records once an answer has come, over one connection for each consumer.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        BrokerId, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, RequestHeader,
        ResponseHeader, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
        metadata_request::MetadataRequestTopic,
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use wire::{batch::batches, frame};

use crate::Target;

/// Topics by their names; what came later says nothing of one broker alone.
const FETCH_VERSION: i16 = 12;
const METADATA_VERSION: i16 = 9;
/// Larger answers are wrong.
const ANSWER_BYTES_MAX: usize = 128 << 20;

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

/// One connection, and the last answer, in whose memory the next one is put.
struct Connection {
    stream: TcpStream,
    last: Bytes,
    requests_count: i32,
}

impl Connection {
    fn to(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(&target.bootstrap)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, last: Bytes::new(), requests_count: 0 })
    }

    fn ask<Q: Request>(&mut self, request: &Q, version: i16) -> Result<Q::Response> {
        self.requests_count += 1;
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.requests_count)
            .with_client_id(Some(StrBytes::from_static_str("perf")));
        let mut sent = BytesMut::new();
        frame::put_frame(&mut sent, |sent| {
            header.encode(sent, Q::header_version(version))?;
            request.encode(sent, version)
        })??;
        self.stream.write_all(&sent)?;
        let mut body = self.answer()?;
        let header = ResponseHeader::decode(&mut body, Q::Response::header_version(version))?;
        ensure!(header.correlation_id == self.requests_count, "an answer to another request");
        Q::Response::decode(&mut body, version)
    }

    /// The next frame without its length.
    fn answer(&mut self) -> Result<Bytes> {
        let mut length = [0; frame::LENGTH_BYTES];
        self.stream.read_exact(&mut length)?;
        let length = frame::frame_length(&length, ANSWER_BYTES_MAX)?.context("four bytes are a length")?;
        let mut answer = std::mem::take(&mut self.last).try_into_mut().map_or_else(|_| Vec::new(), Vec::from);
        answer.clear();
        answer.reserve(length);
        (&mut self.stream).take(length as u64).read_to_end(&mut answer)?;
        ensure!(answer.len() == length, "the broker has gone");
        self.last = Bytes::from(answer);
        Ok(self.last.clone())
    }

    fn partitions(&mut self, topic: &str) -> Result<Vec<i32>> {
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let answer: MetadataResponse = self.ask(&request, METADATA_VERSION)?;
        let topic = answer.topics.into_iter().next().context("no topic in the answer")?;
        ensure!(topic.error_code == 0, "Metadata: error {}", topic.error_code);
        Ok(topic.partitions.iter().map(|partition| partition.partition_index).collect())
    }
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
