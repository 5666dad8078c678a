//! Fetch (key 1), versions 4-18.
//! v4 isolation level (KIP-98); v5 log start offset; v7 sessions (KIP-227); v9
//! leader epochs (KIP-320); v11 racks (KIP-392); v12 flexible; v13 topic ids; v15 replica state; v16 node endpoints;
//! v17 and v18 say more of replicas (KIP-853, KIP-1166), of which there are none.
//!
//! It waits until `min_bytes` are there, `max_wait_ms` has passed, or a partition has an error to tell. The records go from
//! the log to the socket as the chunks of the frame: only what stands around them is encoded. Where the socket is no TLS, the
//! chunks of a reader that goes on are parts of files, which the kernel sends.

use std::{sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    ResponseError,
    messages::{
        FetchRequest, FetchResponse, ProducerId,
        fetch_request::FetchPartition,
        fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData},
    },
    protocol::Request,
};
use tokio::{sync::Notify, time::Instant};

use super::{Caller, Chunk, Frame, Handler, Reply, Step, shapes, shapes::Malformed};
use crate::{
    broker::Broker,
    cluster::LEADER_EPOCH,
    log::{Aborted, Log, LogError, ReadLimit},
    quotas::Limit,
    security::{access::Resource, acl::Operation},
    sessions::{Session, Subject},
};

/// The isolation level of a reader that is shown no record before its transaction is committed.
pub const READ_COMMITTED: i8 = 1;
/// No client is made to wait longer than this, whatever it asks.
const WAIT_MS_MAX: i32 = 60_000;

pub const HANDLER: Handler = Handler {
    key: FetchRequest::KEY,
    name: "Fetch",
    versions: 4..=18,
    shape: &shapes::FETCH,
    pipelined: false,
    call: |broker, call| {
        Box::pin(async move {
            let (request, caller) = call.decode::<FetchRequest>()?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            let (response, records) = act(broker, request, caller).await;
            let throttle_ms = response.throttle_time_ms.unsigned_abs();
            let frame = encode(reply, response, records)?;
            Ok(Step::answer(Frame { throttle_ms, ..frame }))
        })
    },
    notes: "fetch sessions, 1,000 of them; an answer has at most `fetch_bytes_max` bytes of records; \
            read_committed ends at the last stable offset",
};

struct Read {
    records: Chunk,
    high_watermark: i64,
    start_offset: i64,
    stable_offset: i64,
    /// For a reader of what is committed.
    aborted: Option<Vec<Aborted>>,
}

type Answered = Result<Read, ResponseError>;

/// How records are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    /// None before its transaction is committed.
    committed: bool,
    /// Where they lie is enough.
    in_place: bool,
}

/// The answer without its records, and the records in the order of its partitions.
async fn act(broker: Arc<Broker>, request: FetchRequest, caller: Caller) -> (FetchResponse, Vec<Chunk>) {
    let uses_ids = caller.version >= 13;
    let begun =
        broker.sessions.begin(&request, uses_ids, |topic, asked| find(&broker, topic, asked, uses_ids));
    let mut session = match begun {
        Ok(session) => session,
        Err(error) => return (FetchResponse::default().with_error_code(error.code()), vec![]),
    };
    if broker.has_authorizer() {
        refuse_what_is_denied(&broker, &mut session, &caller);
    }
    let in_place = cfg!(target_os = "linux") && caller.peer.listener.tls.is_none();
    let wanted = Wanted { committed: request.isolation_level == READ_COMMITTED, in_place };
    let bytes_max = (request.max_bytes.max(0) as usize).min(broker.options.fetch_bytes_max as usize);
    let quota = match broker.quotas.limits(Limit::Fetched) {
        true => broker.quotas.most(Limit::Fetched, &caller.peer.principal(), &caller.client_id),
        false => None,
    };
    // Not more at once than he may take at all.
    let bytes_max = quota.map_or(bytes_max, |most| bytes_max.min(most as usize));
    let least = (request.min_bytes.max(0) as usize).min(bytes_max);
    let wait_ms = request.max_wait_ms.clamp(0, WAIT_MS_MAX) as u64;
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    let woken = Arc::new(Notify::new());
    let (answers, bytes) = loop {
        let wait = Instant::now() < deadline && least > 0 && !broker.stop.is_cancelled();
        if wait {
            for log in session.wanted.iter().filter_map(|partition| partition.log.as_ref().ok()) {
                log.wake_on_append(&woken);
            }
        }
        let (answers, bytes, failed) = read_all(&session, bytes_max, wanted).await;
        if !wait || failed || bytes >= least {
            break (answers, bytes);
        }
        tokio::select! {
            () = woken.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = broker.stop.cancelled() => {}
        }
    };
    if quota.is_some() {
        let (principal, taken) = (caller.peer.principal(), bytes as f64);
        let throttle_ms = broker.quotas.record(Limit::Fetched, &principal, &caller.client_id, taken);
        if throttle_ms > 0 {
            // As Kafka: nothing is given, he waits, and asks again.
            broker.quotas.take_back(Limit::Fetched, &principal, &caller.client_id, taken);
            let kept = if session.is_whole() { 0 } else { broker.sessions.end(session) };
            let response = FetchResponse::default().with_session_id(kept);
            return (response.with_throttle_time_ms(throttle_ms as i32), vec![]);
        }
    }
    let (response, records) = respond(&mut session, answers);
    (response.with_session_id(broker.sessions.end(session)), records)
}

fn find(
    broker: &Broker,
    topic: &Subject,
    asked: &FetchPartition,
    uses_ids: bool,
) -> Result<Arc<Log>, ResponseError> {
    let found = match uses_ids {
        true => broker.topics.by_id(topic.id).ok_or(ResponseError::UnknownTopicId)?,
        false => broker.topics.get(&topic.name).ok_or(ResponseError::UnknownTopicOrPartition)?,
    };
    let log = found.partition(asked.partition)?.clone();
    check_epoch(asked.current_leader_epoch).map(|()| log)
}

/// Looked at with every request: an ACL may be gone that was there when the session began.
fn refuse_what_is_denied(broker: &Broker, session: &mut Session, caller: &Caller) {
    for partition in &mut session.wanted {
        let by_id = || broker.topics.by_id(partition.topic.id).map(|topic| topic.name.clone());
        let name = match partition.topic.name.is_empty() {
            true => by_id(),
            false => Some(Arc::from(partition.topic.name.as_str())),
        };
        let Some(name) = name else { continue }; // an error already
        if let Err(error) = broker.check(caller, Operation::Read, Resource::Topic(&name)) {
            (partition.log, partition.told) = (Err(error), None);
        }
    }
}

/// Whether the client believes in the epoch that is ours (KIP-320); -1: it does not say.
pub fn check_epoch(epoch: i32) -> Result<(), ResponseError> {
    match epoch {
        -1 | LEADER_EPOCH => Ok(()),
        _ if epoch < LEADER_EPOCH => Err(ResponseError::FencedLeaderEpoch),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// Reads each partition once: the answers in the session's order, the bytes, and whether one of them is an error to tell now.
async fn read_all(session: &Session, bytes_max: usize, wanted: Wanted) -> (Vec<Answered>, usize, bool) {
    let mut answers = Vec::with_capacity(session.wanted.len());
    let (mut bytes, mut failed) = (0, false);
    for partition in session.order().map(|place| &session.wanted[place]) {
        let answer = match &partition.log {
            Err(error) => Err(*error),
            Ok(log) => {
                let room = bytes_max - bytes.min(bytes_max);
                // The first batch goes out even where it is larger than allowed, or a reader would never get past it.
                let at_least_one = bytes == 0;
                let limit = ReadLimit {
                    bytes_max: (partition.asked.partition_max_bytes.max(0) as usize).min(room),
                    at_least_one,
                    before: i64::MAX,
                };
                read(log, partition.asked.fetch_offset, limit, wanted).await.map_err(|error| error.answer())
            }
        };
        failed |= answer.is_err();
        bytes += answer.as_ref().map_or(0, |read| read.records.len());
        answers.push(answer);
    }
    (answers, bytes, failed)
}

async fn read(log: &Arc<Log>, offset: i64, limit: ReadLimit, wanted: Wanted) -> Result<Read, LogError> {
    let committed = wanted.committed;
    let (start_offset, stable_offset) = (log.start_offset(), log.last_stable_offset());
    let high_watermark = log.high_watermark();
    let before = if committed { stable_offset } else { high_watermark };
    let nothing_to_read = offset >= before || (limit.bytes_max == 0 && !limit.at_least_one);
    let limit = ReadLimit { before: if committed { before } else { i64::MAX }, ..limit };
    let located = match wanted.in_place && !nothing_to_read {
        true => log.locate(offset, limit).await,
        false => None,
    };
    let (records, next_offset) = if let Some(found) = located {
        (Chunk::File(found.slice), found.next_offset)
    } else if nothing_to_read && (start_offset..=high_watermark).contains(&offset) {
        (Chunk::Memory(Bytes::new()), offset)
    } else {
        let fetched = log.read(offset, limit).await?;
        (Chunk::Memory(fetched.records), fetched.next_offset)
    };
    let aborted = match committed {
        false => None,
        true if records.is_empty() => Some(vec![]),
        true => Some(log.aborted_in(offset..next_offset)?),
    };
    // What was appended meanwhile is told too.
    let (high_watermark, start_offset) = (log.high_watermark(), log.start_offset());
    Ok(Read { records, high_watermark, start_offset, stable_offset, aborted })
}

/// What the client is told: everything, or in a session what has changed.
fn respond(session: &mut Session, answers: Vec<Answered>) -> (FetchResponse, Vec<Chunk>) {
    let mut response = FetchResponse::default();
    let mut records = Vec::with_capacity(answers.len());
    let is_whole = session.is_whole();
    let mut last: Option<Subject> = None;
    for (place, answer) in session.order().zip(answers) {
        let partition = &mut session.wanted[place];
        let told = answer.as_ref().ok().map(|read| (read.high_watermark, read.start_offset));
        let is_empty = answer.as_ref().is_ok_and(|read| read.records.is_empty());
        let is_news = !is_empty || partition.told != told;
        partition.told = told;
        if !is_empty && told.is_some() {
            session.first = place + 1;
        }
        if !is_whole && !is_news {
            continue;
        }
        let partition = &session.wanted[place];
        if last.as_ref() != Some(&partition.topic) {
            let Subject { name, id } = partition.topic.clone();
            response.responses.push(FetchableTopicResponse::default().with_topic(name).with_topic_id(id));
            last = Some(partition.topic.clone());
        }
        let (data, bytes) = answered(partition.asked.partition, answer);
        records.push(bytes);
        response.responses.last_mut().expect("just pushed").partitions.push(data);
    }
    (response, records)
}

fn answered(index: i32, answer: Answered) -> (PartitionData, Chunk) {
    let data = PartitionData::default().with_partition_index(index).with_records(Some(Bytes::new()));
    match answer {
        Ok(Read { records, high_watermark, start_offset, stable_offset, aborted }) => {
            let data = data
                .with_high_watermark(high_watermark)
                .with_last_stable_offset(stable_offset)
                .with_log_start_offset(start_offset)
                .with_aborted_transactions(aborted.map(|all| all.into_iter().map(shown).collect()));
            (data, records)
        }
        Err(error) => {
            let data = data
                .with_error_code(error.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_aborted_transactions(None);
            (data, Chunk::Memory(Bytes::new()))
        }
    }
}

fn shown(aborted: Aborted) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id))
        .with_first_offset(aborted.first_offset)
}

/// Writes what stands around the records, and puts the records between, by reference. A test holds it against the codec.
fn encode(reply: Reply, response: FetchResponse, records: Vec<Chunk>) -> Result<Frame, Malformed> {
    let mut out = Chunks { head: BytesMut::with_capacity(256), chunks: Vec::new(), version: reply.version };
    out.head.put_i32(0); // the frame's length, known at the end
    out.head.put_i32(reply.correlation_id);
    out.tagged_end();
    out.head.put_i32(response.throttle_time_ms);
    if reply.version >= 7 {
        out.head.put_i16(response.error_code);
        out.head.put_i32(response.session_id);
    }
    out.count(response.responses.len());
    let mut records = records.into_iter();
    for topic in &response.responses {
        if reply.version >= 13 {
            out.head.put_slice(topic.topic_id.as_bytes());
        } else {
            out.text(&topic.topic);
        }
        out.count(topic.partitions.len());
        for partition in &topic.partitions {
            out.partition(partition, records.next().unwrap_or(Chunk::Memory(Bytes::new())));
        }
        out.tagged_end();
    }
    out.tagged_end();
    out.finish()
}

struct Chunks {
    head: BytesMut,
    chunks: Vec<Chunk>,
    version: i16,
}

impl Chunks {
    fn flexible(&self) -> bool {
        self.version >= shapes::FETCH.flexible_since
    }

    fn partition(&mut self, partition: &PartitionData, records: Chunk) {
        self.head.put_i32(partition.partition_index);
        self.head.put_i16(partition.error_code);
        self.head.put_i64(partition.high_watermark);
        self.head.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.head.put_i64(partition.log_start_offset);
        }
        self.aborted(partition.aborted_transactions.as_deref());
        if self.version >= 11 {
            self.head.put_i32(-1); // no other replica is preferred
        }
        if self.flexible() {
            self.varint(records.len() as u32 + 1);
        } else {
            self.head.put_i32(records.len() as i32);
        }
        if !records.is_empty() {
            self.chunks.push(Chunk::Memory(self.head.split().freeze()));
            self.chunks.push(records);
        }
        self.tagged_end();
    }

    fn aborted(&mut self, transactions: Option<&[AbortedTransaction]>) {
        match transactions {
            None if self.flexible() => self.head.put_u8(0),
            None => self.head.put_i32(-1),
            Some(transactions) => {
                self.count(transactions.len());
                for transaction in transactions {
                    self.head.put_i64(transaction.producer_id.0);
                    self.head.put_i64(transaction.first_offset);
                    self.tagged_end();
                }
            }
        }
    }

    fn count(&mut self, count: usize) {
        if self.flexible() { self.varint(count as u32 + 1) } else { self.head.put_i32(count as i32) }
    }

    fn text(&mut self, text: &str) {
        if self.flexible() {
            self.varint(text.len() as u32 + 1)
        } else {
            self.head.put_i16(text.len() as i16)
        }
        self.head.put_slice(text.as_bytes());
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.head.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.head.put_u8(value as u8);
    }

    fn tagged_end(&mut self) {
        if self.flexible() {
            self.head.put_u8(0);
        }
    }

    fn finish(mut self) -> Result<Frame, Malformed> {
        self.chunks.push(Chunk::Memory(self.head.freeze()));
        let size = self.chunks.iter().map(Chunk::len).sum::<usize>() - 4;
        let size = u32::try_from(size).map_err(|_| Malformed::Length)?;
        // The first chunk holds the length; it is small, so giving it its place costs a copy of some bytes.
        if let Some(Chunk::Memory(first)) = self.chunks.first_mut() {
            let mut whole = BytesMut::from(&first[..]);
            whole[..4].copy_from_slice(&size.to_be_bytes());
            *first = whole.freeze();
        }
        Ok(Frame { chunks: self.chunks, throttle_ms: 0 })
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::{
        messages::TopicName,
        protocol::{Decodable, StrBytes},
    };
    use uuid::Uuid;

    use super::*;

    fn example(version: i16) -> (FetchResponse, Vec<Bytes>) {
        let mut response = FetchResponse::default();
        let mut records = vec![];
        for number in 0..3u8 {
            let mut topic = FetchableTopicResponse::default();
            if version >= 13 {
                topic.topic_id = Uuid::from_u128(u128::from(number) + 1);
            } else {
                topic.topic = TopicName(StrBytes::from_string(format!("topic-{number}")));
            }
            for index in 0..2 {
                let data = PartitionData::default()
                    .with_partition_index(index)
                    .with_high_watermark(9)
                    .with_last_stable_offset(9);
                let data = if version >= 5 { data.with_log_start_offset(3) } else { data };
                let aborted =
                    |id| AbortedTransaction::default().with_producer_id(ProducerId(id)).with_first_offset(7);
                let aborted =
                    [None, Some(vec![]), Some(vec![aborted(3), aborted(4)])][usize::from(number)].clone();
                topic
                    .partitions
                    .push(data.with_aborted_transactions(aborted).with_records(Some(Bytes::new())));
                records.push(Bytes::from(vec![number; usize::from(number) * 100]));
            }
            response.responses.push(topic);
        }
        (response, records)
    }

    fn bytes(frame: &Frame) -> Vec<u8> {
        let bytes = |chunk: &Chunk| match chunk {
            Chunk::Memory(bytes) => bytes.clone(),
            Chunk::File(slice) => slice.read().unwrap(),
        };
        frame.chunks.iter().flat_map(bytes).collect()
    }

    #[test]
    fn the_chunks_are_what_the_codec_would_write() {
        for version in HANDLER.versions {
            let (mut response, records) = example(version);
            let reply = Reply { version, correlation_id: 77 };
            let chunks = records.iter().cloned().map(Chunk::Memory).collect();
            let frame = encode(reply, response.clone(), chunks).unwrap();
            let mut records = records.into_iter();
            for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.records = records.next();
            }
            let expected = reply.encode(&response).unwrap();
            let (found, expected) = (bytes(&frame), bytes(&expected));
            assert_eq!(found, expected, "version {version}");
            let header_bytes = if version >= 12 { 9 } else { 8 };
            let mut body = Bytes::from(found).split_off(header_bytes);
            assert_eq!(FetchResponse::decode(&mut body, version).unwrap(), response, "version {version}");
        }
    }
}
