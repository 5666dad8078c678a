//! Requests of share groups.

use super::*;

/// A version that the codec does not write: of the last one that it does, with these bytes in their place.
fn newer<Q: Request<Response: std::fmt::Debug>>(
    known: i16,
    version: i16,
    request: &Q,
    behind: usize,
    more: &[u8],
) -> Example {
    let before = example(known, request);
    if version == known {
        return before;
    }
    let at = 1 + b"frames-sharers".len() + 1 + b"m".len() + behind;
    let at = if more.is_empty() { 0 } else { at };
    let body = [&before.body[..at], more, &before.body[at..]].concat();
    Example { version, body: body.into(), ..before }
}

fn shared() -> GroupId {
    GroupId(text("frames-sharers"))
}

pub(super) fn share_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        76 => {
            let request = ShareGroupHeartbeatRequest::default()
                .with_group_id(shared())
                .with_member_id(text("m"))
                .with_rack_id(Some(text("rack")))
                .with_subscribed_topic_names(Some(vec![topic("frames")]));
            example(version, &request)
        }
        77 => example(version, &ShareGroupDescribeRequest::default().with_group_ids(vec![group(), shared()])),
        78 => {
            use share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic};
            let batch = AcknowledgementBatch::default()
                .with_first_offset(1)
                .with_last_offset(2)
                .with_acknowledge_types(vec![1, 3]);
            let partition = FetchPartition::default().with_acknowledgement_batches(vec![batch]);
            let topic = FetchTopic::default().with_topic_id(STRANGER).with_partitions(vec![partition]);
            let forgotten = ForgottenTopic::default().with_topic_id(STRANGER).with_partitions(vec![7]);
            let request = ShareFetchRequest::default()
                .with_group_id(Some(shared()))
                .with_member_id(Some(text("m")))
                .with_max_records(500)
                .with_topics(vec![topic])
                .with_forgotten_topics_data(vec![forgotten]);
            Example {
                check_answer: |answer, _| _ = ShareFetchResponse::decode(&mut answer.slice(5..), 1).unwrap(),
                show_answer: |answer, _| {
                    format!("{:?}", ShareFetchResponse::decode(&mut answer.slice(5..), 1).unwrap())
                },
                ..newer(1, version, &request, 24, &[1, 0])
            }
        }
        79 => return acknowledge_example(version),
        90..=92 => return offsets_example(key, version),
        _ => return None,
    })
}

fn acknowledge_example(version: i16) -> Option<Example> {
    use share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch};
    let batch = AcknowledgementBatch::default().with_acknowledge_types(vec![1]);
    let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
    let topic = AcknowledgeTopic::default().with_topic_id(STRANGER).with_partitions(vec![partition]);
    let request = ShareAcknowledgeRequest::default()
        .with_group_id(Some(shared()))
        .with_member_id(Some(text("m")))
        .with_topics(vec![topic]);
    let made = newer(1, version, &request, 4, &[1]);
    Some(match version {
        1 => made,
        _ => Example {
            // The throttle time, the error, no message, the time of a lock, nothing else.
            check_answer: |answer, _| {
                assert_eq!(&answer[5..9], &[0; 4]);
                assert_eq!(&answer[11..], b"\x00\x00\x00\x75\x30\x01\x01\x00");
            },
            show_answer: |answer, _| format!("error_code: {},", answer[10]),
            ..made
        },
    })
}

fn offsets_example(key: i16, version: i16) -> Option<Example> {
    Some(match key {
        90 => {
            use describe_share_group_offsets_request::{
                DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
            };
            let topic = DescribeShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic("frames"))
                .with_partitions(vec![0, 7]);
            let group = DescribeShareGroupOffsetsRequestGroup::default().with_group_id(shared());
            let groups = vec![group.with_topics(Some(vec![topic]))];
            let request = DescribeShareGroupOffsetsRequest::default().with_groups(groups);
            let made = newer(0, version, &request, 0, &[]);
            match version {
                0 => made,
                _ => Example {
                    // One group; where it is denied, without topics, and why.
                    check_answer: |answer, _| assert_eq!(&answer[9..25], b"\x02\x0fframes-sharers"),
                    show_answer: |answer, _| format!("error_code: {},", answer[27]),
                    ..made
                },
            }
        }
        91 => {
            use alter_share_group_offsets_request::{
                AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
            };
            let partition = AlterShareGroupOffsetsRequestPartition::default().with_start_offset(3);
            let topic = AlterShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic("frames"))
                .with_partitions(vec![partition]);
            let request = AlterShareGroupOffsetsRequest::default().with_group_id(shared());
            example(version, &request.with_topics(vec![topic]))
        }
        92 => {
            let topic = delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic::default()
                .with_topic_name(topic("frames"));
            let request = DeleteShareGroupOffsetsRequest::default().with_group_id(shared());
            example(version, &request.with_topics(vec![topic]))
        }
        _ => return None,
    })
}
