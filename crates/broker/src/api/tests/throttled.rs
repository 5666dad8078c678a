//! What clients are told who have partitions made and deleted faster than their quota allows: those of new versions are refused,
//! those of old ones wait afterwards.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::*;

/// One partition a second, and eleven at once.
const QUOTA: &str = r#"{"version":1,"quotas":[{"entity":{"client_id":{"name":"frames"}},"values":{"controller_mutation_rate":1}}]}"#;

fn creation(version: i16, name: &'static str, partitions: i32) -> Example {
    let wanted = create_topics_request::CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    example(version, &CreateTopicsRequest::default().with_topics(vec![wanted]))
}

fn deletion(version: i16, name: &'static str) -> Example {
    example(version, &DeleteTopicsRequest::default().with_topic_names(vec![topic(name)]))
}

fn growth(version: i16, name: &'static str, count: i32) -> Example {
    let wanted = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic(name))
        .with_assignments(None)
        .with_count(count);
    example(version, &CreatePartitionsRequest::default().with_topics(vec![wanted]))
}

/// On a connection of its own, as one that has to wait is not read from: the error's code, and whether he has to wait.
async fn told(server: &Server, request: &Example) -> (i16, bool) {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&request.frame(1)).await.unwrap();
    let said = (request.show_answer)(read_answer(&mut stream).await, request.version);
    let number = |name: &str| -> i64 {
        let rest = said.split(name).nth(1).unwrap_or_else(|| panic!("{said}"));
        rest.split([',', ' ', '}']).next().unwrap().parse().unwrap()
    };
    (number("error_code: ") as i16, number("throttle_time_ms: ") > 0)
}

#[tokio::test]
async fn new_clients_are_refused_and_old_ones_wait() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("quotas.json"), QUOTA).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    assert_eq!(told(&server, &creation(7, "first", 100)).await, (0, false)); // there were tokens when it began
    let exceeded = 89;
    for refused in [creation(6, "second", 1), growth(3, "first", 101), deletion(5, "first")] {
        assert_eq!(told(&server, &refused).await, (exceeded, true), "key {}", refused.key);
    }
    for served in [creation(5, "second", 1), growth(2, "first", 101), deletion(4, "first")] {
        assert_eq!(told(&server, &served).await, (0, true), "key {}", served.key);
    }
    let only_asks = CreateTopicsRequest::default().with_validate_only(true).with_topics(vec![
        create_topics_request::CreatableTopic::default()
            .with_name(topic("third"))
            .with_num_partitions(1)
            .with_replication_factor(1),
    ]);
    assert_eq!(told(&server, &example(7, &only_asks)).await, (0, false));
    server.stop().await;
}
