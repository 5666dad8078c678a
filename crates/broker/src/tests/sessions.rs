//! Fetch sessions, spoken by hand: after the first whole answer only what changes is said, either way.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        FetchRequest, FetchResponse, RequestHeader, ResponseHeader, TopicName,
        fetch_request::{FetchPartition, FetchTopic, ForgottenTopic},
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use rdkafka::{
    admin::AdminOptions,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Server, admin, produce};

const VERSION: i16 = 12;
const SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_SESSION_EPOCH: i16 = 71;

async fn fetch(stream: &mut TcpStream, request: &FetchRequest) -> FetchResponse {
    let header = RequestHeader::default()
        .with_request_api_key(FetchRequest::KEY)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("sessions")));
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    header.encode(&mut frame, FetchRequest::header_version(VERSION)).unwrap();
    request.encode(&mut frame, VERSION).unwrap();
    let length = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&frame).await.unwrap();
    let mut answer = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut answer).await.unwrap();
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, FetchResponse::header_version(VERSION)).unwrap();
    FetchResponse::decode(&mut answer, VERSION).unwrap()
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

/// Asks for these partitions, each from so far on.
fn request(session: (i32, i32), offsets: &[(i32, i64)]) -> FetchRequest {
    let partition = |(index, offset): &(i32, i64)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_current_leader_epoch(-1)
            .with_partition_max_bytes(1 << 20)
    };
    let wanted =
        FetchTopic::default().with_topic(topic()).with_partitions(offsets.iter().map(partition).collect());
    let topics = if offsets.is_empty() { vec![] } else { vec![wanted] };
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(topics);
    request.with_session_id(session.0).with_session_epoch(session.1)
}

/// Partition and whether records came with it.
fn told(response: &FetchResponse) -> Vec<(i32, bool)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    let one = |data: &kafka_protocol::messages::fetch_response::PartitionData| {
        (data.partition_index, data.records.as_ref().is_some_and(|records| !records.is_empty()))
    };
    partitions.map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changes_is_said() {
    let server = Server::start().await;
    admin::create(&server, "t", 3, &[]).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let whole = fetch(&mut stream, &request((0, 0), &[(0, 0), (1, 0), (2, 0)])).await;
    let id = whole.session_id;
    assert!(id > 0);
    assert_eq!(told(&whole), [(0, false), (1, false), (2, false)]);
    let nothing = fetch(&mut stream, &request((id, 1), &[])).await;
    assert_eq!((nothing.session_id, told(&nothing)), (id, vec![]));
    produce::send(&server, "t", 30, &[]).await;
    let mut all = told(&fetch(&mut stream, &request((id, 2), &[])).await);
    all.sort_unstable();
    assert_eq!(all, [(0, true), (1, true), (2, true)]);
    let again = fetch(&mut stream, &request((id, 2), &[])).await;
    assert_eq!((again.error_code, told(&again)), (INVALID_SESSION_EPOCH, vec![]));
    let ends = [(0, i64::MAX), (1, 0)];
    let mut moved = request((id, 3), &ends);
    moved.forgotten_topics_data =
        vec![ForgottenTopic::default().with_topic(topic()).with_partitions(vec![2])];
    let moved = fetch(&mut stream, &moved).await;
    let errors = moved.responses.iter().flat_map(|topic| &topic.partitions);
    assert_eq!(errors.filter(|data| data.error_code == 1).count(), 1, "offset out of range");
    assert!(told(&moved).iter().all(|(index, records)| *records == (*index == 1) && *index != 2));
    server_side_is_gone(&mut stream, id).await;
    server.stop().await;
}

async fn server_side_is_gone(stream: &mut TcpStream, id: i32) {
    let closed = fetch(stream, &request((id, -1), &[(1, 0)])).await;
    assert_eq!((closed.session_id, told(&closed)), (0, vec![(1, true)]));
    let unknown = fetch(stream, &request((id, 4), &[])).await;
    assert_eq!((unknown.error_code, unknown.session_id), (SESSION_ID_NOT_FOUND, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_has_its_turn() {
    let server = Server::start().await;
    admin::create(&server, "t", 3, &[]).await;
    produce::send(&server, "t", 300, &[]).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let small = |request: FetchRequest| request.with_max_bytes(1);
    let first = fetch(&mut stream, &small(request((0, 0), &[(0, 0), (1, 0), (2, 0)]))).await;
    let id = first.session_id;
    let mut served: Vec<i32> = vec![];
    let mut answer = first;
    for epoch in 1..4 {
        served.extend(told(&answer).iter().filter(|(_, records)| *records).map(|(index, _)| *index));
        answer = fetch(&mut stream, &small(request((id, epoch), &[]))).await;
    }
    served.sort_unstable();
    assert_eq!(served, [0, 1, 2], "although each has more");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_goes_is_told() {
    let server = Server::start().await;
    admin::create(&server, "t", 1, &[]).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let id = fetch(&mut stream, &request((0, 0), &[(0, 0)])).await.session_id;
    admin::admin(&server).delete_topics(&["t"], &AdminOptions::new()).await.unwrap();
    let gone = fetch(&mut stream, &request((id, 1), &[])).await;
    assert_eq!(gone.responses[0].partitions[0].error_code, 3);
    admin::create(&server, "t", 1, &[]).await;
    let back = fetch(&mut stream, &request((id, 2), &[])).await;
    assert_eq!(back.responses[0].partitions[0].error_code, 0);
    server.stop().await;
}

/// More than a socket takes at once, so that the kernel sends a file's part in many pieces while the client is late.
#[tokio::test(flavor = "multi_thread")]
async fn large_answers_come_whole_and_as_they_were_sent() {
    let server = Server::start().await;
    admin::create(&server, "t", 1, &[]).await;
    let producer: FutureProducer =
        server.client(&[("linger.ms", "0"), ("compression.type", "none")]).create().unwrap();
    let value = |number: usize| format!("{number:06}").repeat(10_000);
    for number in 0..200 {
        let value = value(number);
        let record = FutureRecord::<(), _>::to("t").partition(0).payload(&value);
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let (mut offset, mut largest) = (0, 0);
    while offset < 200 {
        let mut large = request((0, -1), &[(0, offset)]).with_max_bytes(16 << 20);
        large.topics[0].partitions[0].partition_max_bytes = if offset == 0 { 100_000 } else { 16 << 20 };
        let mut answer = fetch(&mut stream, &large).await;
        let records = answer.responses[0].partitions[0].records.take().unwrap();
        largest = largest.max(records.len());
        for batch in wire::batch::batches(&records) {
            for record in &batch.unwrap().records(1 << 20).unwrap() {
                let record = record.unwrap();
                assert_eq!(record.offset, offset);
                assert_eq!(record.value.unwrap(), value(offset as usize).as_bytes());
                offset += 1;
            }
        }
    }
    assert!(largest > 4 << 20, "{largest}");
    server.stop().await;
}
