//! What survives a stop, and a crash.

use std::{fs, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

use super::{Server, admin, produce};

const WAIT: Duration = Duration::from_secs(10);

fn commit(server: &Server, group: &str, offset: i64) {
    let consumer: BaseConsumer = server.client(&[("group.id", group)]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("kept", 1, Offset::Offset(offset)).unwrap();
    list.elements()[0].set_metadata("receipt");
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

fn committed(server: &Server, group: &str) -> (Offset, String) {
    let consumer: BaseConsumer = server.client(&[("group.id", group)]).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("kept", 1);
    let committed = consumer.committed_offsets(list, WAIT).unwrap();
    let element = committed.find_partition("kept", 1).unwrap();
    (element.offset(), element.metadata().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_records_and_offsets_survive_a_stop() {
    let server = Server::start().await;
    admin::create(&server, "kept", 3, &[("retention.bytes", "123456789")]).await;
    produce::send(&server, "kept", 200, &[("enable.idempotence", "true")]).await;
    tokio::task::block_in_place(|| {
        commit(&server, "group-a", 7);
        commit(&server, "group-a", 8);
        commit(&server, "group-b", 9);
    });
    let cluster = fs::read_to_string(server.path().join("meta.properties")).unwrap();
    let server = Server::start_in(server.stop().await, |_| {}).await;
    assert_eq!(fs::read_to_string(server.path().join("meta.properties")).unwrap(), cluster);
    assert_eq!(produce::read_all(&server, "kept", 3).await.len(), 200);
    tokio::task::block_in_place(|| {
        assert_eq!(committed(&server, "group-a"), (Offset::Offset(8), "receipt".to_owned()));
        assert_eq!(committed(&server, "group-b"), (Offset::Offset(9), "receipt".to_owned()));
    });
    produce::send(&server, "kept", 50, &[("enable.idempotence", "true")]).await;
    assert_eq!(produce::read_all(&server, "kept", 3).await.len(), 250);
    server.stop().await;
}

/// A copy of the folder while the broker runs is what a kill -9 leaves: the page cache's view, no goodbye.
#[tokio::test(flavor = "multi_thread")]
async fn topics_records_and_offsets_survive_a_crash() {
    let server = Server::start().await;
    admin::create(&server, "kept", 2, &[]).await;
    produce::send(&server, "kept", 100, &[]).await;
    tokio::task::block_in_place(|| commit(&server, "group", 42));
    let copy = tempfile::tempdir().unwrap();
    copy_folder(server.path(), copy.path());
    server.stop().await;
    let server = Server::start_in(copy, |_| {}).await;
    assert_eq!(produce::read_all(&server, "kept", 2).await.len(), 100);
    tokio::task::block_in_place(|| {
        assert_eq!(committed(&server, "group"), (Offset::Offset(42), "receipt".to_owned()))
    });
    server.stop().await;
}

pub(super) fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_with_its_address() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let refused = crate::Service::start(crate::Options::at(folder.path(), server.addr())).await;
    assert!(matches!(refused, Err(crate::Error::Bind { listen, .. }) if listen == server.addr()));
    server.stop().await;
}
