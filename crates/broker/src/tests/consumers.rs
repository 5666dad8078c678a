//! Consumer groups with librdkafka: sharing, rebalancing, static members, commits with metadata, deletion.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::RDKafkaErrorCode,
};

use super::Server;

const WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

fn member(server: &Server, group: &str, more: &[(&str, &str)]) -> BaseConsumer {
    let mut settings = vec![
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "100"),
        ("topic.metadata.refresh.interval.ms", "1000"),
    ];
    settings.extend(more);
    let consumer: BaseConsumer = server.client(&settings).create().unwrap();
    consumer.subscribe(&["shared"]).unwrap();
    consumer
}

fn assigned(consumer: &BaseConsumer) -> BTreeSet<i32> {
    consumer.assignment().unwrap().elements().iter().map(|element| element.partition()).collect()
}

/// Polls all until their assignments have these sizes, in any order; gives what was read.
fn settle(members: &[&BaseConsumer], mut sizes: Vec<usize>) -> usize {
    sizes.sort_unstable();
    let deadline = Instant::now() + WAIT;
    let mut read = 0;
    loop {
        for consumer in members {
            if let Some(Ok(_)) = consumer.poll(POLL) {
                read += 1;
            }
        }
        let mut now: Vec<usize> = members.iter().map(|consumer| assigned(consumer).len()).collect();
        now.sort_unstable();
        let all: BTreeSet<i32> = members.iter().flat_map(|consumer| assigned(consumer)).collect();
        if now == sizes && all.len() == sizes.iter().sum::<usize>() {
            return read;
        }
        assert!(Instant::now() < deadline, "assignments are {now:?}, not {sizes:?}");
    }
}

async fn shared_topic() -> Server {
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), |options| options.partitions_default = 6).await;
    super::produce::send(&server, "shared", 300, &[]).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_and_rebalance() {
    let server = shared_topic().await;
    tokio::task::block_in_place(|| {
        let first = member(&server, "sharing", &[]);
        settle(&[&first], vec![6]);
        let second = member(&server, "sharing", &[]);
        settle(&[&first, &second], vec![3, 3]);
        let third = member(&server, "sharing", &[]);
        settle(&[&first, &second, &third], vec![2, 2, 2]);
        drop(second); // leaves
        settle(&[&first, &third], vec![3, 3]);
        first.unsubscribe();
        settle(&[&third], vec![6]);
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cooperative_members_rebalance_too() {
    let server = shared_topic().await;
    tokio::task::block_in_place(|| {
        let more = [("partition.assignment.strategy", "cooperative-sticky")];
        let first = member(&server, "cooperative", &more);
        settle(&[&first], vec![6]);
        let second = member(&server, "cooperative", &more);
        settle(&[&first, &second], vec![3, 3]);
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_read_once_over_commits() {
    let server = shared_topic().await;
    tokio::task::block_in_place(|| {
        let mut seen: BTreeMap<(i32, i64), usize> = BTreeMap::new();
        while seen.len() < 300 {
            let consumer = member(&server, "committing", &[]);
            let mut read = 0;
            let deadline = Instant::now() + WAIT;
            while read < 100 && seen.len() < 300 {
                assert!(Instant::now() < deadline, "{} read", seen.len());
                if let Some(message) = consumer.poll(POLL) {
                    let message = message.unwrap();
                    *seen.entry((message.partition(), message.offset())).or_default() += 1;
                    consumer.commit_message(&message, CommitMode::Sync).unwrap();
                    read += 1;
                }
            }
        }
        assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_comes_back_without_a_rebalance() {
    let server = shared_topic().await;
    tokio::task::block_in_place(|| {
        let first = member(&server, "static", &[("group.instance.id", "one")]);
        let second = member(&server, "static", &[("group.instance.id", "two")]);
        settle(&[&first, &second], vec![3, 3]);
        let (before, theirs) = (assigned(&second), assigned(&first));
        drop(second); // a static member does not leave
        let second = member(&server, "static", &[("group.instance.id", "two")]);
        settle(&[&first, &second], vec![3, 3]);
        assert_eq!((assigned(&second), assigned(&first)), (before, theirs));
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_kept_with_the_offset() {
    let server = shared_topic().await;
    tokio::task::block_in_place(|| {
        let consumer: BaseConsumer = server.client(&[("group.id", "receipts")]).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("shared", 2, Offset::Offset(17)).unwrap();
        list.elements()[0].set_metadata("receipt-é");
        consumer.commit(&list, CommitMode::Sync).unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition("shared", 2);
        asked.add_partition("shared", 3);
        let committed = consumer.committed_offsets(asked, WAIT).unwrap();
        let found = committed.find_partition("shared", 2).unwrap();
        assert_eq!((found.offset(), found.metadata()), (Offset::Offset(17), "receipt-é"));
        assert_eq!(committed.find_partition("shared", 3).unwrap().offset(), Offset::Invalid);
        list.elements()[0].set_metadata("x".repeat(5_000));
        let refused = consumer.commit(&list, CommitMode::Sync).unwrap_err();
        assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::OffsetMetadataTooLarge));
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_described_and_deleted() {
    let server = shared_topic().await;
    let consumer = tokio::task::block_in_place(|| {
        let consumer = member(&server, "listed", &[]);
        settle(&[&consumer], vec![6]);
        consumer
    });
    let admin: AdminClient<DefaultClientContext> = server.client(&[]).create().unwrap();
    tokio::task::block_in_place(|| {
        let list = admin.inner().fetch_group_list(None, WAIT).unwrap();
        let group = list.groups().iter().find(|group| group.name() == "listed").unwrap();
        assert_eq!((group.state(), group.protocol_type(), group.protocol()), ("Stable", "consumer", "range"));
        let member = &group.members()[0];
        assert_eq!((member.client_id(), member.client_host()), ("rdkafka", "/127.0.0.1"));
        assert!(member.assignment().is_some_and(|assignment| !assignment.is_empty()));
    });
    let refused = admin.delete_groups(&["listed"], &AdminOptions::new()).await.unwrap();
    assert_eq!(refused[0].as_ref().unwrap_err().1, RDKafkaErrorCode::NonEmptyGroup);
    drop(consumer);
    let deleted = admin.delete_groups(&["listed", "nobody"], &AdminOptions::new()).await.unwrap();
    assert!(deleted[0].is_ok(), "{:?}", deleted[0]);
    assert_eq!(deleted[1].as_ref().unwrap_err().1, RDKafkaErrorCode::GroupIdNotFound);
    server.stop().await;
}
