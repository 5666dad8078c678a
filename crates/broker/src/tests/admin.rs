//! Topics by librdkafka's admin client: creating, growing, describing, changing, deleting; offsets by time.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

use super::Server;

const WAIT: Duration = Duration::from_secs(10);

pub(super) fn admin(server: &Server) -> AdminClient<DefaultClientContext> {
    server.client(&[]).create().unwrap()
}

/// Creates a topic; the answer is Kafka's error code.
pub(super) async fn create(
    server: &Server,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Option<RDKafkaErrorCode> {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (name, value) in configs {
        topic = topic.set(name, value);
    }
    let made = admin(server).create_topics([&topic], &AdminOptions::new()).await.unwrap();
    made[0].as_ref().err().map(|(_, code)| *code)
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_grown_and_deleted() {
    let server = Server::start().await;
    assert_eq!(create(&server, "flights", 6, &[("cleanup.policy", "compact")]).await, None);
    assert_eq!(create(&server, "flights", 6, &[]).await, Some(RDKafkaErrorCode::TopicAlreadyExists));
    assert_eq!(create(&server, "bad name", 1, &[]).await, Some(RDKafkaErrorCode::InvalidTopic));
    assert_eq!(create(&server, "a.b", 1, &[]).await, None);
    assert_eq!(create(&server, "a_b", 1, &[]).await, Some(RDKafkaErrorCode::InvalidTopic));
    assert_eq!(
        create(&server, "odd", 1, &[("retention.msec", "1")]).await,
        Some(RDKafkaErrorCode::InvalidConfig)
    );
    assert_eq!(
        create(&server, "odd", 1, &[("retention.ms", "soon")]).await,
        Some(RDKafkaErrorCode::InvalidConfig)
    );
    let client = admin(&server);
    let grown =
        client.create_partitions([&NewPartitions::new("flights", 8)], &AdminOptions::new()).await.unwrap();
    assert!(grown[0].is_ok());
    let shrunk =
        client.create_partitions([&NewPartitions::new("flights", 2)], &AdminOptions::new()).await.unwrap();
    assert_eq!(shrunk[0].as_ref().unwrap_err().1, RDKafkaErrorCode::InvalidPartitions);
    let metadata = client.inner().fetch_metadata(Some("flights"), WAIT).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 8);
    assert_eq!((metadata.brokers()[0].id(), metadata.orig_broker_id() != 0), (1, true));
    let deleted = client.delete_topics(&["flights", "nowhere"], &AdminOptions::new()).await.unwrap();
    assert!(deleted[0].is_ok());
    assert_eq!(deleted[1].as_ref().unwrap_err().1, RDKafkaErrorCode::UnknownTopicOrPartition);
    let left: Vec<String> = client
        .inner()
        .fetch_metadata(None, WAIT)
        .unwrap()
        .topics()
        .iter()
        .map(|topic| topic.name().to_owned())
        .collect();
    assert_eq!(left, ["a.b"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_is_empty() {
    let server = Server::start().await;
    super::produce::send(&server, "again", 10, &[]).await;
    admin(&server).delete_topics(&["again"], &AdminOptions::new()).await.unwrap();
    assert_eq!(create(&server, "again", 1, &[]).await, None);
    super::produce::send(&server, "again", 3, &[]).await;
    assert_eq!(super::produce::read_all(&server, "again", 1).await.len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_described_and_changed() {
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), |options| options.segment_bytes = 1 << 20).await;
    create(&server, "set", 1, &[("retention.ms", "1000")]).await;
    let client = admin(&server);
    let value = async |name: &'static str| {
        let described =
            client.describe_configs([&ResourceSpecifier::Topic("set")], &AdminOptions::new()).await.unwrap();
        let entry = described[0].as_ref().unwrap().get(name).unwrap();
        (entry.value.clone().unwrap(), format!("{:?}", entry.source))
    };
    assert_eq!(value("retention.ms").await, ("1000".to_owned(), "DynamicTopic".to_owned()));
    assert_eq!(value("segment.bytes").await, ("1048576".to_owned(), "StaticBroker".to_owned()));
    assert_eq!(value("cleanup.policy").await, ("delete".to_owned(), "Default".to_owned()));
    let change = AlterConfig::new(ResourceSpecifier::Topic("set")).set("retention.bytes", "5000");
    let changed = client.alter_configs([&change], &AdminOptions::new()).await.unwrap();
    assert!(changed[0].is_ok());
    assert_eq!(value("retention.bytes").await.0, "5000");
    assert_eq!(value("retention.ms").await, ("604800000".to_owned(), "Default".to_owned()));
    let wrong = AlterConfig::new(ResourceSpecifier::Topic("set")).set("retention.bytes", "lots");
    let _ = client.alter_configs([&wrong], &AdminOptions::new()).await.unwrap(); // rdkafka does not tell the refusal
    assert_eq!(value("retention.bytes").await.0, "5000");
    let broker =
        client.describe_configs([&ResourceSpecifier::Broker(1)], &AdminOptions::new()).await.unwrap();
    assert_eq!(broker[0].as_ref().unwrap().get("num.partitions").unwrap().value.as_deref(), Some("1"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_topics_have_from_the_broker_is_changed_while_it_runs() {
    let server = Server::start().await;
    create(&server, "plain", 1, &[]).await;
    create(&server, "own", 1, &[("max.message.bytes", "1048588")]).await;
    let value = async |server: &Server| {
        let topic = ResourceSpecifier::Topic("plain");
        let described = admin(server).describe_configs([&topic], &AdminOptions::new()).await.unwrap();
        let entry = described[0].as_ref().unwrap().get("max.message.bytes").unwrap();
        (entry.value.clone().unwrap(), format!("{:?}", entry.source))
    };
    let alter = async |server: &Server, change: AlterConfig<'_>| {
        assert!(admin(server).alter_configs([&change], &AdminOptions::new()).await.unwrap()[0].is_ok());
    };
    alter(&server, AlterConfig::new(ResourceSpecifier::Broker(1)).set("message.max.bytes", "500")).await;
    let changed = ("500".to_owned(), "DynamicBroker".to_owned());
    assert_eq!(value(&server).await, changed);
    let producer: FutureProducer = server.client(&[]).create().unwrap();
    let send = async |topic: &str| {
        let payload = "x".repeat(1_000);
        let record = FutureRecord::<str, str>::to(topic).payload(&payload);
        producer.send(record, Timeout::After(WAIT)).await.map_err(|(error, _)| error.rdkafka_error_code())
    };
    assert_eq!(send("plain").await.unwrap_err(), Some(RDKafkaErrorCode::MessageSizeTooLarge));
    assert!(send("own").await.is_ok());
    let server = Server::start_in(server.stop().await, |_| {}).await;
    assert_eq!(value(&server).await, changed, "it is kept");
    alter(&server, AlterConfig::new(ResourceSpecifier::Broker(1))).await;
    assert_eq!(value(&server).await, ("1048588".to_owned(), "Default".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_time() {
    let server = Server::start().await;
    let producer: FutureProducer = server.client(&[]).create().unwrap();
    for (number, time_ms) in [1_000, 2_000, 2_000, 5_000].into_iter().enumerate() {
        let value = number.to_string();
        let record =
            FutureRecord::<str, str>::to("timed").payload(&value).timestamp(1_600_000_000_000 + time_ms);
        producer.send(record, Timeout::After(WAIT)).await.unwrap();
    }
    let consumer: BaseConsumer = server.client(&[("group.id", "timed")]).create().unwrap();
    let found = tokio::task::spawn_blocking(move || {
        let mut found = vec![];
        for time_ms in [0, 1_001, 2_000, 4_999, 5_001] {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset("timed", 0, Offset::Offset(1_600_000_000_000 + time_ms)).unwrap();
            let offsets = consumer.offsets_for_times(list, WAIT).unwrap();
            found.push(offsets.find_partition("timed", 0).unwrap().offset());
        }
        (found, consumer.fetch_watermarks("timed", 0, WAIT).unwrap())
    });
    let (found, watermarks) = found.await.unwrap();
    let expected = [Offset::Offset(0), Offset::Offset(1), Offset::Offset(1), Offset::Offset(3), Offset::End];
    assert_eq!((found.as_slice(), watermarks), (&expected[..], (0, 4)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_deleted_up_to_an_offset() {
    let server = Server::start().await;
    super::produce::send(&server, "cut", 10, &[]).await;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("cut", 0, Offset::Offset(4)).unwrap();
    admin(&server).delete_records(&list, &AdminOptions::new()).await.unwrap();
    let found = super::produce::read_all(&server, "cut", 1).await;
    assert_eq!((found.len(), rdkafka::Message::offset(&found[0])), (6, 4));
    server.stop().await;
}
