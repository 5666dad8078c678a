//! Producing and reading back with librdkafka: acks, compressions, idempotence, headers, tombstones, limits.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, Headers, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};

use super::Server;

const WAIT: Duration = Duration::from_secs(10);

/// Sends `count` records with the keys and values of their numbers, and waits for all.
pub(super) async fn send(server: &Server, topic: &str, count: usize, more: &[(&str, &str)]) {
    let producer: FutureProducer = server.client(more).create().unwrap();
    let mut sent = Vec::new();
    for number in 0..count {
        let (key, value) = (format!("key-{number}"), format!("value-{number}"));
        let record = FutureRecord::to(topic).key(&key).payload(&value);
        sent.push(producer.send_result(record).unwrap_or_else(|(error, _)| panic!("{error}")));
    }
    producer.flush(Timeout::After(WAIT)).unwrap();
    for delivery in sent {
        delivery.await.unwrap().unwrap_or_else(|(error, _)| panic!("{error}"));
    }
}

/// Everything in partition 0..`partitions` from the beginning to the present end.
pub(super) async fn read_all(server: &Server, topic: &str, partitions: i32) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = server
        .client(&[
            ("group.id", "reader"),
            ("enable.partition.eof", "true"),
            ("check.crcs", "true"),
            ("fetch.wait.max.ms", "10"),
        ])
        .create()
        .unwrap();
    let topic = topic.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut found, mut ends) = (Vec::new(), 0);
        while ends < partitions {
            match consumer.poll(WAIT).expect("an end within the time") {
                Ok(message) => found.push(message.detach()),
                Err(KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
        found
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compression_and_acks_comes_back_as_sent() {
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), |options| options.partitions_default = 3).await;
    for (place, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let acks = ["1", "all", "all", "1", "all"][place];
        let idempotent = if acks == "all" { "true" } else { "false" };
        let topic = format!("t-{codec}");
        let more = [
            ("compression.codec", codec),
            ("acks", acks),
            ("enable.idempotence", idempotent),
            ("linger.ms", "5"),
        ];
        send(&server, &topic, 500, &more).await;
        let found = read_all(&server, &topic, 3).await;
        let pairs: BTreeMap<&[u8], &[u8]> =
            found.iter().map(|message| (message.key().unwrap(), message.payload().unwrap())).collect();
        assert_eq!((found.len(), pairs.len()), (500, 500), "{codec}");
        assert_eq!(pairs[&b"key-499"[..]], b"value-499");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_0_arrives_too() {
    let server = Server::start().await;
    send(&server, "quiet", 100, &[("acks", "0")]).await;
    let consumer: BaseConsumer = server.client(&[("group.id", "quiet")]).create().unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        for _ in 0..1_000 {
            if consumer.fetch_watermarks("quiet", 0, WAIT).unwrap() == (0, 100) {
                return true;
            }
        }
        false
    });
    assert!(ended.await.unwrap());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_tombstones_and_times_are_kept() {
    let server = Server::start().await;
    let producer: FutureProducer = server.client(&[]).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "same", value: Some("1") })
        .insert(Header { key: "same", value: None::<&str> });
    let record = FutureRecord::<str, str>::to("kept").key("k").headers(headers).timestamp(1_600_000_000_123);
    let delivery = producer.send(record, Timeout::After(WAIT)).await.unwrap();
    assert_eq!((delivery.partition, delivery.offset), (0, 0));
    let found = read_all(&server, "kept", 1).await;
    assert_eq!(found[0].payload(), None);
    assert_eq!(found[0].timestamp().to_millis(), Some(1_600_000_000_123));
    let headers: Vec<_> =
        found[0].headers().unwrap().iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers, [("same", Some(&b"1"[..])), ("same", None)]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_unknown_is_refused() {
    let server = Server::start_in(tempfile::tempdir().unwrap(), |options| {
        options.batch_bytes_max = 10_000;
        options.auto_create_topics = false;
    })
    .await;
    super::admin::create(&server, "small", 1, &[]).await;
    let producer: FutureProducer =
        server.client(&[("topic.metadata.propagation.max.ms", "100")]).create().unwrap();
    let large = "x".repeat(20_000);
    let refused =
        producer.send(FutureRecord::to("small").key("k").payload(&large), Timeout::After(WAIT)).await;
    let code = refused.unwrap_err().0.rdkafka_error_code();
    assert_eq!(code, Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let refused =
        producer.send(FutureRecord::to("nowhere").key("k").payload("v"), Timeout::After(WAIT)).await;
    let code = refused.unwrap_err().0.rdkafka_error_code();
    assert!(
        matches!(code, Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)),
        "{code:?}"
    );
    server.stop().await;
}
