//! Every converter with every format that can hold what it gives, through the embedded registry, topics and S3.

use std::collections::BTreeMap;

use super::*;

const JSON_SCHEMA: &str = r#"{"type":"object","title":"flight","properties":{
    "n":{"type":"integer","connect.index":0},
    "tail":{"oneOf":[{"type":"null"},{"type":"string"}],"connect.index":1},
    "delay":{"type":"number","connect.index":2}},"required":["n","delay"]}"#;
const AVRO: &str = r#"{"type":"record","name":"flight","fields":[{"name":"n","type":"long"},
    {"name":"tail","type":["null","string"],"default":null},{"name":"delay","type":"double"}]}"#;
/// The record is the second message of the file.
const PROTO: &str = "syntax = \"proto3\"; message Nothing {} message flight { int64 n = 1; optional string tail = 2; double delay = 3; }";
const ENVELOPE: &str = r#"{"type":"struct","optional":false,"name":"flight","fields":[{"field":"n","type":"int64"},
    {"field":"tail","type":"string","optional":true},{"field":"delay","type":"double"}]}"#;

impl World {
    async fn register(&self, subject: &str, schema: &str, kind: &str) -> i32 {
        let url = format!("{}/subjects/{subject}/versions", self.registry.as_ref().unwrap());
        let body = json!({"schema": schema, "schemaType": kind});
        let answer: Value = self.client.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        answer["id"].as_i64().unwrap_or_else(|| panic!("{answer}")) as i32
    }
}

fn framed(id: i32, payload: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    contracts::frame(id, &mut bytes);
    bytes.extend_from_slice(payload);
    Some(bytes)
}

fn avro(n: i64, tail: &str, delay: f64) -> Vec<u8> {
    let encoder = contracts::avro::Encoder::new("flight", AVRO).unwrap();
    let tail = if tail.is_empty() { base::Value::Null } else { base::Value::string(tail) };
    let fields = [("n", base::Value::Int(n)), ("tail", tail), ("delay", base::Value::Float(delay))];
    let row = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let mut bytes = Vec::new();
    encoder.encode(&base::Value::Struct(row), &mut bytes).unwrap();
    bytes
}

fn proto(row: &(i64, &str, f64)) -> Vec<u8> {
    let file = contracts::protobuf::Protobuf::parse_with("flight.proto", PROTO, &[]).unwrap();
    let mut bytes = Vec::new();
    file.writer(Some("flight")).unwrap().unwrap().write_text(plain(row).as_bytes(), &mut bytes).unwrap();
    bytes
}

/// The records of all objects as JSON lines, by extension.
fn lines(objects: BTreeMap<String, Vec<u8>>) -> String {
    let mut text = String::new();
    for (key, bytes) in objects {
        text += &match key.rsplit('.').next().unwrap() {
            "gz" => {
                let mut inside = String::new();
                std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut inside)
                    .unwrap();
                inside
            }
            "avro" => {
                let reader = apache_avro::Reader::new(&bytes[..]).unwrap();
                let line = |value| {
                    let value = apache_avro::from_value::<Value>(&value).unwrap();
                    format!("{value}\n")
                };
                reader.map(|value| line(value.unwrap())).collect()
            }
            "parquet" => {
                let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(
                    bytes::Bytes::from(bytes),
                    100,
                );
                let mut writer = arrow_json::LineDelimitedWriter::new(Vec::new());
                for batch in reader.unwrap() {
                    writer.write(&batch.unwrap()).unwrap();
                }
                writer.finish().unwrap();
                String::from_utf8(writer.into_inner()).unwrap()
            }
            _ => String::from_utf8(bytes).unwrap(),
        };
    }
    text
}

/// The topic that a converter reads, its class, and its `schemas.enable`.
const CONVERTERS: [(&str, &str, &str); 7] = [
    ("json", "io.confluent.connect.json.JsonSchemaConverter", ""),
    ("avro", "io.confluent.connect.avro.AvroConverter", ""),
    ("envelope", "org.apache.kafka.connect.json.JsonConverter", "true"),
    ("plain", "org.apache.kafka.connect.json.JsonConverter", "false"),
    ("plain", "org.apache.kafka.connect.storage.StringConverter", ""),
    ("plain", "org.apache.kafka.connect.converters.ByteArrayConverter", ""),
    ("proto", "io.confluent.connect.protobuf.ProtobufConverter", ""),
];

const ROWS: [(i64, &str, f64); 3] = [(1, "N1", 1.5), (2, "", -3.0), (3, "N3", 0.25)];

fn plain((n, tail, delay): &(i64, &str, f64)) -> String {
    match *tail {
        "" => format!("{{\"n\": {n}, \"delay\": {delay:?}}}"),
        tail => format!("{{\"n\": {n}, \"tail\": \"{tail}\", \"delay\": {delay:?}}}"),
    }
}

/// What a converter's records are in a format; `None` where the format cannot hold them.
fn wanted(converter: usize, format: &str) -> Option<String> {
    let all = |line: &dyn Fn(&(i64, &str, f64)) -> String| {
        ROWS.iter().map(|row| line(row) + "\n").collect::<String>()
    };
    let with_nulls = |row: &(i64, &str, f64)| {
        let tail = if row.1.is_empty() { "null".to_owned() } else { format!("\"{}\"", row.1) };
        format!("{{\"n\":{},\"tail\":{tail},\"delay\":{:?}}}", row.0, row.2)
    };
    let compact = |row: &(i64, &str, f64)| plain(row).replace(": ", ":").replace(", ", ",");
    match (converter, format) {
        // Arrow's JSON leaves nulls out.
        (0..=2 | 6, "parquet") => Some(all(&compact)),
        (0..=2 | 6, "json" | "avro") => Some(all(&with_nulls)),
        (3, "json") => Some(all(&compact)),
        (4, "json" | "avro") => Some(all(&|row| json!(plain(row)).to_string())),
        (5, "json") => {
            Some(all(&|row| ::formats::json_value(&bytes_of(row), None, ::formats::DecimalAs::Base64)))
        }
        (5, "bytearray") => Some(all(&plain)),
        _ => None,
    }
}

fn bytes_of(row: &(i64, &str, f64)) -> base::Value {
    base::Value::Bytes(plain(row).into_bytes().into())
}

async fn send_rows(world: &World) {
    let json_id = world.register("json-value", JSON_SCHEMA, "JSON").await;
    let avro_id = world.register("avro-value", AVRO, "AVRO").await;
    let envelope = |row| Some(format!("{{\"schema\":{ENVELOPE},\"payload\":{}}}", plain(row)).into_bytes());
    let proto_id = world.register("proto-value", PROTO, "PROTOBUF").await;
    let topics: [(&str, Vec<Option<Vec<u8>>>); 5] = [
        ("proto", ROWS.iter().map(|row| framed(proto_id, &proto(row))).collect()),
        ("json", ROWS.iter().map(|row| framed(json_id, plain(row).as_bytes())).collect()),
        ("avro", ROWS.iter().map(|(n, tail, delay)| framed(avro_id, &avro(*n, tail, *delay))).collect()),
        ("envelope", ROWS.iter().map(envelope).collect()),
        ("plain", ROWS.iter().map(|row| Some(plain(row).into_bytes())).collect()),
    ];
    for (topic, values) in &topics {
        world.create_topic(topic, 1).await;
        world.send(topic, values).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_converter_fills_each_format() {
    let world = World::start().await;
    send_rows(&world).await;
    let mut expected: Vec<(String, String)> = Vec::new();
    for (at, (topic, converter, schemas)) in CONVERTERS.iter().enumerate() {
        for format in
            ["json.JsonFormat", "avro.AvroFormat", "parquet.ParquetFormat", "bytearray.ByteArrayFormat"]
        {
            let short = format.split('.').next().unwrap();
            let Some(wanted) = wanted(at, short) else { continue };
            let name = format!("c{at}-{short}");
            let changes = [
                ("topics", json!(topic)),
                ("topics.dir", json!(name)),
                ("format.class", json!(format!("io.confluent.connect.s3.format.{format}"))),
                ("value.converter", json!(converter)),
                ("value.converter.schemas.enable", Some(*schemas).filter(|text| !text.is_empty()).into()),
                ("s3.compression.type", if short == "json" { json!("gzip") } else { json!("none") }),
            ];
            world.sink(&name, &changes).await;
            expected.push((name, wanted));
        }
    }
    world.objects_text(expected.len()).await;
    for (name, wanted) in expected {
        let objects = world.objects().into_iter().filter(|(key, _)| key.starts_with(&format!("{name}/")));
        let objects: BTreeMap<_, _> = objects.collect();
        assert_eq!(objects.len(), 1, "{name}");
        assert_eq!(lines(objects), wanted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_schema_begins_a_new_file() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    let old = world.register("flights-value", AVRO, "AVRO").await;
    let wider =
        AVRO.replace("\"double\"}]", "\"double\"},{\"name\":\"more\",\"type\":\"long\",\"default\":0}]");
    let new = world.register("flights-value", &wider, "AVRO").await;
    let mut more = avro(3, "", 0.5);
    more.push(14);
    let values = [
        framed(old, &avro(1, "a", 0.5)),
        framed(old, &avro(2, "b", 0.5)),
        framed(new, &more),
        framed(new, &more),
        framed(new, &more),
    ];
    world.send("flights", &values).await;
    world
        .sink(
            "s3",
            &[
                ("value.converter", json!("io.confluent.connect.avro.AvroConverter")),
                ("value.converter.schemas.enable", Value::Null),
            ],
        )
        .await;
    let objects = world.objects_text(2).await;
    let keys: Vec<&String> = objects.keys().collect();
    assert_eq!(
        keys,
        [
            "topics/flights/partition=0/flights+0+0000000000.json",
            "topics/flights/partition=0/flights+0+0000000002.json"
        ]
    );
    assert_eq!(objects.values().next().unwrap().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_based_folders_and_rotation_by_record_time() {
    let world = World::start().await;
    world.create_topic("flights", 1).await;
    let times =
        ["2023-11-14T22:00:01Z", "2023-11-14T22:30:00Z", "2023-11-14T23:10:00Z", "2023-11-14T23:20:00Z"];
    let values: Vec<String> = times.iter().map(|time| format!("{{\"at\":\"{time}\"}}")).collect();
    world.send_texts("flights", &values.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let changes = [
        ("flush.size", json!("100")),
        ("rotate.interval.ms", json!("3600000")),
        ("partitioner.class", json!("io.confluent.connect.storage.partitioner.TimeBasedPartitioner")),
        ("partition.duration.ms", json!("3600000")),
        ("path.format", json!("'d'=YYYY-MM-dd/'h'=HH")),
        ("locale", json!("en-US")),
        ("timezone", json!("Europe/Berlin")),
        ("timestamp.extractor", json!("RecordField")),
        ("timestamp.field", json!("at")),
    ];
    world.sink("s3", &changes).await;
    let objects = world.objects_text(1).await;
    let (key, text) = objects.iter().next().unwrap();
    assert_eq!(
        (key.as_str(), text.lines().count()),
        ("topics/flights/d=2023-11-14/h=23/flights+0+0000000000.json", 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_share_the_partitions_and_every_record_arrives_once() {
    let world = World::start().await;
    for (topic, partitions_count) in [("flights-a", 4), ("flights-b", 1)] {
        world.create_topic(topic, partitions_count).await;
    }
    let lines: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    world.send_texts("flights-a", &lines).await;
    world.send_texts("flights-b", &lines).await;
    let changes = [
        ("topics", Value::Null),
        ("topics.regex", json!("flights-.*")),
        ("tasks.max", json!("3")),
        ("flush.size", json!("10")),
    ];
    world.sink("s3", &changes).await;
    let objects = world.objects_text(6).await;
    assert_eq!(objects.len(), 6);
    assert_eq!(objects.values().map(|text| text.lines().count()).sum::<usize>(), 60);
    let (_, status) = world.call("GET /connectors/s3/status", Value::Null).await;
    assert_eq!(status["tasks"].as_array().unwrap().len(), 3);
}
