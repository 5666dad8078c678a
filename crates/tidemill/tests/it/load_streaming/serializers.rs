//! Values under contracts, read back by confluent-kafka's deserializers from the registry.

use super::{beside, brokers};
use crate::shared::name;

const READ: &str = r#"
import json, sys
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

bootstrap, registry, topic, kind, count = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})

def message_class():
    pool = descriptor_pool.DescriptorPool()
    money = descriptor_pb2.FileDescriptorProto(name="shared/money.proto", package="shared", syntax="proto3")
    message = money.message_type.add(name="Money")
    message.field.add(name="cents", number=1, type=3, label=1)
    order = descriptor_pb2.FileDescriptorProto(name="order.proto", package="shop", syntax="proto3",
                                               dependency=["shared/money.proto"])
    order.message_type.add(name="Unused")
    message = order.message_type.add(name="Order")
    message.field.add(name="id", number=1, type=3, label=1)
    message.field.add(name="region", number=2, type=9, label=1)
    message.field.add(name="price", number=3, type=11, label=1, type_name=".shared.Money")
    pool.Add(money)
    pool.Add(order)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Order"))

if kind == "avro":
    deserialize = AvroDeserializer(client)
elif kind == "json":
    deserialize = JSONDeserializer(None, schema_registry_client=client)
else:
    deserialize = ProtobufDeserializer(message_class(), {"use.deprecated.format": False}, schema_registry_client=client)
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
consumer.assign([TopicPartition(topic, 0, 0)])
rows = []
while len(rows) < int(count):
    message = consumer.poll(20)
    assert message is not None and message.error() is None, message
    value = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
    rows.append(json_format.MessageToDict(value) if kind == "protobuf" else value)
consumer.close()
print(json.dumps(rows, sort_keys=True))
print(" ".join(sorted(subject for subject in client.get_subjects() if topic in subject or "/" in subject or "." in subject)))
"#;

const AVRO: &str = r#"{"type":"record","name":"Order","namespace":"TOPIC","fields":[
    {"name":"id","type":"long"},{"name":"region","type":["null","string"],"default":null}]}"#;
const JSON: &str = r#"{"title":"TOPIC.Order","type":"object","additionalProperties":false,
    "properties":{"id":{"type":"integer"},"region":{"type":["string","null"]}}}"#;
const PROTO: &str = "syntax = \"proto3\";\npackage shop;\nimport \"shared/money.proto\";\nmessage Unused {}\n\
    message Order {\n  int64 id = 1;\n  string region = 2;\n  shared.Money price = 3;\n}\n";
const MONEY: &str = "syntax = \"proto3\";\npackage shared;\nmessage Money { int64 cents = 1; }\n";

#[test]
fn what_is_written_under_a_contract_the_deserializers_read() {
    let (world, parts) = beside();
    let Some(python) = testkit::python() else { return };
    world.write("orders.csv", "id,region\n1,eu\n2,NA\n");
    let cases = [
        ("avro", AVRO, "avsc", "topic", "TOPIC-value"),
        ("avro", AVRO, "avsc", "record", "TOPIC.Order"),
        ("avro", AVRO, "avsc", "topic-record", "TOPIC-TOPIC.Order"),
        ("json", JSON, "json", "topic", "TOPIC-value"),
        ("json", JSON, "json", "topic-record", "TOPIC-TOPIC.Order"),
    ];
    for broker in brokers(parts) {
        for (kind, schema, ending, strategy, subject) in cases {
            let topic = name("contract");
            let (file, target) = (format!("contracts/{topic}.{ending}"), format!("kafka://{broker}/{topic}"));
            world.write(&file, schema.replace("TOPIC", &topic.replace('-', "_")));
            let subject = match strategy {
                "topic" => format!("{topic}-value"),
                "record" => subject.replace("TOPIC", &topic.replace('-', "_")),
                _ => format!("{topic}-{}.Order", topic.replace('-', "_")),
            };
            let load = [
                "load",
                "orders.csv",
                &target,
                "--create",
                "--contract",
                &topic,
                "--subject-strategy",
                strategy,
            ];
            world.ok(&load);
            let said = testkit::run_python(&python, READ, &[&broker, &parts.registry(), &topic, kind, "2"]);
            let (rows, subjects) = said.split_once('\n').unwrap();
            assert_eq!(
                rows, r#"[{"id": 1, "region": "eu"}, {"id": 2, "region": null}]"#,
                "{kind} {strategy}"
            );
            assert!(
                subjects.split_whitespace().any(|one| one == subject),
                "{strategy}: {subject} in {subjects}"
            );
        }
    }
}

#[test]
fn protobuf_is_read_with_its_message_and_its_imports() {
    let (world, parts) = beside();
    let Some(python) = testkit::python() else { return };
    world.write("contracts/order.proto", PROTO);
    world.write("contracts/shared/money.proto", MONEY);
    world.write("orders.jsonl", "{\"id\":1,\"region\":\"eu\",\"price\":{\"cents\":250}}\n{\"id\":\"2\"}\n");
    world.write("orders.csv", "id,region,price\n1,eu,\"{\"\"cents\"\":250}\"\n2,NA,NA\n");
    for broker in brokers(parts) {
        for (file, strategy) in [("orders.jsonl", "topic"), ("orders.csv", "topic-record")] {
            let topic = name("proto");
            let target = format!("kafka://{broker}/{topic}");
            let load = ["load", file, &target, "--create", "--contract", "order", "--message", "Order"];
            world.ok(&[&load[..], &["--subject-strategy", strategy]].concat());
            let said =
                testkit::run_python(&python, READ, &[&broker, &parts.registry(), &topic, "protobuf", "2"]);
            let (rows, subjects) = said.split_once('\n').unwrap();
            assert_eq!(
                rows, r#"[{"id": "1", "price": {"cents": "250"}, "region": "eu"}, {"id": "2"}]"#,
                "{file}"
            );
            let subject =
                if strategy == "topic" { format!("{topic}-value") } else { format!("{topic}-shop.Order") };
            let has = |name: &str| subjects.split_whitespace().any(|one| one == name);
            assert!(has(&subject) && has("shared/money.proto"), "{subjects}");
        }
    }
}
