//! Requests of streams groups, which the codec does not know.

use super::*;
use crate::groups::streams::{
    Endpoint, Tasks,
    records::{put_endpoint, put_pairs, put_tasks, put_topology},
    topology::{CopartitionGroup, Subtopology, TopicInfo, Topology},
};

const GROUP: &str = "frames-streams";

pub(super) fn streams_example(key: i16, _: i16) -> Option<Example> {
    match key {
        88 => Some(Example {
            key,
            version: 0,
            header_version: 2,
            body: heartbeat(),
            check_answer: |answer, _| assert_eq!(answer[4..11], [0; 7], "no tags, no throttling, no error"),
            show_answer: |answer, _| format!("error_code: {},", i16::from_be_bytes([answer[9], answer[10]])),
        }),
        89 => {
            let groups = vec![GroupId(text(GROUP)), group()];
            let request = ShareGroupDescribeRequest::default().with_group_ids(groups);
            Some(Example {
                key,
                version: 0,
                check_answer: |answer, _| assert_eq!(answer[4..10], [0, 0, 0, 0, 0, 3], "two groups"),
                show_answer: |answer, _| {
                    format!("error_code: {},", i16::from_be_bytes([answer[10], answer[11]]))
                },
                ..example(1, &request)
            })
        }
        _ => None,
    }
}

fn heartbeat() -> Bytes {
    let put_text = |out: &mut BytesMut, text: &str| {
        out.put_u8(text.len() as u8 + 1);
        out.put_slice(text.as_bytes());
    };
    let mut out = BytesMut::new();
    put_text(&mut out, GROUP);
    put_text(&mut out, "m");
    out.put_i32(0); // it joins
    out.put_i32(-1);
    out.put_u8(0); // no instance
    put_text(&mut out, "rack");
    out.put_i32(60_000);
    out.put_i8(1);
    put_topology(&mut out, &topology());
    [(); 3].iter().for_each(|()| put_tasks(&mut out, &Tasks::new()));
    put_text(&mut out, "process");
    put_endpoint(&mut out, Some(&Endpoint { host: "here".to_owned(), port: 8_080 }));
    put_pairs(&mut out, [("zone", "a")].into_iter());
    out.put_slice(&[0, 0, 0, 0]); // no offsets of either kind, nothing shuts down, no tags
    out.freeze()
}

fn topology() -> Topology {
    let log = TopicInfo {
        name: "frames-log".to_owned(),
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
        ..TopicInfo::default()
    };
    let one = Subtopology {
        source_topics: vec!["frames".to_owned()],
        state_changelog_topics: vec![log],
        copartition_groups: vec![CopartitionGroup { source_topics: vec![0], ..CopartitionGroup::default() }],
        ..Subtopology::default()
    };
    Topology { epoch: 0, subtopologies: [("0".to_owned(), one)].into() }
}

#[test]
fn a_heartbeat_is_read_as_it_was_written() {
    let (group, beat) = handmade::streams_group_heartbeat(heartbeat()).unwrap();
    assert_eq!((&*group, &*beat.member_id, beat.rack_id.as_deref()), (GROUP, "m", Some("rack")));
    assert_eq!((beat.topology, beat.rebalance_timeout_ms), (Some(topology()), Some(60_000)));
    assert_eq!(beat.endpoint, Some(Endpoint { host: "here".to_owned(), port: 8_080 }));
    assert_eq!(beat.tags.unwrap()["zone"], "a");
    assert!(!beat.tells_offsets && !beat.shuts_down);
}
