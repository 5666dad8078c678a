//! Requests: the frame, its header, the check of the shape, and the codec of each key and version that the broker speaks.

use broker::api::{HANDLERS, Handler};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::*,
    protocol::{Decodable, Request},
};
use wire::frame;

/// Which request the first byte of an input stands for.
pub(super) fn name_of(which: u8) -> &'static str {
    handler_of(which).name
}

/// And which of its versions the second byte does.
pub(super) fn chosen(which: u8, version: u8) -> (&'static Handler, i16) {
    let handler = handler_of(which);
    let span = handler.versions.end() - handler.versions.start() + 1;
    (handler, handler.versions.start() + i16::from(version) % span)
}

/// That of the key; what is no key stands for one all the same.
fn handler_of(which: u8) -> &'static Handler {
    let any = || &HANDLERS[usize::from(which) % HANDLERS.len()];
    broker::api::handler(i16::from(which)).unwrap_or_else(any)
}

/// The first byte says which key, the second which version; the rest is the body.
pub(super) fn decode(input: &[u8]) {
    let [which, version, body @ ..] = input else { return };
    let (handler, version) = chosen(*which, *version);
    if handler.shape.check(body, version).is_ok() {
        decode_body(handler.key, version, Bytes::copy_from_slice(body));
    }
}

/// What passes the shape the codec may refuse, but it may not panic, nor reserve what is not there.
fn decode_body(key: i16, version: i16, mut body: Bytes) {
    if broker::api::handmade::read(key, version, body.clone()).is_some() {
        return;
    }
    macro_rules! decode {
        ($($request:ident)*) => {
            $(if key == <$request as Request>::KEY {
                drop($request::decode(&mut body, version));
                return;
            })*
        };
    }
    decode!(ShareGroupHeartbeatRequest ShareGroupDescribeRequest ShareFetchRequest ShareAcknowledgeRequest
        DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest
        ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
        FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest DescribeGroupsRequest
        ListGroupsRequest SaslHandshakeRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest
        DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest AddPartitionsToTxnRequest
        AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest TxnOffsetCommitRequest DescribeAclsRequest
        CreateAclsRequest DeleteAclsRequest DescribeConfigsRequest AlterConfigsRequest DescribeLogDirsRequest
        SaslAuthenticateRequest CreatePartitionsRequest DeleteGroupsRequest ElectLeadersRequest
        IncrementalAlterConfigsRequest AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest
        OffsetDeleteRequest DescribeClientQuotasRequest AlterClientQuotasRequest DescribeUserScramCredentialsRequest
        AlterUserScramCredentialsRequest DescribeClusterRequest DescribeProducersRequest DescribeTransactionsRequest
        ListTransactionsRequest ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest
        DescribeTopicPartitionsRequest CreateDelegationTokenRequest RenewDelegationTokenRequest
        ExpireDelegationTokenRequest DescribeDelegationTokenRequest AlterReplicaLogDirsRequest
        ListConfigResourcesRequest);
    panic!("the fuzz target knows no request of key {key}");
}

/// As a connection's buffer holds them: length, header, body, one behind the other.
pub(super) fn take_frames(input: &[u8]) {
    let mut buffer = BytesMut::from(input);
    while let Ok(Some(mut taken)) = frame::take_frame(&mut buffer, 1 << 20) {
        let Ok((key, version, _)) = frame::peek_request(&taken) else { return };
        let Some(handler) = broker::api::handler(key).filter(|known| known.versions.contains(&version))
        else {
            return;
        };
        if frame::take_request_head(&mut taken).is_ok() && handler.shape.check(&taken, version).is_ok() {
            decode_body(key, version, taken);
        }
    }
}
