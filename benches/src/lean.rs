//! A connection of a client that is not itself the limit: what is asked and answered, and no threads, queues or objects of records.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader, TopicName,
        metadata_request::MetadataRequestTopic,
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use wire::frame;

use crate::Target;

/// Topics by their names; what came later says nothing of one broker alone.
const METADATA_VERSION: i16 = 9;
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

    pub fn partitions(&mut self, topic: &str) -> Result<Vec<i32>> {
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let answer: MetadataResponse = self.ask(&request, METADATA_VERSION)?;
        let topic = answer.topics.into_iter().next().context("no topic in the answer")?;
        ensure!(topic.error_code == 0, "Metadata: error {}", topic.error_code);
        Ok(topic.partitions.iter().map(|partition| partition.partition_index).collect())
    }
}

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
