//! Records from topics into objects, through every converter and format, over restarts, with dead letters.

use std::{collections::BTreeMap, path::Path};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{Headers, Message},
    producer::{FutureProducer, FutureRecord},
};

use super::*;

impl World {
    pub(super) async fn create_topic(&self, topic: &str, partitions_count: i32) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.kafka).create().unwrap();
        let new = NewTopic::new(topic, partitions_count, TopicReplication::Fixed(1));
        admin.create_topics(&[new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    /// Sends values without keys to partition 0, with timestamps one second apart.
    pub(super) async fn send(&self, topic: &str, values: &[Option<Vec<u8>>]) {
        let producer: FutureProducer =
            ClientConfig::new().set("bootstrap.servers", &self.kafka).set("linger.ms", "0").create().unwrap();
        for (number, value) in values.iter().enumerate() {
            let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(topic)
                .partition(0)
                .timestamp(1_700_000_000_000 + 1_000 * number as i64)
                .key("k");
            record.payload = value.as_deref();
            producer.send(record, Duration::from_secs(10)).await.unwrap();
        }
    }

    pub(super) async fn send_texts(&self, topic: &str, values: &[&str]) {
        let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes().to_vec())).collect();
        self.send(topic, &values).await;
    }

    /// Makes a connector of `config()` with these changes, and its store at our endpoint.
    pub(super) async fn sink(&self, name: &str, changes: &[(&str, Value)]) {
        let mut config = with(changes);
        config["store.url"] = json!(self.s3);
        let (status, body) = self.call("POST /connectors", json!({"name": name, "config": config})).await;
        assert_eq!(status, 201, "{body:#}");
    }

    /// The objects of the bucket as they lie on the disk, by key.
    pub(super) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.folder.path().join("s3").join("lake");
        let mut found = BTreeMap::new();
        collect(&root, &root, &mut found);
        found
    }

    /// Waits for that many objects; gives them as text.
    pub(super) async fn objects_text(&self, count: usize) -> BTreeMap<String, String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut turn = tokio::time::interval(Duration::from_millis(20));
        loop {
            let objects = self.objects();
            if objects.len() >= count {
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return objects.into_iter().map(|(key, bytes)| (key, text(bytes))).collect();
            }
            if Instant::now() >= deadline {
                let (_, status) = self.call("GET /connectors?expand=status", Value::Null).await;
                panic!("{count} objects wanted: {:?} {status:#}", objects.keys());
            }
            turn.tick().await;
        }
    }

    /// Waits until a task has failed; gives its trace.
    async fn trace(&self, name: &str) -> String {
        let failed = |body: &Value| body["tasks"][0]["state"] == "FAILED";
        let status = self.until(&format!("GET /connectors/{name}/status"), failed).await;
        status["tasks"][0]["trace"].as_str().unwrap().to_owned()
    }
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(root, &path, found);
        } else if !name.starts_with('.') {
            let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.insert(key, std::fs::read(&path).unwrap_or_default());
        }
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{{\"n\": {number}}}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_lie_where_confluents_sink_puts_them() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    let lines = numbered(7);
    world.send_texts("flights", &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.sink("s3", &[("topics.dir", json!("kafka/some-sub-dir"))]).await;
    let objects = world.objects_text(2).await;
    let key = |offset: &str| format!("kafka/some-sub-dir/flights/partition=0/flights+0+{offset}.json");
    let line = |numbers: &[u32]| numbers.iter().map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    assert_eq!(
        objects,
        [(key("0000000000"), line(&[0, 1, 2])), (key("0000000003"), line(&[3, 4, 5]))].into_iter().collect()
    );
    let committed = |body: &Value| body["offsets"][0]["offset"]["kafka_offset"] == 6;
    let offsets = world.until("GET /connectors/s3/offsets", committed).await;
    assert_eq!(offsets["offsets"][0]["partition"], json!({"kafka_topic": "flights", "kafka_partition": 0}));
    let topics = |body: &Value| body["s3"]["topics"] == json!(["flights"]);
    world.until("GET /connectors/s3/topics", topics).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_life_goes_on_where_the_last_one_committed() {
    let mut world = World::start().await;
    world.create_topic("flights", 1).await;
    world.sink("s3", &[]).await;
    world.send_texts("flights", &["{\"n\":0}", "{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]).await;
    world.objects_text(1).await;
    world.stop_worker().await;
    world.send_texts("flights", &["{\"n\":4}", "{\"n\":5}"]).await;
    world.start_worker().await;
    let objects = world.objects_text(2).await;
    assert_eq!(objects.values().cloned().collect::<String>().matches("{\"n\":").count(), 6);
    assert_eq!(
        objects["topics/flights/partition=0/flights+0+0000000003.json"],
        "{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n"
    );
    // Stopped, its offsets may be set back: the same objects come again.
    assert_eq!(world.call("PUT /connectors/s3/stop", Value::Null).await.0, 204);
    let back = json!({"offsets": [{
        "partition": {"kafka_topic": "flights", "kafka_partition": 0}, "offset": {"kafka_offset": 3},
    }]});
    let (status, body) = world.call("PATCH /connectors/s3/offsets", back).await;
    assert_eq!(status, 200, "{body}");
    let (_, offsets) = world.call("GET /connectors/s3/offsets", Value::Null).await;
    assert_eq!(offsets["offsets"][0]["offset"]["kafka_offset"], 3);
    assert_eq!(world.call("DELETE /connectors/s3/offsets", Value::Null).await.0, 200);
    assert_eq!(world.call("GET /connectors/s3/offsets", Value::Null).await.1, json!({"offsets": []}));
    assert_eq!(world.call("PUT /connectors/s3/resume", Value::Null).await.0, 202);
    let committed = |body: &Value| body["offsets"][0]["offset"]["kafka_offset"] == 6;
    world.until("GET /connectors/s3/offsets", committed).await;
    assert_eq!(world.objects_text(2).await, objects);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_connector_reads_nothing_and_keeps_its_partitions() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    world.sink("s3", &[]).await;
    world.send_texts("flights", &["1", "2", "3"]).await;
    world.objects_text(1).await;
    assert_eq!(world.call("PUT /connectors/s3/pause", Value::Null).await.0, 202);
    // What was asked for before the pause is let through: one call of a reader at most.
    world.send_texts("flights", &["4", "5", "6", "7", "8", "9"]).await;
    let paused = world.objects_text(1).await.len();
    assert_eq!(world.call("PUT /connectors/s3/resume", Value::Null).await.0, 202);
    let objects = world.objects_text(3).await;
    assert!(paused <= 3 && objects.len() == 3, "{objects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_record_fails_the_task_and_says_where_and_why() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    world.send_texts("flights", &["{}", "{}", "{}", "{}", "nonsense", "{}"]).await;
    world.sink("s3", &[]).await;
    let trace = world.trace("s3").await;
    assert!(trace.starts_with("TM0811 × "), "{trace}");
    for part in ["JsonConverter cannot read the value: not JSON", "at flights/0/4", "help: "] {
        assert!(trace.contains(part), "{part}: {trace}");
    }
    assert_eq!(world.objects_text(1).await.len(), 1);
    let registry = ("value.converter", json!("io.confluent.connect.json.JsonSchemaConverter"));
    let url = ("value.converter.schema.registry.url", json!("http://127.0.0.1:9"));
    world.sink("framed", &[registry, url]).await;
    let trace = world.trace("framed").await;
    assert!(
        trace.contains("they look like plain JSON: use org.apache.kafka.connect.json.JsonConverter"),
        "{trace}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_fails_the_task() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    world.sink("s3", &[("s3.bucket.name", json!("nowhere"))]).await;
    let trace = world.trace("s3").await;
    assert!(trace.starts_with("TM0906 × ") && trace.contains("nowhere"), "{trace}");
    world.sink("denied", &[("aws.secret.access.key", json!("wrong"))]).await;
    let trace = world.trace("denied").await;
    assert!(trace.starts_with("TM0905 × "), "{trace}");
}

/// Topic, key, value and headers of the first records of a topic's partition 0.
async fn letters(
    world: &World,
    topic: &str,
    count: usize,
) -> Vec<(Option<Vec<u8>>, BTreeMap<String, String>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &world.kafka)
        .set("group.id", "letters")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(15);
        while found.len() < count {
            assert!(Instant::now() < deadline, "{found:?}");
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
            found.push((message.payload().map(<[u8]>::to_vec), headers));
        }
        found
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tolerated_records_become_dead_letters_with_connects_headers() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    let value = |text: &str| Some(text.as_bytes().to_vec());
    // `bad` counts in no file; the tombstone and the record without `a`, which the sink refuses, count.
    let (one, two, three) = (value("{\"a\":1}"), value("{\"a\":2}"), value("{\"a\":3}"));
    let records = [one, value("bad"), None, two, value("{\"b\":0}"), three.clone(), three];
    world.send("flights", &records).await;
    let changes = [
        ("errors.tolerance", json!("all")),
        ("errors.deadletterqueue.topic.name", json!("letters")),
        ("errors.deadletterqueue.topic.replication.factor", json!("1")),
        ("errors.deadletterqueue.context.headers.enable", json!("true")),
        ("partitioner.class", json!("io.confluent.connect.storage.partitioner.FieldPartitioner")),
        ("partition.field.name", json!("a")),
    ];
    world.sink("s3", &changes).await;
    let objects = world.objects_text(3).await;
    assert_eq!(objects.len(), 3, "{objects:?}");
    assert_eq!(objects["topics/flights/a=1/flights+0+0000000000.json"], "{\"a\":1}\n");
    let letters = letters(&world, "letters", 3).await;
    let mut by_offset: BTreeMap<String, _> = letters
        .iter()
        .map(|(value, headers)| (headers["__connect.errors.offset"].clone(), (value, headers)))
        .collect();
    let (value, headers) = by_offset.remove("1").unwrap();
    assert_eq!(value.as_deref(), Some(&b"bad"[..]));
    for (name, expected) in [
        ("topic", "flights"),
        ("partition", "0"),
        ("connector.name", "s3"),
        ("task.id", "0"),
        ("exception.class.name", "org.apache.kafka.connect.errors.DataException"),
    ] {
        assert_eq!(headers[&format!("__connect.errors.{name}")], expected);
    }
    let stages: Vec<&str> =
        by_offset.values().map(|(_, headers)| headers["__connect.errors.stage"].as_str()).collect();
    assert_eq!(stages, ["TASK_PUT", "TASK_PUT"]);
    assert_eq!(by_offset["2"].0.as_deref(), None, "a tombstone stays one");
    assert_eq!(by_offset["4"].0.as_deref(), Some(&b"{\"b\":0}"[..]), "refused by the sink, with its value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_converter_refuses_counts_in_no_file() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    world.send_texts("flights", &["{\"n\": 0}", "{\"n\": ", "{\"n\": 2}", "[3]", "{\"n\": 4}"]).await;
    let changes = [
        ("errors.tolerance", json!("all")),
        ("errors.deadletterqueue.topic.name", json!("refused")),
        ("errors.deadletterqueue.topic.replication.factor", json!("1")),
    ];
    world.sink("s3", &changes).await;
    let objects = world.objects_text(1).await;
    let key = "topics/flights/partition=0/flights+0+0000000000.json".to_owned();
    assert_eq!(objects, BTreeMap::from([(key, "{\"n\":0}\n{\"n\":2}\n[3]\n".to_owned())]));
}
