//! Every advertised version of every key, as bytes over a socket, encoded and decoded by the codec; the shapes against the
//! codec; the documentation page; and bytes that are no requests.

use std::{fs, path::Path, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::*,
    protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{HANDLERS, Handler, handler, handmade, page};
use crate::tests::{Server, batch_of};
use ids::{STRANGER, by_id, first_offset_commit};

mod delegation;
mod denied;
mod ids;
mod resources;
mod shares;
mod streams;
mod throttled;

/// One request as bytes, and what makes sense of its answer.
struct Example {
    key: i16,
    version: i16,
    header_version: i16,
    body: Bytes,
    check_answer: fn(Bytes, i16),
    show_answer: fn(Bytes, i16) -> String,
}

fn example<Q: Request<Response: std::fmt::Debug>>(version: i16, request: &Q) -> Example {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).unwrap_or_else(|error| panic!("key {} v{version}: {error}", Q::KEY));
    Example {
        key: Q::KEY,
        version,
        header_version: Q::header_version(version),
        body: body.freeze(),
        check_answer: |mut answer, version| {
            ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).unwrap();
            Q::Response::decode(&mut answer, version).unwrap();
            assert!(answer.is_empty(), "key {} v{version}: {} bytes too many", Q::KEY, answer.len());
        },
        show_answer: |mut answer, version| {
            ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).unwrap();
            format!("{:?}", Q::Response::decode(&mut answer, version).unwrap())
        },
    }
}

impl Example {
    fn frame(&self, correlation_id: i32) -> Bytes {
        let header = RequestHeader::default()
            .with_request_api_key(self.key)
            .with_request_api_version(self.version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(text("frames")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, self.header_version).unwrap();
        frame.put_slice(&self.body);
        let mut whole = BytesMut::new();
        whole.put_u32(frame.len() as u32);
        whole.put_slice(&frame);
        whole.freeze()
    }
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic(name: &'static str) -> TopicName {
    TopicName(text(name))
}

fn group() -> GroupId {
    GroupId(text("frames-group"))
}

/// The group that has offsets and no members.
fn simple() -> GroupId {
    GroupId(text("simple"))
}

/// A request of each key with something in each of its arrays.
fn examples() -> Vec<Example> {
    let mut all = Vec::new();
    for handler in HANDLERS {
        for version in handler.versions.clone() {
            let made = data_example(handler.key, version)
                .or_else(|| group_example(handler.key, version))
                .or_else(|| consumer_example(handler.key, version))
                .or_else(|| shares::share_example(handler.key, version))
                .or_else(|| streams::streams_example(handler.key, version))
                .or_else(|| transaction_example(handler.key, version))
                .or_else(|| admin_example(handler.key, version))
                .or_else(|| placement_example(handler.key, version))
                .or_else(|| resources::resource_example(handler.key, version))
                .or_else(|| security_example(handler.key, version))
                .or_else(|| delegation::delegation_example(handler.key, version));
            all.push(made.unwrap_or_else(|| panic!("no example of {}", handler.name)));
        }
    }
    all
}

/// The codec does not know it: of partition 0 of `frames`, one offset from the end.
fn first_list_offsets() -> Example {
    let mut body = BytesMut::new();
    body.put_slice(b"\xff\xff\xff\xff\x00\x00\x00\x01\x00\x06frames\x00\x00\x00\x01\x00\x00\x00\x00");
    body.put_i64(-1);
    body.put_i32(1);
    Example {
        key: 2,
        version: 0,
        header_version: 1,
        body: body.freeze(),
        check_answer: |answer, _| {
            // The topic, its partition 0, an error, and as many offsets as it says.
            let head = b"\x00\x00\x00\x01\x00\x06frames\x00\x00\x00\x01\x00\x00\x00\x00";
            assert_eq!((&answer[4..24], answer.len()), (&head[..], 30 + 8 * usize::from(answer[29])));
        },
        show_answer: |answer, _| format!("error_code: {}, {:?}", answer[25], &answer[26..]),
    }
}

fn data_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        0 => {
            use produce_request::{PartitionProduceData, TopicProduceData};
            let partition = PartitionProduceData::default().with_records(Some(batch_of(&[("k", "v")])));
            let mut data = TopicProduceData::default().with_partition_data(vec![partition]);
            match version >= 13 {
                true => data.topic_id = STRANGER,
                false => data.name = topic("frames"),
            }
            let request =
                ProduceRequest::default().with_acks(1).with_timeout_ms(1_000).with_topic_data(vec![data]);
            example(version, &request)
        }
        1 => {
            use fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
            let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
            let partition = if version >= 9 { partition.with_current_leader_epoch(-1) } else { partition };
            let mut wanted = FetchTopic::default().with_partitions(vec![partition]);
            let mut forgotten = ForgottenTopic::default().with_partitions(vec![7]);
            if version >= 13 {
                (wanted.topic_id, forgotten.topic_id) = (STRANGER, STRANGER);
            } else {
                (wanted.topic, forgotten.topic) = (topic("frames"), topic("frames"));
            }
            let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![wanted]);
            let request =
                if version >= 7 { request.with_forgotten_topics_data(vec![forgotten]) } else { request };
            example(version, &request)
        }
        2 if version == 0 => first_list_offsets(),
        2 => {
            use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
            let partition = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(-1);
            let topic =
                ListOffsetsTopic::default().with_name(topic("frames")).with_partitions(vec![partition]);
            example(version, &ListOffsetsRequest::default().with_topics(vec![topic]))
        }
        3 => {
            let wanted = metadata_request::MetadataRequestTopic::default().with_name(Some(topic("frames")));
            let request = MetadataRequest::default()
                .with_topics(Some(vec![wanted]))
                .with_allow_auto_topic_creation(true);
            example(version, &request)
        }
        21 => {
            use delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
            let partitions = vec![DeleteRecordsPartition::default()];
            let topic = DeleteRecordsTopic::default().with_name(topic("frames")).with_partitions(partitions);
            example(version, &DeleteRecordsRequest::default().with_topics(vec![topic]))
        }
        22 => example(version, &InitProducerIdRequest::default().with_transactional_id(None)),
        23 => {
            use offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
            let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
            let topic =
                OffsetForLeaderTopic::default().with_topic(topic("frames")).with_partitions(vec![partition]);
            example(version, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic]))
        }
        _ => return None,
    })
}

fn placement_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        35 => {
            let topic = describe_log_dirs_request::DescribableLogDirTopic::default()
                .with_topic(topic("frames"))
                .with_partitions(vec![0]);
            example(version, &DescribeLogDirsRequest::default().with_topics(Some(vec![topic])))
        }
        43 => {
            let topic = elect_leaders_request::TopicPartitions::default()
                .with_topic(topic("frames"))
                .with_partitions(vec![0, 7]);
            let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]));
            example(version, &if version >= 1 { request.with_election_type(1) } else { request })
        }
        45 => {
            use alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
            let partition = ReassignablePartition::default().with_replicas(Some(vec![BrokerId(1)]));
            let topic =
                ReassignableTopic::default().with_name(topic("frames")).with_partitions(vec![partition]);
            example(version, &AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]))
        }
        46 => {
            let topic = list_partition_reassignments_request::ListPartitionReassignmentsTopics::default()
                .with_name(topic("frames"))
                .with_partition_indexes(vec![0]);
            example(version, &ListPartitionReassignmentsRequest::default().with_topics(Some(vec![topic])))
        }
        75 => {
            use describe_topic_partitions_request::{Cursor, TopicRequest};
            let cursor = Cursor::default().with_topic_name(topic("frames"));
            let request = DescribeTopicPartitionsRequest::default().with_cursor(Some(cursor));
            example(version, &request.with_topics(vec![TopicRequest::default().with_name(topic("frames"))]))
        }
        _ => return None,
    })
}

fn security_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        17 => example(version, &SaslHandshakeRequest::default().with_mechanism(text("PLAIN"))),
        29 => {
            let request = DescribeAclsRequest::default()
                .with_resource_type_filter(2)
                .with_resource_name_filter(Some(text("frames")))
                .with_principal_filter(Some(text("User:alice")));
            example(version, &request.with_operation(1).with_permission_type(1))
        }
        30 => {
            let creation = create_acls_request::AclCreation::default()
                .with_resource_type(2)
                .with_resource_name(text("frames"))
                .with_principal(text("User:alice"))
                .with_host(text("*"));
            let creation = creation.with_operation(3).with_permission_type(3);
            example(version, &CreateAclsRequest::default().with_creations(vec![creation]))
        }
        31 => {
            let filter = delete_acls_request::DeleteAclsFilter::default()
                .with_resource_type_filter(2)
                .with_resource_name_filter(Some(text("frames")));
            let filter = filter.with_operation(1).with_permission_type(1);
            example(version, &DeleteAclsRequest::default().with_filters(vec![filter]))
        }
        36 => example(
            version,
            &SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"token")),
        ),
        48 => {
            let component = describe_client_quotas_request::ComponentData::default()
                .with_entity_type(text("user"))
                .with_match(Some(text("alice")));
            example(version, &DescribeClientQuotasRequest::default().with_components(vec![component]))
        }
        49 => {
            use alter_client_quotas_request::{EntityData, EntryData, OpData};
            let entity =
                EntityData::default().with_entity_type(text("user")).with_entity_name(Some(text("alice")));
            let op = OpData::default().with_key(text("producer_byte_rate")).with_value(1e9);
            let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
            example(version, &AlterClientQuotasRequest::default().with_entries(vec![entry]))
        }
        50 => {
            let user = describe_user_scram_credentials_request::UserName::default().with_name(text("alice"));
            example(version, &DescribeUserScramCredentialsRequest::default().with_users(Some(vec![user])))
        }
        51 => {
            use alter_user_scram_credentials_request::{ScramCredentialDeletion, ScramCredentialUpsertion};
            let deletion = ScramCredentialDeletion::default().with_name(text("bob")).with_mechanism(1);
            let upsertion = ScramCredentialUpsertion::default()
                .with_name(text("alice"))
                .with_mechanism(1)
                .with_iterations(4_096)
                .with_salt(Bytes::from_static(b"salt"))
                .with_salted_password(Bytes::from_static(b"salted"));
            let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion]);
            example(version, &request.with_upsertions(vec![upsertion]))
        }
        _ => return None,
    })
}

fn transaction_example(key: i16, version: i16) -> Option<Example> {
    let id = || TransactionalId(text("frames-id"));
    Some(match key {
        24 => {
            use add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
            let topics =
                vec![AddPartitionsToTxnTopic::default().with_name(topic("frames")).with_partitions(vec![0])];
            let request = AddPartitionsToTxnRequest::default();
            if version < 4 {
                let request =
                    request.with_v3_and_below_transactional_id(id()).with_v3_and_below_topics(topics);
                return Some(example(version, &request));
            }
            let one =
                AddPartitionsToTxnTransaction::default().with_transactional_id(id()).with_topics(topics);
            example(version, &request.with_transactions(vec![one.clone(), one.with_verify_only(true)]))
        }
        25 => example(
            version,
            &AddOffsetsToTxnRequest::default().with_transactional_id(id()).with_group_id(group()),
        ),
        26 => example(version, &EndTxnRequest::default().with_transactional_id(id()).with_committed(true)),
        27 => {
            use write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
            let topic = WritableTxnMarkerTopic::default()
                .with_name(topic("frames"))
                .with_partition_indexes(vec![0, 7]);
            let marker =
                WritableTxnMarker::default().with_producer_id(ProducerId(7)).with_topics(vec![topic]);
            example(version, &WriteTxnMarkersRequest::default().with_markers(vec![marker]))
        }
        28 => {
            use txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
            let partition = TxnOffsetCommitRequestPartition::default()
                .with_committed_offset(3)
                .with_committed_metadata(Some(text("receipt")));
            let topic = TxnOffsetCommitRequestTopic::default()
                .with_name(topic("frames"))
                .with_partitions(vec![partition]);
            let request =
                TxnOffsetCommitRequest::default().with_transactional_id(id()).with_group_id(group());
            example(version, &request.with_topics(vec![topic]))
        }
        61 => {
            let topic = describe_producers_request::TopicRequest::default()
                .with_name(topic("frames"))
                .with_partition_indexes(vec![0, 7]);
            example(version, &DescribeProducersRequest::default().with_topics(vec![topic]))
        }
        65 => example(version, &DescribeTransactionsRequest::default().with_transactional_ids(vec![id()])),
        66 => {
            let request = ListTransactionsRequest::default()
                .with_state_filters(vec![text("Ongoing"), text("Strange")])
                .with_producer_id_filters(vec![ProducerId(7)]);
            let request = if version >= 1 { request.with_duration_filter(5) } else { request };
            let pattern = (version >= 2).then(|| text("frames-.*"));
            example(version, &request.with_transactional_id_pattern(pattern))
        }
        _ => return None,
    })
}

fn group_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        11..=14 => return member_example(key, version),
        8 => {
            use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
            let partition = OffsetCommitRequestPartition::default()
                .with_committed_offset(3)
                .with_committed_metadata(Some(text("receipt")));
            let topic = OffsetCommitRequestTopic::default()
                .with_name(topic("frames"))
                .with_partitions(vec![partition]);
            let request = OffsetCommitRequest::default().with_group_id(simple());
            let request = request.with_generation_id_or_member_epoch(-1).with_topics(vec![topic]);
            if version == 1 { first_offset_commit(&request) } else { by_id(version, &request) }
        }
        9 if version < 8 => {
            let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
                .with_name(topic("frames"))
                .with_partition_indexes(vec![0, 1]);
            example(
                version,
                &OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic])),
            )
        }
        9 => {
            use offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
            let topic = OffsetFetchRequestTopics::default()
                .with_name(topic("frames"))
                .with_partition_indexes(vec![0, 1]);
            let group =
                OffsetFetchRequestGroup::default().with_group_id(simple()).with_topics(Some(vec![topic]));
            let request = OffsetFetchRequest::default().with_groups(vec![group]);
            by_id(version, &request)
        }
        10 if version < 4 => example(version, &FindCoordinatorRequest::default().with_key(text("g"))),
        10 => example(
            version,
            &FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"), text("h")]),
        ),
        15 => example(version, &DescribeGroupsRequest::default().with_groups(vec![group(), simple()])),
        16 => {
            let mut request = ListGroupsRequest::default();
            if version >= 4 {
                request.states_filter = vec![text("Empty")];
            }
            if version >= 5 {
                request.types_filter = vec![text("Classic")];
            }
            example(version, &request)
        }
        42 => example(version, &DeleteGroupsRequest::default().with_groups_names(vec![group()])),
        47 => {
            use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
            let partitions = vec![OffsetDeleteRequestPartition::default()];
            let topic =
                OffsetDeleteRequestTopic::default().with_name(topic("frames")).with_partitions(partitions);
            example(version, &OffsetDeleteRequest::default().with_group_id(group()).with_topics(vec![topic]))
        }
        _ => return None,
    })
}

fn consumer_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        68 => {
            let owned = consumer_group_heartbeat_request::TopicPartitions::default()
                .with_topic_id(STRANGER)
                .with_partitions(vec![0, 1]);
            let request = ConsumerGroupHeartbeatRequest::default()
                .with_group_id(GroupId(text("frames-consumers")))
                .with_member_id(text("m"))
                .with_rack_id(Some(text("rack")))
                .with_server_assignor(Some(text("range")))
                .with_subscribed_topic_names(Some(vec![topic("frames")]))
                .with_topic_partitions(Some(vec![owned]));
            let regex = (version >= 1).then(|| text("fra.*"));
            example(version, &request.with_subscribed_topic_regex(regex))
        }
        69 => {
            let ids = vec![group(), GroupId(text("frames-consumers"))];
            example(version, &ConsumerGroupDescribeRequest::default().with_group_ids(ids))
        }
        _ => return None,
    })
}

fn member_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        11 => {
            let protocol = join_group_request::JoinGroupRequestProtocol::default()
                .with_name(text("range"))
                .with_metadata(Bytes::from_static(b"metadata"));
            let request = JoinGroupRequest::default()
                .with_group_id(GroupId(StrBytes::from_string(format!("join-{version}"))))
                .with_session_timeout_ms(6_000)
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol]);
            let request = if version >= 1 { request.with_rebalance_timeout_ms(6_000) } else { request };
            example(version, &request)
        }
        12 => example(version, &HeartbeatRequest::default().with_group_id(group()).with_member_id(text("m"))),
        13 if version < 3 => example(version, &LeaveGroupRequest::default().with_group_id(group())),
        13 => {
            let member = leave_group_request::MemberIdentity::default().with_member_id(text("m"));
            example(version, &LeaveGroupRequest::default().with_group_id(group()).with_members(vec![member]))
        }
        14 => {
            let assignment =
                sync_group_request::SyncGroupRequestAssignment::default().with_member_id(text("m"));
            example(
                version,
                &SyncGroupRequest::default().with_group_id(group()).with_assignments(vec![assignment]),
            )
        }
        _ => return None,
    })
}

fn admin_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        18 => example(version, &ApiVersionsRequest::default()),
        19 => {
            use create_topics_request::{CreatableTopic, CreatableTopicConfig};
            let config = CreatableTopicConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("9000")));
            let name = TopicName(StrBytes::from_string(format!("made-{version}")));
            let topic =
                CreatableTopic::default().with_name(name).with_num_partitions(2).with_replication_factor(1);
            example(
                version,
                &CreateTopicsRequest::default().with_topics(vec![topic.with_configs(vec![config])]),
            )
        }
        20 if version < 6 => {
            example(version, &DeleteTopicsRequest::default().with_topic_names(vec![topic("gone")]))
        }
        20 => {
            let topic = delete_topics_request::DeleteTopicState::default().with_name(Some(topic("gone")));
            example(version, &DeleteTopicsRequest::default().with_topics(vec![topic]))
        }
        32 => {
            let resource = describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("frames"))
                .with_configuration_keys(Some(vec![text("retention.ms")]));
            example(
                version,
                &DescribeConfigsRequest::default().with_include_synonyms(true).with_resources(vec![resource]),
            )
        }
        33 => {
            use alter_configs_request::{AlterConfigsResource, AlterableConfig};
            let config =
                AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("9000")));
            let resource =
                AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("frames"));
            example(
                version,
                &AlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])]),
            )
        }
        37 => {
            use create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
            let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
            let topic = CreatePartitionsTopic::default().with_name(topic("frames")).with_count(2);
            let topic = topic.with_assignments(Some(vec![assignment]));
            example(version, &CreatePartitionsRequest::default().with_topics(vec![topic]))
        }
        44 => {
            use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
            let config =
                AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("9000")));
            let resource =
                AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("frames"));
            let resources = vec![resource.with_configs(vec![config])];
            example(version, &IncrementalAlterConfigsRequest::default().with_resources(resources))
        }
        60 => {
            let request = DescribeClusterRequest::default();
            example(version, &if version >= 1 { request.with_endpoint_type(1) } else { request })
        }
        _ => return None,
    })
}

async fn read_answer(stream: &mut TcpStream) -> Bytes {
    let length = stream.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.unwrap();
    answer.into()
}

#[tokio::test]
async fn every_advertised_version_is_spoken() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    for (number, example) in examples().iter().enumerate() {
        stream.write_all(&example.frame(number as i32)).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert_eq!(answer[..4], (number as i32).to_be_bytes(), "key {} v{}", example.key, example.version);
        (example.check_answer)(answer, example.version);
    }
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&data_example(3, 4).unwrap().frame(-1)).await.unwrap(); // creates the topic
    read_answer(&mut stream).await;
    let mut frames = BytesMut::new();
    for number in 0..300 {
        let key = if number % 7 == 0 { 3 } else { 0 };
        frames.put_slice(&data_example(key, 8).unwrap().frame(number));
    }
    let (mut input, mut output) = stream.into_split();
    let sent = tokio::spawn(async move { output.write_all(&frames).await.map(|()| output) });
    for number in 0..300 {
        let length = input.read_u32().await.unwrap();
        let mut answer = vec![0; length as usize];
        input.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..4], i32::to_be_bytes(number));
    }
    sent.await.unwrap().unwrap();
    server.stop().await;
}

#[test]
fn shapes_agree_with_the_codec_and_refuse_every_cut() {
    for example in examples() {
        let shape = handler(example.key).unwrap().shape;
        shape
            .check(&example.body, example.version)
            .unwrap_or_else(|e| panic!("{} v{}: {e}", example.key, example.version));
        for end in 0..example.body.len() {
            let cut = shape.check(&example.body[..end], example.version);
            assert!(cut.is_err(), "key {} v{} cut at {end}", example.key, example.version);
        }
        let mut longer = example.body.to_vec();
        longer.push(0);
        assert_eq!(shape.check(&longer, example.version), Ok(()));
    }
}

/// Whatever passes the shape must decode without a panic and without much memory: each byte in turn is made large.
#[test]
fn false_lengths_never_reach_the_codec() {
    for example in examples() {
        let handler = handler(example.key).unwrap();
        for place in 0..example.body.len() {
            for value in [0x7f, 0x80, 0xff] {
                let mut bytes = example.body.to_vec();
                bytes[place] = value;
                if handler.shape.check(&bytes, example.version).is_ok() {
                    decode_any(example.key, example.version, bytes.into());
                }
            }
        }
    }
}

/// What fuzzing begins with: the first and the last version of each key, behind a byte for the key and one for the version's
/// place.
#[test]
fn the_corpus_has_every_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/requests");
    for example in examples() {
        let Handler { name, versions, .. } = handler(example.key).unwrap();
        if example.version != *versions.start() && example.version != *versions.end() {
            continue;
        }
        let path = folder.join(format!("{:02}-{name}", example.key));
        let path = if example.version == *versions.end() { path } else { path.with_extension("first") };
        let head = [example.key as u8, (example.version - versions.start()) as u8];
        let input = [&head[..], &example.body].concat();
        if std::env::var_os("TIDEMILL_WRITE_FIXTURE").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &input).unwrap();
        }
        assert!(path.exists(), "{} is missing: TIDEMILL_WRITE_FIXTURE=1 writes it", path.display());
    }
}

/// Decodes as the handler would; an error is fine, a panic or a huge allocation would end the test.
fn decode_any(key: i16, version: i16, mut bytes: Bytes) {
    macro_rules! decode {
        ($($request:ident)*) => {
            $(if key == <$request as Request>::KEY {
                let _ = $request::decode(&mut bytes, version);
                return;
            })*
        };
    }
    if handmade::read(key, version, bytes.clone()).is_some() {
        return;
    }
    decode!(ShareGroupHeartbeatRequest ShareGroupDescribeRequest ShareFetchRequest ShareAcknowledgeRequest
        DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest
        ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
        FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest DescribeGroupsRequest
        ListGroupsRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest DeleteRecordsRequest
        InitProducerIdRequest OffsetForLeaderEpochRequest DescribeConfigsRequest AlterConfigsRequest
        CreatePartitionsRequest DeleteGroupsRequest IncrementalAlterConfigsRequest OffsetDeleteRequest
        DescribeClusterRequest AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest TxnOffsetCommitRequest
        DescribeProducersRequest DescribeTransactionsRequest ListTransactionsRequest
        DescribeLogDirsRequest ElectLeadersRequest AlterPartitionReassignmentsRequest
        ListPartitionReassignmentsRequest DescribeTopicPartitionsRequest WriteTxnMarkersRequest
        ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest SaslHandshakeRequest
        DescribeClientQuotasRequest AlterClientQuotasRequest
        SaslAuthenticateRequest DescribeAclsRequest CreateAclsRequest DeleteAclsRequest
        DescribeUserScramCredentialsRequest AlterUserScramCredentialsRequest CreateDelegationTokenRequest
        RenewDelegationTokenRequest ExpireDelegationTokenRequest DescribeDelegationTokenRequest
        AlterReplicaLogDirsRequest ListConfigResourcesRequest);
    panic!("no request type for key {key}");
}

#[tokio::test]
async fn a_newer_client_is_told_what_is_spoken() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    // ApiVersions v99, with a header and body that nobody here knows.
    stream.write_all(b"\x00\x00\x00\x0f\x00\x12\x00\x63\x00\x00\x00\x05strange").await.unwrap();
    let mut answer = read_answer(&mut stream).await;
    ResponseHeader::decode(&mut answer, 0).unwrap();
    let response = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!((response.error_code, response.api_keys.len()), (35, HANDLERS.len()));
    assert_eq!((response.api_keys[0].min_version, HANDLERS[0].versions.start()), (0, &3), "as Kafka 4 says");
    server.stop().await;
}

#[tokio::test]
async fn garbage_closes_the_connection_and_nothing_else() {
    let server = Server::start().await;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut frames: Vec<Vec<u8>> = vec![
        b"\xff\xff\xff\xff".to_vec(),
        b"\x7f\xff\xff\xff".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x00\x00\x00\x00".to_vec(),
        b"\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01".to_vec(),
        b"\x00\x00\x00\x0c\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00".to_vec(),
    ];
    for _ in 0..200 {
        let mut body = vec![0, 0, 0, 60, 0];
        for _ in 0..59 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            body.push((seed >> 32) as u8);
        }
        body[5] %= 76; // a key that may exist
        body[6] = 0;
        body[7] %= 14;
        frames.push(body);
    }
    for frame in frames {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&frame).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
    }
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&admin_example(18, 0).unwrap().frame(1)).await.unwrap();
    (admin_example(18, 0).unwrap().check_answer)(read_answer(&mut stream).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_a_place_is_given_back() {
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), |options| options.connections_count_max = 1).await;
    let ask = admin_example(18, 0).unwrap();
    let mut first = TcpStream::connect(server.addr()).await.unwrap();
    first.write_all(&ask.frame(1)).await.unwrap();
    (ask.check_answer)(read_answer(&mut first).await, 0);
    let mut second = TcpStream::connect(server.addr()).await.unwrap();
    let mut answer = Vec::new();
    second.read_to_end(&mut answer).await.ok();
    assert!(answer.is_empty());
    drop(first);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    loop {
        let mut third = TcpStream::connect(server.addr()).await.unwrap();
        third.write_all(&ask.frame(3)).await.ok();
        if third.read_u32().await.is_ok() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the first connection's place is not given back");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_frame_may_come_in_single_bytes() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let ask = data_example(3, 12).unwrap();
    for byte in ask.frame(9).iter() {
        stream.write_all(&[*byte]).await.unwrap();
    }
    (ask.check_answer)(read_answer(&mut stream).await, 12);
    server.stop().await;
}

#[test]
fn handlers_are_sorted_and_each_has_its_file() {
    assert!(HANDLERS.windows(2).all(|pair| pair[0].key < pair[1].key));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('k'))
        .collect();
    files.sort();
    let expected: Vec<String> = HANDLERS.iter().map(|handler| format!("k{:02}_", handler.key)).collect();
    assert_eq!(files.len(), expected.len());
    for (file, start) in files.iter().zip(expected) {
        assert!(file.starts_with(&start), "{file} should be {start}…");
    }
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/kafka-api.md");
    if std::env::var_os("TIDEMILL_WRITE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(stored, page(), "docs/kafka-api.md is out of date: cargo xtask docs");
}
