//! The Kafka API keys this broker speaks. `HANDLERS` is the only list: dispatch and ApiVersions read it, and
//! `docs/kafka-api.md` is printed from it. One file a key; an answer carries Kafka's error codes.
//!
//! A handler that gives `Err` has met bytes that cannot be answered: the connection is closed.

use std::{future::Future, net::IpAddr, ops::RangeInclusive, pin::Pin, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request, StrBytes};

use wire::frame::{peek_request, take_request_head};

use crate::{
    broker::Broker,
    log::Slice,
    quotas::{Limit, timed::timed},
    security::peer::{Gate, Peer},
};

mod describing;
pub mod handmade;
pub mod shapes;

mod k00_produce;
mod k01_fetch;
mod k02_list_offsets;
mod k03_metadata;
mod k08_offset_commit;
mod k09_offset_fetch;
mod k10_find_coordinator;
mod k11_join_group;
mod k12_heartbeat;
mod k13_leave_group;
mod k14_sync_group;
mod k15_describe_groups;
mod k16_list_groups;
mod k17_sasl_handshake;
mod k18_api_versions;
mod k19_create_topics;
mod k20_delete_topics;
mod k21_delete_records;
mod k22_init_producer_id;
mod k23_offset_for_leader_epoch;
mod k24_add_partitions_to_txn;
mod k25_add_offsets_to_txn;
mod k26_end_txn;
mod k27_write_txn_markers;
mod k28_txn_offset_commit;
mod k29_describe_acls;
mod k30_create_acls;
mod k31_delete_acls;
mod k32_describe_configs;
mod k33_alter_configs;
mod k34_alter_replica_log_dirs;
mod k35_describe_log_dirs;
mod k36_sasl_authenticate;
mod k37_create_partitions;
mod k38_create_delegation_token;
mod k39_renew_delegation_token;
mod k40_expire_delegation_token;
mod k41_describe_delegation_token;
mod k42_delete_groups;
mod k43_elect_leaders;
mod k44_incremental_alter_configs;
mod k45_alter_partition_reassignments;
mod k46_list_partition_reassignments;
mod k47_offset_delete;
mod k48_describe_client_quotas;
mod k49_alter_client_quotas;
mod k50_describe_user_scram_credentials;
mod k51_alter_user_scram_credentials;
mod k60_describe_cluster;
mod k61_describe_producers;
mod k65_describe_transactions;
mod k66_list_transactions;
mod k68_consumer_group_heartbeat;
mod k69_consumer_group_describe;
mod k74_list_config_resources;
mod k75_describe_topic_partitions;
mod k76_share_group_heartbeat;
mod k77_share_group_describe;
mod k78_share_fetch;
mod k79_share_acknowledge;
mod k88_streams_group_heartbeat;
mod k89_streams_group_describe;
mod k90_describe_share_group_offsets;
mod k91_alter_share_group_offsets;
mod k92_delete_share_group_offsets;

#[cfg(test)]
mod tests;

use shapes::{Malformed, Shape};

/// Every API key that is answered, in the order of the keys.
pub const HANDLERS: &[Handler] = &[
    k00_produce::HANDLER,
    k01_fetch::HANDLER,
    k02_list_offsets::HANDLER,
    k03_metadata::HANDLER,
    k08_offset_commit::HANDLER,
    k09_offset_fetch::HANDLER,
    k10_find_coordinator::HANDLER,
    k11_join_group::HANDLER,
    k12_heartbeat::HANDLER,
    k13_leave_group::HANDLER,
    k14_sync_group::HANDLER,
    k15_describe_groups::HANDLER,
    k16_list_groups::HANDLER,
    k17_sasl_handshake::HANDLER,
    k18_api_versions::HANDLER,
    k19_create_topics::HANDLER,
    k20_delete_topics::HANDLER,
    k21_delete_records::HANDLER,
    k22_init_producer_id::HANDLER,
    k23_offset_for_leader_epoch::HANDLER,
    k24_add_partitions_to_txn::HANDLER,
    k25_add_offsets_to_txn::HANDLER,
    k26_end_txn::HANDLER,
    k27_write_txn_markers::HANDLER,
    k28_txn_offset_commit::HANDLER,
    k29_describe_acls::HANDLER,
    k30_create_acls::HANDLER,
    k31_delete_acls::HANDLER,
    k32_describe_configs::HANDLER,
    k33_alter_configs::HANDLER,
    k34_alter_replica_log_dirs::HANDLER,
    k35_describe_log_dirs::HANDLER,
    k36_sasl_authenticate::HANDLER,
    k37_create_partitions::HANDLER,
    k38_create_delegation_token::HANDLER,
    k39_renew_delegation_token::HANDLER,
    k40_expire_delegation_token::HANDLER,
    k41_describe_delegation_token::HANDLER,
    k42_delete_groups::HANDLER,
    k43_elect_leaders::HANDLER,
    k44_incremental_alter_configs::HANDLER,
    k45_alter_partition_reassignments::HANDLER,
    k46_list_partition_reassignments::HANDLER,
    k47_offset_delete::HANDLER,
    k48_describe_client_quotas::HANDLER,
    k49_alter_client_quotas::HANDLER,
    k50_describe_user_scram_credentials::HANDLER,
    k51_alter_user_scram_credentials::HANDLER,
    k60_describe_cluster::HANDLER,
    k61_describe_producers::HANDLER,
    k65_describe_transactions::HANDLER,
    k66_list_transactions::HANDLER,
    k68_consumer_group_heartbeat::HANDLER,
    k69_consumer_group_describe::HANDLER,
    k74_list_config_resources::HANDLER,
    k75_describe_topic_partitions::HANDLER,
    k76_share_group_heartbeat::HANDLER,
    k77_share_group_describe::HANDLER,
    k78_share_fetch::HANDLER,
    k79_share_acknowledge::HANDLER,
    k88_streams_group_heartbeat::HANDLER,
    k89_streams_group_describe::HANDLER,
    k90_describe_share_group_offsets::HANDLER,
    k91_alter_share_group_offsets::HANDLER,
    k92_delete_share_group_offsets::HANDLER,
];

/// One API key.
pub struct Handler {
    pub key: i16,
    pub name: &'static str,
    pub versions: RangeInclusive<i16>,
    pub shape: &'static Shape,
    /// Whether it may start while earlier requests of its connection are `Queued`.
    pub pipelined: bool,
    /// Requests of one connection are worked on in the order of their frames.
    pub call: fn(Arc<Broker>, Call) -> Pending,
    /// What a reader of the docs should know: what is not honoured, and what stands in for it.
    pub notes: &'static str,
}

/// A request being worked on.
pub type Pending = Pin<Box<dyn Future<Output = Result<Step, Malformed>> + Send>>;

/// How far a request has come.
pub enum Step {
    /// The frame to send, or none where the client wants none (Produce with acks=0).
    Answer(Option<Frame>),
    /// The frame to send before the connection is closed: the client cannot stay.
    Farewell(Frame),
    /// Its effects are queued in order: the next Produce may start while this one waits for the disk.
    Queued(Pending),
}

impl Step {
    pub fn answer(frame: Frame) -> Step {
        Step::Answer(Some(frame))
    }
}

/// A part of an answer: bytes, or records where they lie in their file.
#[derive(Debug, Clone)]
pub enum Chunk {
    Memory(Bytes),
    File(Slice),
}

impl Chunk {
    pub fn len(&self) -> usize {
        match self {
            Chunk::Memory(bytes) => bytes.len(),
            Chunk::File(slice) => slice.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One answer as chunks, so that records go from the log to the socket without another copy.
#[derive(Debug)]
pub struct Frame {
    pub chunks: Vec<Chunk>,
    /// How long the connection is not read from after it: the client has taken more than its quota.
    pub throttle_ms: u32,
}

impl Frame {
    /// A whole one in one piece.
    pub fn of(frame: BytesMut) -> Frame {
        Frame { chunks: vec![Chunk::Memory(frame.freeze())], throttle_ms: 0 }
    }
}

/// One request, its header read and its body checked against the shape.
pub struct Call {
    pub caller: Caller,
    body: Bytes,
}

/// Who asks, and in which version he wants the answer.
#[derive(Clone)]
pub struct Caller {
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: StrBytes,
    pub host: IpAddr,
    pub peer: Arc<Peer>,
}

impl Call {
    pub fn new(caller: Caller, body: Bytes) -> Self {
        Self { caller, body }
    }

    /// Decodes the request; the body has passed its shape's check, so the codec meets no false count.
    pub fn decode<Q: Request>(mut self) -> Result<(Q, Caller), Malformed> {
        let request = Q::decode(&mut self.body, self.caller.version).map_err(|_| Malformed::Codec)?;
        Ok((request, self.caller))
    }

    /// Decodes, awaits and encodes: the whole of most handlers.
    pub fn answer<Q, F>(self, act: impl FnOnce(Q, Caller) -> F + Send + 'static) -> Pending
    where
        Q: Request + Send + 'static,
        F: Future<Output = Q::Response> + Send,
        Q::Response: Send,
    {
        Box::pin(async move {
            let (request, caller) = self.decode::<Q>()?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            let response = act(request, caller).await;
            reply.encode(&response).map(Step::answer)
        })
    }

    /// As `answer`, for a version that the codec does not read.
    pub fn answer_handmade<Q, F>(
        self,
        read: fn(Bytes) -> Result<Q, Malformed>,
        act: impl FnOnce(Q, Caller) -> F + Send + 'static,
    ) -> Pending
    where
        Q: Request + Send + 'static,
        F: Future<Output = Q::Response> + Send,
        Q::Response: Send,
    {
        Box::pin(async move {
            let request = read(self.body)?;
            let reply = Reply { version: self.caller.version, correlation_id: self.caller.correlation_id };
            let response = act(request, self.caller).await;
            reply.encode(&response).map(Step::answer)
        })
    }

    /// As `answer`, for what may use up a quota: also how long the connection is then not read from.
    pub fn answer_throttled<Q, F>(self, act: impl FnOnce(Q, Caller) -> F + Send + 'static) -> Pending
    where
        Q: Request + Send + 'static,
        F: Future<Output = (Q::Response, u32)> + Send,
        Q::Response: Send,
    {
        Box::pin(async move {
            let (request, caller) = self.decode::<Q>()?;
            let reply = Reply { version: caller.version, correlation_id: caller.correlation_id };
            let (response, throttle_ms) = act(request, caller).await;
            Ok(Step::answer(Frame { throttle_ms, ..reply.encode(&response)? }))
        })
    }
}

/// What an answer needs of its request's header.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    pub version: i16,
    pub correlation_id: i32,
}

impl Reply {
    pub fn encode<R: Encodable + HeaderVersion>(&self, response: &R) -> Result<Frame, Malformed> {
        self.encode_in(response, self.version)
    }

    /// An answer of a flexible version whose body the codec does not write.
    pub fn flexible(&self, body: &[u8]) -> Result<Frame, Malformed> {
        let size = 5 + body.len();
        let mut frame = BytesMut::with_capacity(4 + size);
        frame.put_u32(u32::try_from(size).map_err(|_| Malformed::Length)?);
        frame.put_i32(self.correlation_id);
        frame.put_u8(0); // no tagged fields
        frame.put_slice(body);
        Ok(Frame::of(frame))
    }

    /// As `encode`, in another version than was asked for (KIP-511 answers ApiVersions so).
    pub fn encode_in<R: Encodable + HeaderVersion>(
        &self,
        response: &R,
        version: i16,
    ) -> Result<Frame, Malformed> {
        let flexible = R::header_version(version) > 0;
        let size =
            response.compute_size(version).map_err(|_| Malformed::Codec)? + if flexible { 5 } else { 4 };
        let mut frame = BytesMut::with_capacity(4 + size);
        frame.put_u32(u32::try_from(size).map_err(|_| Malformed::Length)?);
        frame.put_i32(self.correlation_id);
        if flexible {
            frame.put_u8(0); // no tagged fields
        }
        response.encode(&mut frame, version).map_err(|_| Malformed::Codec)?;
        Ok(Frame::of(frame))
    }
}

/// The handler of a key, if it is spoken here.
pub fn handler(key: i16) -> Option<&'static Handler> {
    HANDLERS.binary_search_by_key(&key, |handler| handler.key).ok().map(|place| &HANDLERS[place])
}

/// Reads one request (without its length), checks it and starts its handler; also whether it is pipelined.
///
/// # Errors
/// Bytes that cannot be answered: the connection has to be closed.
pub fn dispatch(
    broker: &Arc<Broker>,
    mut frame: Bytes,
    peer: &Arc<Peer>,
) -> Result<(bool, Pending), Malformed> {
    let peeked = peek_request(&frame);
    match peer.gate(peeked.as_ref().ok().map(|(key, _, _)| *key)) {
        Gate::Pass => {}
        Gate::Token => return Ok((false, k36_sasl_authenticate::bare(broker.clone(), frame, peer.clone()))),
        Gate::Closed => return Err(Malformed::Unproven),
    }
    let (key, version, correlation_id) = peeked.map_err(|_| Malformed::Short)?;
    let handler = handler(key).ok_or(Malformed::Unknown { key, version })?;
    if !handler.versions.contains(&version) {
        // KIP-511: a client that is newer than we are asks ApiVersions first, and gets version 0 with error 35.
        if key == k18_api_versions::HANDLER.key {
            let reply = Reply { version, correlation_id };
            return Ok((false, Box::pin(async move { k18_api_versions::refuse(reply).map(Step::answer) })));
        }
        return Err(Malformed::Unknown { key, version });
    }
    let head = take_request_head(&mut frame).map_err(|_| Malformed::Codec)?;
    handler.shape.check(&frame, version)?;
    let client_id = head.client_id.unwrap_or_default();
    let caller = Caller { version, correlation_id, client_id, host: peer.host, peer: peer.clone() };
    let timed_for = broker.quotas.limits(Limit::Time).then(|| caller.clone());
    let pending = (handler.call)(broker.clone(), Call::new(caller, frame));
    let pending = match timed_for {
        None => pending,
        Some(caller) => timed(broker.clone(), caller, pending),
    };
    Ok((handler.pipelined, pending))
}

/// `docs/kafka-api.md`, from the table.
pub fn page() -> String {
    let mut text = String::from(
        "# The Kafka API of the embedded broker\n\n\
         Printed from `HANDLERS` in `crates/broker/src/api/mod.rs` by `cargo xtask docs`; a test compares. The broker answers ApiVersions with\n\
         exactly these keys and versions, and every one of them is spoken in a test.\n\n\
         | Key | Name | Versions | Notes |\n|---:|---|---|---|\n",
    );
    for handler in HANDLERS {
        let (first, last) = (handler.versions.start(), handler.versions.end());
        text += &format!("| {} | {} | {first}-{last} | {} |\n", handler.key, handler.name, handler.notes);
    }
    text
}
