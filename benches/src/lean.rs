//! A connection of a client that is not itself the limit: what is asked and answered, and no threads, queues or objects of records.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        BrokerId, ListOffsetsRequest, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader,
        TopicName,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        metadata_request::MetadataRequestTopic,
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use wire::frame;

use crate::Target;

/// Topics by their names; what came later says nothing of one broker alone.
const METADATA_VERSION: i16 = 9;
const LIST_OFFSETS_VERSION: i16 = 5;
/// Stands for the offset of the next record.
const LATEST: i64 = -1;
/// As Java's producer has it.
pub const RETRY_BACKOFF: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
/// Larger answers are wrong.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// One connection, the last request and the last answer, in whose memory the next ones are put.
pub struct Connection {
    stream: TcpStream,
    sent: BytesMut,
    last: Bytes,
    requests_count: i32,
    answers_count: i32,
}

impl Connection {
    pub fn to(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(&target.bootstrap)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sent: BytesMut::new(), last: Bytes::new(), requests_count: 0, answers_count: 0 })
    }

    pub fn ask<Q: Request>(&mut self, request: &Q, version: i16) -> Result<Q::Response> {
        self.send(request, version)?;
        self.answer::<Q>(version)
    }

    /// The answer comes when those to the requests before it were taken.
    pub fn send<Q: Request>(&mut self, request: &Q, version: i16) -> Result<()> {
        self.requests_count += 1;
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.requests_count)
            .with_client_id(Some(StrBytes::from_static_str("perf")));
        self.sent.clear();
        frame::put_frame(&mut self.sent, |sent| {
            header.encode(sent, Q::header_version(version))?;
            request.encode(sent, version)
        })??;
        Ok(self.stream.write_all(&self.sent)?)
    }

    /// The next answer, which is one to a `Q`.
    pub fn answer<Q: Request>(&mut self, version: i16) -> Result<Q::Response> {
        self.answers_count += 1;
        let mut body = self.frame()?;
        let header = ResponseHeader::decode(&mut body, Q::Response::header_version(version))?;
        ensure!(header.correlation_id == self.answers_count, "an answer to another request");
        Q::Response::decode(&mut body, version)
    }

    /// How many answers are still to come.
    pub fn in_flight(&self) -> i32 {
        self.requests_count - self.answers_count
    }

    /// The next frame without its length.
    fn frame(&mut self) -> Result<Bytes> {
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

    /// The partitions of a topic.
    pub fn partitions(&mut self, topic: &str) -> Result<Vec<i32>> {
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let topic = patiently(|| {
            let answer: MetadataResponse = self.ask(&request, METADATA_VERSION)?;
            let topic = answer.topics.into_iter().next().context("no topic in the answer")?;
            let code = topic.error_code;
            Ok((topic, code))
        })?;
        Ok(topic.partitions.iter().map(|partition| partition.partition_index).collect())
    }

    /// The partitions of a topic that may be new, once each of them can be asked.
    pub fn ready(&mut self, topic: &str) -> Result<Vec<i32>> {
        let partitions = self.partitions(topic)?;
        let asked = |&partition: &i32| {
            ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(LATEST)
        };
        let asked = ListOffsetsTopic::default()
            .with_name(name(topic))
            .with_partitions(partitions.iter().map(asked).collect());
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
        patiently(|| {
            let answer = self.ask(&request, LIST_OFFSETS_VERSION)?;
            let mut told = answer.topics.iter().flat_map(|topic| &topic.partitions);
            Ok(((), told.find_map(|told| (told.error_code != 0).then_some(told.error_code)).unwrap_or(0)))
        })?;
        Ok(partitions)
    }
}

/// Asks until the answer is no error; which the first ones of a new broker or topic are, for a while.
pub fn patiently<T>(mut ask: impl FnMut() -> Result<(T, i16)>) -> Result<T> {
    let start = Instant::now();
    loop {
        match ask()? {
            (answer, 0) => return Ok(answer),
            (_, code) if start.elapsed() > PATIENCE => bail!("error {code} for {PATIENCE:?}"),
            _ => thread::sleep(RETRY_BACKOFF),
        }
    }
}

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
