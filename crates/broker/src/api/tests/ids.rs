//! OffsetCommit and OffsetFetch in versions that the codec does not know: the first, and from 10 on, where topics have ids for names.

use kafka_protocol::{
    messages::{
        DeleteTopicsRequest, DeleteTopicsResponse, MetadataResponse, OffsetCommitRequest,
        OffsetCommitResponse, OffsetFetchResponse, ResponseHeader,
        offset_fetch_response::OffsetFetchResponseTopics,
    },
    protocol::{Decodable, Request},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uuid::Uuid;

use super::{Example, data_example, example, group_example, handmade::IDS_SINCE, read_answer, topic};
use crate::tests::Server;

/// The id of no topic.
pub(super) const STRANGER: Uuid = Uuid::from_u128(5);

/// OffsetCommit 1, which the codec does not know: the body of v2, but that the time stands in the partition.
pub(super) fn first_offset_commit(request: &OffsetCommitRequest) -> Example {
    let next = example(2, request);
    let split = |at: usize| (next.body.slice(..at), next.body.slice(at..));
    let retention_ms_at = 2 + request.group_id.len() + 4 + 2 + request.member_id.len();
    let ((head, _), (_, rest)) = (split(retention_ms_at), split(retention_ms_at + 8));
    let metadata_at = rest.len() - 2 - "receipt".len();
    let time_ms = 5_i64.to_be_bytes();
    let body = [&head[..], &rest[..metadata_at], &time_ms, &rest[metadata_at..]].concat();
    Example {
        version: 1,
        body: body.into(),
        check_answer: |answer, _| (next_answer().check_answer)(answer, 2),
        show_answer: |answer, _| (next_answer().show_answer)(answer, 2),
        ..next
    }
}

fn next_answer() -> Example {
    example(2, &OffsetCommitRequest::default())
}

/// From `IDS_SINCE` on one of the version before, with an id where `frames` stands: the codec does not write it.
pub(super) fn by_id<Q: Request<Response: std::fmt::Debug>>(version: i16, request: &Q) -> Example {
    if version < IDS_SINCE {
        return example(version, request);
    }
    let before = example(IDS_SINCE - 1, request);
    let name = b"\x07frames";
    let at = before.body.windows(name.len()).position(|window| window == name).unwrap();
    let body = [&before.body[..at], STRANGER.as_bytes(), &before.body[at + name.len()..]].concat();
    Example { version, body: body.into(), ..before }
}

async fn ask<R: Decodable>(stream: &mut TcpStream, example: &Example) -> R {
    stream.write_all(&example.frame(1)).await.unwrap();
    let mut answer = read_answer(stream).await;
    ResponseHeader::decode(&mut answer, 1).unwrap();
    R::decode(&mut answer, example.version).unwrap()
}

/// The example with this id in place of the one that no topic has.
fn with_id(key: i16, id: Uuid) -> Example {
    let mut example = group_example(key, 10).unwrap();
    let at = example.body.windows(16).position(|window| window == STRANGER.as_bytes()).unwrap();
    example.body = [&example.body[..at], id.as_bytes(), &example.body[at + 16..]].concat().into();
    example
}

async fn committed(stream: &mut TcpStream, id: Uuid) -> i16 {
    let answer: OffsetCommitResponse = ask(stream, &with_id(8, id)).await;
    assert_eq!((answer.topics[0].topic_id, answer.topics[0].name.as_str()), (id, ""));
    answer.topics[0].partitions[0].error_code
}

async fn fetched(stream: &mut TcpStream, id: Uuid) -> OffsetFetchResponseTopics {
    let mut answer: OffsetFetchResponse = ask(stream, &with_id(9, id)).await;
    answer.groups.remove(0).topics.remove(0)
}

#[tokio::test]
async fn offsets_belong_to_the_topic_of_that_id() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let metadata = data_example(3, 12).unwrap();
    let told: MetadataResponse = ask(&mut stream, &metadata).await;
    let first = told.topics[0].topic_id;
    assert_eq!(committed(&mut stream, first).await, 0);
    assert_eq!(committed(&mut stream, STRANGER).await, 100, "UNKNOWN_TOPIC_ID");
    let known = fetched(&mut stream, first).await;
    let offsets: Vec<_> = known.partitions.iter().map(|p| (p.committed_offset, p.error_code)).collect();
    assert_eq!((known.topic_id, offsets), (first, vec![(3, 0), (-1, 0)]));
    let known = fetched(&mut stream, STRANGER).await;
    assert_eq!((known.topic_id, known.partitions[0].error_code), (STRANGER, 100));
    // A topic that has the name by now is another one.
    let gone = DeleteTopicsRequest::default().with_topic_names(vec![topic("frames")]);
    let _: DeleteTopicsResponse = ask(&mut stream, &example(4, &gone)).await;
    let told: MetadataResponse = ask(&mut stream, &metadata).await;
    let second = told.topics[0].topic_id;
    assert_ne!(first, second);
    assert_eq!(committed(&mut stream, first).await, 100);
    assert_eq!(fetched(&mut stream, second).await.partitions[0].committed_offset, -1);
    server.stop().await;
}
