//! The job that most tests run: records from a file, under a contract, through Kafka, by the S3 sink, into objects.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    topic_partition_list::{Offset, TopicPartitionList},
};
use serde_json::{Value, json};
use testkit::{Parts, World, poll};

/// Objects by their name below `topics.dir/TOPIC/`.
pub type Objects = BTreeMap<String, Vec<u8>>;

/// Kafka Connect's JSON for the S3 sink, as people have it, with plain JSON values.
pub fn connector(name: &str, topic: &str, parts: &Parts, flush_size: usize) -> Value {
    json!({"name": name, "config": {
        "connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "1", "topics": topic,
        "s3.region": "us-east-1", "s3.bucket.name": "lake", "s3.part.size": "5242880",
        "flush.size": flush_size.to_string(), "store.url": parts.s3(), "topics.dir": "topics",
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "partitioner.class": "io.confluent.connect.storage.partitioner.DefaultPartitioner",
        "schema.compatibility": "NONE",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "value.converter.schema.registry.url": parts.registry(),
        "s3.credentials.provider.class": "com.amazonaws.auth.DefaultAWSCredentialsProviderChain"
    }})
}

/// The same for values that the JSON Schema serializer wrote.
pub fn json_schema_connector(name: &str, topic: &str, parts: &Parts, flush_size: usize) -> Value {
    let mut connector = connector(name, topic, parts, flush_size);
    connector["config"]["value.converter"] = "io.confluent.connect.json.JsonSchemaConverter".into();
    connector["config"].as_object_mut().unwrap().remove("value.converter.schemas.enable");
    connector
}

/// What lies in the bucket `lake` below this folder, read from the disk: a path that shares no code with the writer.
pub fn objects_below(world: &World, folder: &str) -> Objects {
    let root = world.path(".tidemill/s3/lake").join(folder);
    let mut objects = Objects::new();
    collect(&root, &root, &mut objects);
    objects
}

fn collect(root: &Path, folder: &Path, objects: &mut Objects) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, objects);
        } else if !entry.file_name().to_string_lossy().starts_with('.')
            && let Ok(bytes) = fs::read(&path)
        {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            objects.insert(name, bytes);
        }
    }
}

/// The objects of a topic, as soon as there are so many.
#[track_caller]
pub fn wait_for_objects(world: &World, topic: &str, count: usize) -> Objects {
    let folder = format!("topics/{topic}");
    poll::until(&format!("{count} objects of {topic}"), 60_000, || {
        let objects = objects_below(world, &folder);
        (objects.len() >= count).then_some(objects)
    })
}

/// All values of a topic, by partition and in order, without Confluent's five bytes; there is a record at each offset.
pub fn values_of(kafka: &str, topic: &str) -> Vec<Vec<Value>> {
    let values = values_until_end(kafka, topic);
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", kafka).create().unwrap();
    for (partition, values) in values.iter().enumerate() {
        let partition = i32::try_from(partition).unwrap();
        let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)).unwrap();
        assert_eq!(i64::try_from(values.len()).unwrap(), high - low, "{topic}/{partition}");
    }
    values
}

/// The same of a topic in which compaction may have left gaps.
pub fn values_until_end(kafka: &str, topic: &str) -> Vec<Vec<Value>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", "test-read").set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().unwrap();
    let wait = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(topic), wait).unwrap();
    let count = metadata.topics()[0].partitions().len();
    let mut list = TopicPartitionList::new();
    let (mut ended, mut values) = (0, vec![Vec::new(); count]);
    for partition in 0..count {
        list.add_partition_offset(topic, i32::try_from(partition).unwrap(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    while ended < count {
        match consumer.poll(wait).expect("a record or an end within 20 s") {
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => panic!("{topic}: {error}"),
            Ok(message) => {
                let payload = message.payload().unwrap();
                let text = if payload[0] == 0 { &payload[5..] } else { payload };
                let partition = usize::try_from(message.partition()).unwrap();
                values[partition].push(serde_json::from_slice(text).unwrap());
            }
        }
    }
    values
}

/// The objects hold, partition by partition, the topic's records in their order, cut after every `flush_size`.
#[track_caller]
pub fn assert_each_record_once(objects: &Objects, topic: &str, values: &[Vec<Value>], flush_size: usize) {
    let mut names = Vec::new();
    for (partition, values) in values.iter().enumerate() {
        for (at, records) in values.chunks_exact(flush_size).enumerate() {
            let name = format!("partition={partition}/{topic}+{partition}+{:010}.json", at * flush_size);
            let bytes =
                objects.get(&name).unwrap_or_else(|| panic!("no {name}; there are {:?}", objects.keys()));
            let lines = String::from_utf8_lossy(bytes);
            let read: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(read == records, "{name} does not hold the topic's records");
            names.push(name);
        }
    }
    let extra: Vec<&String> = objects.keys().filter(|name| !names.contains(name)).collect();
    assert!(extra.is_empty(), "objects that should not be there: {extra:?}");
}
