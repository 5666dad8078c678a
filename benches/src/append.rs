//! Produces with a client that is not itself the limit: batches are made ready before, and sent over one connection with as many
//! requests in flight as clients have by default. Of an idempotent producer's batches it makes the header and the checksum.

use std::{thread, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use crc32c::{crc32c, crc32c_combine};
use kafka_protocol::{
    messages::{
        EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest, ProduceResponse,
        ProducerId, TransactionalId,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use wire::batch::{BATCH_HEADER_BYTES, Batch, BatchHeader};

use crate::{
    Target,
    lean::{Connection, RETRY_BACKOFF, name, patiently},
    ready::Contents,
};

/// The last one that has topics by their names; a transaction need not be told of a partition before (KIP-890).
const PRODUCE_VERSION: i16 = 12;
/// The answer has the epoch of the next transaction.
const END_TXN_VERSION: i16 = 5;
const INIT_PRODUCER_ID_VERSION: i16 = 5;
const FIND_COORDINATOR_VERSION: i16 = 4;

const TRANSACTION_KEY: i8 = 1;
const CONCURRENT_TRANSACTIONS: i16 = 51;
/// Bits of a batch's attributes.
const TRANSACTIONAL: i16 = 0x10;
/// Where that begins which a batch's checksum is of.
const CRC_FROM: usize = 21;

/// What is sent. The defaults are those of the clients.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    contents: Contents,
    /// At least so many
    #[arg(long)]
    records: u64,
    /// A batch goes to each partition in turn, and so many bytes of them into a request
    #[arg(long, default_value_t = 1_048_576)]
    request_bytes: usize,
    #[arg(long, default_value_t = 5)]
    in_flight: i32,
    #[arg(long)]
    idempotent: bool,
    /// Commit a transaction after so many records
    #[arg(long)]
    transaction_records: Option<u64>,
}

/// What went out.
#[derive(Default)]
struct Sent {
    records: u64,
    bytes: u64,
    requests: u64,
}

/// An idempotent producer, and the number that is next in each partition.
struct Producer {
    id: i64,
    epoch: i16,
    sequences: Vec<i32>,
    /// Memory of batches that were sent.
    spare: Vec<BytesMut>,
}

/// A batch, and the checksum of what follows its header.
struct Ready {
    bytes: Bytes,
    header: BatchHeader,
    body_crc: u32,
}

struct Sender<'a> {
    args: &'a Args,
    connection: Connection,
    partitions: Vec<i32>,
    producer: Option<Producer>,
    transactional_id: Option<TransactionalId>,
    ready: std::iter::Cycle<std::slice::Iter<'a, Ready>>,
    /// Whose turn it is.
    at: usize,
}

pub fn run(args: &Args) -> Result<serde_json::Value> {
    let ready = args.contents.batches()?.into_iter().map(Ready::of).collect::<Result<Vec<_>>>()?;
    let partitions = Connection::to(&args.target)?.ready(&args.target.topic)?;
    let start = Instant::now();
    let mut sender = Sender::new(args, &ready, partitions)?;
    let mut sent = Sent::default();
    let every = args.transaction_records.unwrap_or(args.records);
    while sent.records < args.records {
        let until = args.records.min(sent.records + every);
        sender.begin(&mut sent)?;
        while sent.records < until {
            sender.send(&mut sent)?;
        }
        sender.end()?;
    }
    Ok(serde_json::json!({
        "records": sent.records, "bytes": sent.bytes, "requests": sent.requests, "seconds": start.elapsed().as_secs_f64(),
    }))
}

impl Ready {
    fn of(bytes: Bytes) -> Result<Self> {
        let header = Batch::first(&bytes)?.header;
        let body_crc = crc32c(&bytes[BATCH_HEADER_BYTES..]);
        Ok(Self { bytes, header, body_crc })
    }
}

impl<'a> Sender<'a> {
    fn new(args: &'a Args, ready: &'a [Ready], partitions: Vec<i32>) -> Result<Self> {
        let mut connection = Connection::to(&args.target)?;
        ensure!(!partitions.is_empty(), "the topic has no partitions");
        let id = StrBytes::from_string(format!("perf-{}", args.target.topic));
        let transactional_id = args.transaction_records.map(|_| TransactionalId(id));
        let producer = if args.idempotent || transactional_id.is_some() {
            Some(Producer::init(&mut connection, transactional_id.as_ref(), partitions.len())?)
        } else {
            None
        };
        let ready = ready.iter().cycle();
        Ok(Self { args, connection, partitions, producer, transactional_id, ready, at: 0 })
    }

    /// Sends a request and waits for it: what markers the transaction before still needs comes first.
    fn begin(&mut self, sent: &mut Sent) -> Result<()> {
        let request = self.request(sent)?;
        loop {
            self.connection.send(&request, PRODUCE_VERSION)?;
            let answer = self.connection.answer::<ProduceRequest>(PRODUCE_VERSION)?;
            match error_of(&answer) {
                Some((_, CONCURRENT_TRANSACTIONS)) => thread::sleep(RETRY_BACKOFF),
                _ => return taken(&answer),
            }
        }
    }

    /// Sends a request, once there is room for one more in flight.
    fn send(&mut self, sent: &mut Sent) -> Result<()> {
        self.wait(self.args.in_flight - 1)?;
        let request = self.request(sent)?;
        self.connection.send(&request, PRODUCE_VERSION)?;
        self.recycle(request);
        Ok(())
    }

    /// A request's memory is that of the next one's.
    fn recycle(&mut self, request: ProduceRequest) {
        let Some(producer) = &mut self.producer else { return };
        for records in
            request.topic_data.into_iter().flat_map(|topic| topic.partition_data).map(|data| data.records)
        {
            producer.spare.extend(records.and_then(|records| records.try_into_mut().ok()));
        }
    }

    /// Waits for all answers, and commits what there is to commit.
    fn end(&mut self) -> Result<()> {
        self.wait(0)?;
        let (Some(id), Some(producer)) = (&self.transactional_id, &mut self.producer) else { return Ok(()) };
        let request = EndTxnRequest::default()
            .with_transactional_id(id.clone())
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(true);
        let answer = self.connection.ask(&request, END_TXN_VERSION)?;
        ensure!(answer.error_code == 0, "EndTxn: error {}", answer.error_code);
        (producer.id, producer.epoch) = (answer.producer_id.0, answer.producer_epoch);
        producer.sequences.fill(0);
        Ok(())
    }

    /// Until no more than so many requests are in flight.
    fn wait(&mut self, in_flight: i32) -> Result<()> {
        while self.connection.in_flight() > in_flight {
            taken(&self.connection.answer::<ProduceRequest>(PRODUCE_VERSION)?)?;
        }
        Ok(())
    }

    /// A batch for each of the next partitions, as far as the bytes of a request go.
    fn request(&mut self, sent: &mut Sent) -> Result<ProduceRequest> {
        let (mut data, mut bytes) = (Vec::new(), 0);
        while data.len() < self.partitions.len() && (data.is_empty() || bytes < self.args.request_bytes) {
            let ready = self.ready.next().context("batches are made ready")?;
            let batch = match &mut self.producer {
                Some(producer) => producer.stamp(self.at, ready, self.transactional_id.is_some()),
                None => ready.bytes.clone(),
            };
            bytes += batch.len();
            sent.records += ready.header.records_count as u64;
            let partition = PartitionProduceData::default().with_index(self.partitions[self.at]);
            data.push(partition.with_records(Some(batch)));
            self.at = (self.at + 1) % self.partitions.len();
        }
        sent.bytes += bytes as u64;
        sent.requests += 1;
        let topic =
            TopicProduceData::default().with_name(name(&self.args.target.topic)).with_partition_data(data);
        Ok(ProduceRequest::default()
            .with_transactional_id(self.transactional_id.clone())
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]))
    }
}

impl Producer {
    fn init(connection: &mut Connection, id: Option<&TransactionalId>, partitions: usize) -> Result<Self> {
        if let Some(id) = id {
            find_coordinator(connection, id)?;
        }
        let request = InitProducerIdRequest::default()
            .with_transactional_id(id.cloned())
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let (id, epoch) = patiently(|| {
            let answer = connection.ask(&request, INIT_PRODUCER_ID_VERSION)?;
            Ok(((answer.producer_id.0, answer.producer_epoch), answer.error_code))
        })?;
        Ok(Self { id, epoch, sequences: vec![0; partitions], spare: Vec::new() })
    }

    /// The batch as this producer's next one in the `at`th partition.
    fn stamp(&mut self, at: usize, ready: &Ready, is_transactional: bool) -> Bytes {
        let mut header = BatchHeader {
            attributes: ready.header.attributes | if is_transactional { TRANSACTIONAL } else { 0 },
            producer_id: self.id,
            producer_epoch: self.epoch,
            base_sequence: self.sequences[at],
            ..ready.header
        };
        self.sequences[at] += header.records_count;
        let body = &ready.bytes[BATCH_HEADER_BYTES..];
        header.crc = crc32c_combine(crc32c(&header.to_bytes()[CRC_FROM..]), ready.body_crc, body.len());
        let mut stamped = self.spare.pop().unwrap_or_default();
        stamped.clear();
        stamped.extend_from_slice(&header.to_bytes());
        stamped.extend_from_slice(body);
        stamped.freeze()
    }
}

/// By this Kafka makes its topic of transactions.
fn find_coordinator(connection: &mut Connection, id: &TransactionalId) -> Result<()> {
    let request = FindCoordinatorRequest::default()
        .with_key_type(TRANSACTION_KEY)
        .with_coordinator_keys(vec![id.0.clone()]);
    patiently(|| {
        let answer = connection.ask(&request, FIND_COORDINATOR_VERSION)?;
        Ok(((), answer.coordinators.first().map_or(0, |coordinator| coordinator.error_code)))
    })
}

/// Whether every partition took its batch.
fn taken(answer: &ProduceResponse) -> Result<()> {
    match error_of(answer) {
        Some((partition, code)) => bail!("partition {partition}: error {code}"),
        None => Ok(()),
    }
}

/// The first partition that did not take its batch, and why.
fn error_of(answer: &ProduceResponse) -> Option<(i32, i16)> {
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions
        .find(|partition| partition.error_code != 0)
        .map(|partition| (partition.index, partition.error_code))
}
