//! confluent-kafka for Python with its Schema Registry client: JSON Schema and Avro, both directions.

use testkit::run_python;

use crate::shared::{name, shared};

const AVRO_ROUND: &str = r#"
import sys
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
bootstrap, registry, topic = sys.argv[1:]
schema = '''{"type":"record","name":"Flight","fields":[{"name":"carrier","type":"string"},
 {"name":"delay","type":["null","int"],"default":null},{"name":"distance","type":"double"}]}'''
client = SchemaRegistryClient({"url": registry})
context = SerializationContext(topic, MessageField.VALUE)
serialize, deserialize = AvroSerializer(client, schema), AvroDeserializer(client)
sent = [{"carrier": "UA", "delay": n if n % 2 else None, "distance": n * 1.5} for n in range(500)]
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": "zstd"})
for n, record in enumerate(sent):
    producer.produce(topic, key=str(n), value=serialize(record, context))
assert producer.flush(30) == 0
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
read = []
while len(read) < len(sent):
    message = consumer.poll(20)
    assert message is not None and message.error() is None, message
    read.append(deserialize(message.value(), context))
consumer.commit(asynchronous=False)
consumer.close()
key = lambda record: record["distance"]
assert sorted(read, key=key) == sent, "what was read is not what was sent"
print(client.get_latest_version(topic + "-value").version, len(read))
"#;

#[test]
fn avro_by_its_serializer_and_deserializer() {
    let (world, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let topic = name("avro");
    world.ok(&["topic", "create", &topic, "--partitions", "3"]);
    let said = run_python(&python, AVRO_ROUND, &[&parts.kafka(), &parts.registry(), &topic]);
    assert_eq!(said, "1 500\n");
}

const JSON_READ: &str = r#"
import sys
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
bootstrap, registry, topic = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
deserialize = JSONDeserializer(None, schema_registry_client=client)
context = SerializationContext(topic, MessageField.VALUE)
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic + "-read", "auto.offset.reset": "earliest",
                     "enable.partition.eof": True})
consumer.subscribe([topic])
rows, ended = [], set()
while len(ended) < 3:
    message = consumer.poll(20)
    assert message is not None, "no answer for 20 s"
    if message.error():
        ended.add(message.partition())
        continue
    rows.append((message.key().decode(), deserialize(message.value(), context)))
consumer.close()
rows.sort(key=lambda row: row[1]["flight"])
for key, row in rows:
    print(key, row["flight"], row["carrier"], row["dep_delay"])
"#;

#[test]
fn what_load_writes_the_json_schema_deserializer_reads() {
    let (world, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let topic = name("json");
    let data = "carrier,flight,dep_delay,tailnum\nUA,1,2.5,N1\nAA,2,,N2\nB6,3,-4,N1\n";
    world.write(&format!("data/{topic}.csv"), data);
    let (file, contract) = (format!("data/{topic}.csv"), format!("contracts/{topic}.json"));
    world.ok(&["topic", "create", &topic, "--partitions", "3"]);
    world.ok(&["contract", "infer", &file, "-o", &contract]);
    let target = format!("kafka://local/{topic}");
    world.ok(&["load", &file, &target, "--contract", &topic, "--key", "tailnum"]);
    let said = run_python(&python, JSON_READ, &[&parts.kafka(), &parts.registry(), &topic]);
    assert_eq!(said, "N1 1 UA 2.5\nN2 2 AA None\nN1 3 B6 -4\n");
}

const JSON_WRITE: &str = r#"
import sys
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
bootstrap, registry, topic, count = sys.argv[1:]
schema = '''{"$schema":"http://json-schema.org/draft-07/schema#","title":"Event","type":"object",
 "properties":{"id":{"type":"integer"},"kind":{"type":"string"}},"required":["id","kind"]}'''
serialize = JSONSerializer(schema, SchemaRegistryClient({"url": registry}))
context = SerializationContext(topic, MessageField.VALUE)
producer = Producer({"bootstrap.servers": bootstrap})
for n in range(int(count)):
    producer.produce(topic, partition=0, value=serialize({"id": n, "kind": "view"}, context))
assert producer.flush(30) == 0
"#;

#[test]
fn what_the_json_schema_serializer_writes_the_sink_puts_into_s3() {
    let (world, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let topic = name("events");
    run_python(&python, JSON_WRITE, &[&parts.kafka(), &parts.registry(), &topic, "25"]);
    let mut connector = crate::flow::connector(&topic, &topic, parts, 10);
    connector["config"]["value.converter"] = "io.confluent.connect.json.JsonSchemaConverter".into();
    let url = format!("{}/connectors", parts.connect());
    testkit::http("POST", &url, &connector.to_string()).expect(201);
    let objects = crate::flow::wait_for_objects(world, &topic, 2);
    let first = &objects[&format!("partition=0/{topic}+0+0000000000.json")];
    let expected: String = (0..10).map(|id| format!("{{\"id\":{id},\"kind\":\"view\"}}\n")).collect();
    assert_eq!(String::from_utf8_lossy(first), expected);
    assert!(objects.contains_key(&format!("partition=0/{topic}+0+0000000010.json")), "{:?}", objects.keys());
}

const REGISTRY: &str = r#"
import sys
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
client, subject = SchemaRegistryClient({"url": sys.argv[1]}), sys.argv[2]
one = Schema('{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}', "AVRO")
two = Schema('{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":1}]}', "AVRO")
bad = Schema('{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"c","type":"string"}]}', "AVRO")
first = client.register_schema(subject, one)
assert client.register_schema(subject, one) == first
second = client.register_schema(subject, two)
assert second != first and client.get_versions(subject) == [1, 2]
assert client.lookup_schema(subject, two).version == 2
assert client.test_compatibility(subject, bad) is False
try:
    client.register_schema(subject, bad)
    raise SystemExit("an incompatible schema was taken")
except SchemaRegistryError as error:
    assert error.http_status_code == 409, error
client.set_compatibility(subject, "NONE")
assert client.get_compatibility(subject) == "NONE"
client.register_schema(subject, bad)
assert client.delete_version(subject, 3) == 3
assert client.delete_subject(subject) == [1, 2]
assert client.delete_subject(subject, permanent=True)
try:
    client.get_latest_version(subject)
    raise SystemExit("a deleted subject answers")
except SchemaRegistryError as error:
    assert (error.http_status_code, error.error_code) == (404, 40401), error
print("kept")
"#;

#[test]
fn the_registry_client_finds_everything_as_confluent_has_it() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, REGISTRY, &[&parts.registry(), &name("subject")]), "kept\n");
}

const REBALANCE: &str = r#"
import sys
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic, NewPartitions
bootstrap, topic = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": bootstrap})
for future in admin.create_topics([NewTopic(topic, 4)]).values(): future.result(20)
settings = {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000, "partition.assignment.strategy": "range"}
one, two = Consumer(settings), Consumer(settings)
one.subscribe([topic]); two.subscribe([topic])
for _ in range(400):
    one.poll(0.05); two.poll(0.05)
    if len(one.assignment()) == 2 and len(two.assignment()) == 2: break
assert sorted(p.partition for p in one.assignment() + two.assignment()) == [0, 1, 2, 3]
two.close()
for _ in range(400):
    one.poll(0.05)
    if len(one.assignment()) == 4: break
assert len(one.assignment()) == 4
for future in admin.create_partitions([NewPartitions(topic, 6)]).values(): future.result(20)
assert len(admin.list_topics(topic).topics[topic].partitions) == 6
one.close()
for future in admin.delete_topics([topic]).values(): future.result(20)
print("balanced")
"#;

#[test]
fn two_consumers_share_a_topic_and_one_takes_over() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, REBALANCE, &[&parts.kafka(), &name("shared")]), "balanced\n");
}
