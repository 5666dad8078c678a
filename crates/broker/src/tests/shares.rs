//! Share groups over a socket: sessions, deliveries, what is known after a crash, and administration.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    ResponseError as E,
    messages::{
        share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic},
        share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic},
        *,
    },
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use uuid::Uuid;
use wire::batch::batches;

use super::{Server, admin, batch_of, restart::copy_folder};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

struct Member {
    stream: TcpStream,
    id: &'static str,
    topic: Uuid,
    epoch: i32,
}

/// First and last offset, and deliveries.
type Given = Vec<(i64, i64, i16)>;

async fn ask<Q: Request>(stream: &mut TcpStream, version: i16, request: &Q) -> Q::Response {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap();
    let mut answer = ask_raw::<Q>(stream, version, &body).await;
    Q::Response::decode(&mut answer, version).unwrap()
}

/// Body for body; for versions that the codec does not know.
async fn ask_raw<Q: Request>(stream: &mut TcpStream, version: i16, body: &[u8]) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(Q::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(text("tests")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, Q::header_version(version)).unwrap();
    let mut whole = BytesMut::new();
    whole.put_u32((frame.len() + body.len()) as u32);
    whole.put_slice(&frame);
    whole.put_slice(body);
    stream.write_all(&whole).await.unwrap();
    let length = stream.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.unwrap();
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).unwrap();
    answer
}

fn group() -> GroupId {
    GroupId(text("sharers"))
}

async fn topic_id(stream: &mut TcpStream, name: &str) -> Uuid {
    let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    ask(stream, 12, &request).await.topics[0].topic_id
}

/// One batch for each call.
async fn produce(server: &Server, topic: &str, values: &[&str]) {
    use produce_request::{PartitionProduceData, TopicProduceData};
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let records: Vec<(&str, &str)> = values.iter().map(|value| ("k", *value)).collect();
    let partition = PartitionProduceData::default().with_records(Some(batch_of(&records)));
    let data =
        TopicProduceData::default().with_name(TopicName(text(topic))).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![data]);
    let answer = ask(&mut stream, 9, &request).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

async fn set_earliest(server: &Server) {
    set(server, "share.auto.offset.reset", "earliest").await;
}

async fn set(server: &Server, name: &str, value: &str) {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(32)
        .with_resource_name(text("sharers"))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(ask(&mut stream, 1, &request).await.responses[0].error_code, 0);
}

impl Member {
    async fn join(server: &Server, id: &'static str) -> Member {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let request = ShareGroupHeartbeatRequest::default()
            .with_group_id(group())
            .with_member_id(text(id))
            .with_subscribed_topic_names(Some(vec![TopicName(text("pool"))]));
        let answer = ask(&mut stream, 1, &request).await;
        assert_eq!(answer.error_code, 0, "{answer:?}");
        let topic = topic_id(&mut stream, "pool").await;
        assert_eq!(answer.assignment.unwrap().topic_partitions[0].topic_id, topic);
        Member { stream, id, topic, epoch: 0 }
    }

    async fn leave(&mut self) {
        let request =
            ShareGroupHeartbeatRequest::default().with_group_id(group()).with_member_id(text(self.id));
        assert_eq!(ask(&mut self.stream, 1, &request.with_member_epoch(-1)).await.error_code, 0);
    }

    fn fetch_request(&self, epoch: i32, said: &[(i64, i64, &[i8])]) -> ShareFetchRequest {
        let batch = |(first, last, types): &(i64, i64, &[i8])| {
            AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        };
        let partition =
            FetchPartition::default().with_acknowledgement_batches(said.iter().map(batch).collect());
        let topic = FetchTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        ShareFetchRequest::default()
            .with_group_id(Some(group()))
            .with_member_id(Some(text(self.id)))
            .with_share_session_epoch(epoch)
            .with_max_wait_ms(300)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(2)
            .with_topics(vec![topic])
    }

    async fn fetch_saying(&mut self, said: &[(i64, i64, &[i8])]) -> (Given, i16) {
        self.fetch_by(self.fetch_request(self.epoch, said)).await
    }

    async fn fetch_by(&mut self, request: ShareFetchRequest) -> (Given, i16) {
        let answer = ask(&mut self.stream, 1, &request).await;
        assert_eq!(answer.error_code, 0);
        self.epoch += 1;
        let Some(data) = answer.responses.first().map(|topic| &topic.partitions[0]) else {
            return (vec![], 0);
        };
        assert_eq!(data.error_code, 0);
        let given: Given = data
            .acquired_records
            .iter()
            .map(|acquired| (acquired.first_offset, acquired.last_offset, acquired.delivery_count))
            .collect();
        // What is given is there.
        let records = data.records.clone().unwrap_or_default();
        let held: Vec<_> = batches(&records).map(|batch| batch.unwrap().header).collect();
        for (first, last, _) in &given {
            for offset in *first..=*last {
                assert!(held.iter().any(|batch| (batch.base_offset..batch.next_offset()).contains(&offset)));
            }
        }
        (given, data.acknowledge_error_code)
    }

    async fn fetch(&mut self) -> Given {
        self.fetch_saying(&[]).await.0
    }

    fn acknowledge_request(
        &self,
        epoch: i32,
        first: i64,
        last: i64,
        types: &[i8],
    ) -> ShareAcknowledgeRequest {
        let batch = share_acknowledge_request::AcknowledgementBatch::default()
            .with_first_offset(first)
            .with_last_offset(last)
            .with_acknowledge_types(types.to_vec());
        let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
        let topic = AcknowledgeTopic::default().with_topic_id(self.topic).with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(group()))
            .with_member_id(Some(text(self.id)))
            .with_share_session_epoch(epoch)
            .with_topics(vec![topic])
    }

    /// v2 says behind the epoch that locks are renewed, and is told behind the error how long they are.
    async fn renew(&mut self, first: i64, last: i64) -> i16 {
        let request = self.acknowledge_request(self.epoch, first, last, &[RENEW]);
        let mut body = BytesMut::new();
        request.encode(&mut body, 1).unwrap();
        let at = 1 + "sharers".len() + 1 + self.id.len() + 4;
        let body = [&body[..at], &[1], &body[at..]].concat();
        let answer = ask_raw::<ShareAcknowledgeRequest>(&mut self.stream, 2, &body).await;
        let answer = [&answer[..7], &answer[11..]].concat();
        let answer = ShareAcknowledgeResponse::decode(&mut Bytes::from(answer), 1).unwrap();
        assert_eq!(answer.error_code, 0);
        self.epoch += 1;
        answer.responses[0].partitions[0].error_code
    }

    async fn acknowledge(&mut self, epoch: i32, first: i64, last: i64, types: &[i8]) -> i16 {
        let request = self.acknowledge_request(epoch, first, last, types);
        let answer = ask(&mut self.stream, 1, &request).await;
        if answer.error_code != 0 {
            return answer.error_code;
        }
        self.epoch += 1;
        answer.responses[0].partitions[0].error_code
    }

    async fn say(&mut self, first: i64, last: i64, types: &[i8]) -> i16 {
        self.acknowledge(self.epoch, first, last, types).await
    }
}

const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;
const RENEW: i8 = 4;

async fn pool() -> Server {
    let server = Server::start_in(tempfile::tempdir().unwrap(), |options| {
        options.group_share_record_lock_duration_ms = 2_000;
        options.group_share_assignment_interval_ms = 0;
        options.share_state_partitions = 2;
    })
    .await;
    admin::create(&server, "pool", 1, &[]).await;
    set_earliest(&server).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_given_different_records() {
    let server = pool().await;
    let (mut one, mut other) = (Member::join(&server, "one").await, Member::join(&server, "other").await);
    assert_eq!(one.fetch().await, []);
    for values in [&["0", "1"], &["2", "3"], &["4", "5"]] {
        produce(&server, "pool", values).await;
    }
    assert_eq!(one.fetch().await, [(0, 1, 1)]);
    assert_eq!(other.fetch().await, [(2, 3, 1)]);
    assert_eq!(one.fetch_saying(&[(0, 1, &[ACCEPT, RELEASE])]).await, (vec![(1, 1, 2), (4, 5, 1)], 0));
    assert_eq!(one.say(2, 2, &[ACCEPT]).await, E::InvalidRecordState.code(), "it is the other's");
    assert_eq!(one.say(9, 9, &[ACCEPT]).await, E::InvalidRequest.code(), "it is not there");
    assert_eq!(one.say(1, 5, &[ACCEPT, REJECT]).await, E::InvalidRequest.code());
    assert_eq!(other.say(2, 3, &[REJECT]).await, 0);
    assert_eq!(one.say(1, 1, &[REJECT]).await, 0);
    // A lock is over after two seconds: who waits meanwhile is given what it held.
    let given = loop {
        match other.fetch().await {
            given if given.is_empty() => {}
            given => break given,
        }
    };
    assert_eq!(given, [(4, 5, 2)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_as_much_as_it_wants() {
    let server = pool().await;
    let mut one = Member::join(&server, "one").await;
    assert_eq!(one.fetch().await, []);
    produce(&server, "pool", &["0"]).await;
    let bytes = i32::try_from(batch_of(&[("k", "0")]).len()).unwrap();
    let long = |one: &Member, said: &[(i64, i64, &[i8])], least: i32| {
        let request = one.fetch_request(one.epoch, said);
        request.with_max_wait_ms(60_000).with_max_records(10).with_min_bytes(least)
    };
    assert_eq!(one.fetch_by(long(&one, &[], bytes)).await.0, [(0, 0, 1)], "there it is");
    produce(&server, "pool", &["1"]).await;
    let request = long(&one, &[(0, 0, &[ACCEPT])], 2 * bytes);
    let fetching = async {
        let got = one.fetch_by(request).await;
        (one, got)
    };
    let ((mut one, got), ()) = tokio::join!(fetching, produce(&server, "pool", &["2"]));
    assert_eq!(got, (vec![(1, 2, 1)], 0), "not the first alone");
    produce(&server, "pool", &["3"]).await;
    let began = std::time::Instant::now();
    let request = one.fetch_request(one.epoch, &[]).with_min_bytes(2 * bytes);
    assert_eq!(one.fetch_by(request).await.0, [(3, 3, 1)]);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    // What is given back counts as what comes; none at all is not waited for.
    assert_eq!(one.say(1, 2, &[RELEASE]).await, 0);
    assert_eq!(one.fetch_by(long(&one, &[], 2 * bytes)).await.0, [(1, 2, 2)]);
    assert_eq!(one.fetch_by(long(&one, &[], 0)).await.0, []);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_may_keep_records_where_the_group_lets_them() {
    let server = pool().await;
    let mut one = Member::join(&server, "one").await;
    produce(&server, "pool", &["0"]).await;
    assert_eq!(one.fetch().await, [(0, 0, 1)]);
    assert_eq!(one.renew(0, 0).await, 0);
    set(&server, "share.renew.acknowledge.enable", "false").await;
    assert_eq!(one.renew(0, 0).await, E::InvalidRecordState.code());
    assert_eq!(one.say(0, 0, &[ACCEPT]).await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_have_their_epochs() {
    let server = pool().await;
    let mut one = Member::join(&server, "one").await;
    produce(&server, "pool", &["0"]).await;
    let request = one.fetch_request(3, &[]);
    let told = |answer: ShareFetchResponse| answer.error_code;
    assert_eq!(told(ask(&mut one.stream, 1, &request).await), E::ShareSessionNotFound.code());
    let request = one.fetch_request(0, &[(0, 0, &[ACCEPT])]);
    assert_eq!(told(ask(&mut one.stream, 1, &request).await), E::InvalidRequest.code());
    assert_eq!(one.fetch().await, [(0, 0, 1)]);
    let request = one.fetch_request(5, &[]);
    assert_eq!(told(ask(&mut one.stream, 1, &request).await), E::InvalidShareSessionEpoch.code());
    assert_eq!(one.acknowledge(0, 0, 0, &[ACCEPT]).await, E::InvalidShareSessionEpoch.code());
    let mut stranger = Member { id: "stranger", epoch: 0, ..Member::join(&server, "two").await };
    assert_eq!(stranger.acknowledge(1, 0, 0, &[ACCEPT]).await, E::ShareSessionNotFound.code());
    assert_eq!(one.acknowledge(-1, 0, 0, &[RELEASE]).await, 0);
    assert_eq!(stranger.fetch().await, [(0, 0, 2)]);
    drop(stranger);
    let mut three = Member::join(&server, "three").await;
    assert_eq!(three.fetch().await, [(0, 0, 3)], "its connection ended");
    server.stop().await;
}

/// A copy of the folder while the broker runs is what a kill -9 leaves.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_stays_done_after_a_crash() {
    let server = pool().await;
    let mut one = Member::join(&server, "one").await;
    for values in [&["0", "1"], &["2", "3"], &["4", "5"], &["6", "7"]] {
        produce(&server, "pool", values).await;
    }
    for first in [0, 2, 4] {
        assert_eq!(one.fetch().await, [(first, first + 1, 1)]);
    }
    assert_eq!(one.say(0, 1, &[ACCEPT]).await, 0);
    assert_eq!(one.say(3, 4, &[ACCEPT, REJECT]).await, 0);
    assert_eq!(one.say(5, 5, &[RELEASE]).await, 0);
    let copy = tempfile::tempdir().unwrap();
    copy_folder(server.path(), copy.path());
    server.stop().await;
    let server = Server::start_in(copy, |options| options.share_state_partitions = 2).await;
    let mut two = Member::join(&server, "two").await;
    assert_eq!(two.fetch().await, [(2, 2, 1), (5, 5, 2)], "2 was held, 5 was given back");
    assert_eq!(two.fetch().await, [(6, 7, 1)]);
    assert_eq!(two.say(2, 7, &[ACCEPT, 0, 0, ACCEPT, ACCEPT, ACCEPT]).await, E::InvalidRecordState.code());
    assert_eq!(two.say(5, 7, &[ACCEPT]).await, 0);
    let server = Server::start_in(server.stop().await, |_| {}).await;
    let mut three = Member::join(&server, "three").await;
    assert_eq!(three.fetch().await, [(2, 2, 2)], "its connection ended with the broker");
    server.stop().await;
}

/// So many updates that the log of them is cut, while another partition has not changed for long.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_what_is_done_does_not_grow_for_ever() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), |options| {
        options.share_state_partitions = 1;
    })
    .await;
    admin::create(&server, "pool", 1, &[]).await;
    set_earliest(&server).await;
    produce(&server, "pool", &["0", "1"]).await;
    let mut one = Member::join(&server, "one").await;
    assert_eq!(one.fetch().await, [(0, 1, 1)]);
    assert_eq!(one.say(0, 0, &[ACCEPT]).await, 0);
    for round in 0..700 {
        produce(&server, "pool", &["more"]).await;
        let (first, last) = match one.fetch_saying(&[]).await.0[..] {
            [(first, last, 1)] => (first, last),
            ref given => panic!("{round}: {given:?}"),
        };
        assert_eq!(one.say(first, last, &[ACCEPT]).await, 0);
    }
    let folder = server.path().join("__share_group_state-0");
    let start = std::fs::read_to_string(folder.join("start-offset")).unwrap();
    assert!(start.trim().parse::<i64>().unwrap() > 0, "{start}");
    let server = Server::start_in(server.stop().await, |_| {}).await;
    let mut two = Member::join(&server, "two").await;
    assert_eq!(two.fetch().await, [(1, 1, 2)], "the one that was held all the time");
    server.stop().await;
}

/// One record, in a transaction that is committed or not.
fn transact(server: &Server, commits: bool) {
    let settings = [("transactional.id", "id"), ("linger.ms", "0")];
    let producer: BaseProducer = server.client(&settings).create().unwrap();
    let wait = Duration::from_secs(20);
    producer.init_transactions(wait).unwrap();
    producer.begin_transaction().unwrap();
    let sent = producer.send(BaseRecord::to("pool").partition(0).key("k").payload("v"));
    sent.unwrap_or_else(|(error, _)| panic!("{error}"));
    producer.flush(wait).unwrap();
    match commits {
        true => producer.commit_transaction(wait).unwrap(),
        false => producer.abort_transaction(wait).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_aborted_is_given_to_nobody_who_reads_what_is_committed() {
    let server = pool().await;
    tokio::task::block_in_place(|| {
        transact(&server, false); // 0, and the marker 1
        transact(&server, true); // 2, and the marker 3
    });
    produce(&server, "pool", &["4"]).await;
    let mut one = Member::join(&server, "one").await;
    assert_eq!(one.fetch().await, [(0, 0, 1), (2, 2, 1)]);
    assert_eq!(one.say(0, 0, &[RELEASE]).await, 0);
    assert_eq!(one.say(2, 2, &[RELEASE]).await, 0);
    set(&server, "share.isolation.level", "read_committed").await;
    assert_eq!(one.fetch().await, [(2, 2, 2), (4, 4, 1)]);
    assert_eq!(one.say(2, 4, &[ACCEPT, 0, ACCEPT]).await, E::InvalidRecordState.code(), "3 is nobody's");
    assert_eq!(one.say(2, 2, &[ACCEPT]).await, 0);
    assert_eq!(one.say(4, 4, &[ACCEPT]).await, 0);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert_eq!(described(&mut stream).await, (0, vec![5]));
    server.stop().await;
}

async fn described(stream: &mut TcpStream) -> (i16, Vec<i64>) {
    use describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup as Asked;
    let asked = Asked::default().with_group_id(group()).with_topics(None);
    let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![asked]);
    let answer = ask(stream, 0, &request).await.groups.remove(0);
    let starts = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|at| at.start_offset);
    (answer.error_code, starts.collect())
}

async fn altered(stream: &mut TcpStream, start: i64) -> i16 {
    use alter_share_group_offsets_request::{
        AlterShareGroupOffsetsRequestPartition as Partition, AlterShareGroupOffsetsRequestTopic as Topic,
    };
    let partition = Partition::default().with_start_offset(start);
    let topic = Topic::default().with_topic_name(TopicName(text("pool"))).with_partitions(vec![partition]);
    let request = AlterShareGroupOffsetsRequest::default().with_group_id(group());
    ask(stream, 0, &request.with_topics(vec![topic])).await.error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_move_and_delete() {
    let server = pool().await;
    let mut one = Member::join(&server, "one").await;
    produce(&server, "pool", &["0", "1"]).await;
    assert_eq!(one.fetch().await, [(0, 1, 1)]);
    assert_eq!(one.say(0, 0, &[ACCEPT]).await, 0);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert_eq!(described(&mut stream).await, (0, vec![1]));
    assert_eq!(altered(&mut stream, 0).await, E::NonEmptyGroup.code());
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    assert_eq!(ask(&mut stream, 2, &request).await.results[0].error_code, E::NonEmptyGroup.code());
    one.leave().await;
    assert_eq!(altered(&mut stream, 0).await, 0);
    assert_eq!(described(&mut stream).await, (0, vec![0]));
    let mut two = Member::join(&server, "two").await;
    assert_eq!(two.fetch().await, [(0, 1, 1)], "all of it once more");
    two.leave().await;
    assert_eq!(ask(&mut stream, 2, &request).await.results[0].error_code, 0);
    assert_eq!(described(&mut stream).await.0, E::GroupIdNotFound.code());
    // A topic of the same name is another one.
    let mut three = Member::join(&server, "three").await;
    assert_eq!(three.fetch().await, [(0, 1, 1)]);
    let server = Server::start_in(server.stop().await, |_| {}).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    assert_eq!(described(&mut stream).await, (0, vec![0]));
    server.stop().await;
}
