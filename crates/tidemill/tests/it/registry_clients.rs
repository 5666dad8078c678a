//! The registry by Confluent's own Python client: all three serializers with references, and every method that it has.

use testkit::{http, run_python};

use crate::shared::{name, shared, world};

const AVRO: &str = r#"
import sys
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
registry, topic = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
plane = Schema('{"type":"record","name":"Plane","namespace":"a","fields":[{"name":"seats","type":"int"}]}', "AVRO")
client.register_schema(topic + "-plane", plane)
flight = Schema('{"type":"record","name":"Flight","namespace":"a","fields":[{"name":"plane","type":"a.Plane"},'
                '{"name":"number","type":"long"}]}', "AVRO", [SchemaReference("a.Plane", topic + "-plane", 1)])
context = SerializationContext(topic, MessageField.VALUE)
sent = {"plane": {"seats": 180}, "number": 7}
data = AvroSerializer(client, flight)(sent, context)
# Another client knows nothing but the id.
other = SchemaRegistryClient({"url": registry})
assert AvroDeserializer(other)(data, context) == sent
found = client.get_latest_version(topic + "-value")
assert [(r.name, r.subject, r.version) for r in found.schema.references] == [("a.Plane", topic + "-plane", 1)]
assert client.get_referenced_by(topic + "-plane") == [found.schema_id]
print("read", int.from_bytes(data[1:5], "big") == found.schema_id)
"#;

const JSON: &str = r#"
import sys
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
registry, topic = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
plane = Schema('{"$id":"http://a.b/plane.json","type":"object","properties":{"seats":{"type":"integer"}},'
               '"required":["seats"]}', "JSON")
client.register_schema(topic + "-plane", plane)
flight = Schema('{"$schema":"http://json-schema.org/draft-07/schema#","$id":"http://a.b/flight.json","title":"Flight",'
                '"type":"object","properties":{"plane":{"$ref":"plane.json"},"number":{"type":"integer"}}}', "JSON",
                [SchemaReference("http://a.b/plane.json", topic + "-plane", 1)])
context = SerializationContext(topic, MessageField.VALUE)
serialize = JSONSerializer(flight, client)
sent = {"plane": {"seats": 180}, "number": 7}
data = serialize(sent, context)
assert JSONDeserializer(flight, schema_registry_client=SchemaRegistryClient({"url": registry}))(data, context) == sent
try:
    serialize({"plane": {"seats": "many"}}, context)
    raise SystemExit("what breaks the schema referred to was taken")
except SerializationError:
    pass
print("read", client.get_latest_version(topic + "-value").schema.references[0].name)
"#;

const PROTOBUF: &str = r#"
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
registry, topic = sys.argv[1:]
Field = descriptor_pb2.FieldDescriptorProto
pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)

def add(name, imports, fill):
    file = descriptor_pb2.FileDescriptorProto(name=name, package="shop", syntax="proto3", dependency=imports)
    fill(file)
    pool.AddSerializedFile(file.SerializeToString())

def line(file):
    message = file.message_type.add(name="Line")
    message.field.add(name="name", number=1, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)

def order(file):
    file.message_type.add(name="Nothing")
    message = file.message_type.add(name="Order")
    message.field.add(name="lines", number=1, type=Field.TYPE_MESSAGE, type_name=".shop.Line", label=Field.LABEL_REPEATED)
    message.field.add(name="at", number=2, type=Field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp",
                      label=Field.LABEL_OPTIONAL)
    inner = message.nested_type.add(name="Inner")
    inner.field.add(name="x", number=1, type=Field.TYPE_INT32, label=Field.LABEL_OPTIONAL)

add(topic + "/line.proto", [], line)
add(topic + "/order.proto", [topic + "/line.proto", "google/protobuf/timestamp.proto"], order)
of = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
Order, Line = of("shop.Order"), of("shop.Line")
client = SchemaRegistryClient({"url": registry})
context = SerializationContext(topic, MessageField.VALUE)
sent = Order(lines=[Line(name="bread"), Line(name="milk")])
sent.at.seconds = 1700000000
data = ProtobufSerializer(Order, client, {"use.deprecated.format": False})(sent, context)
back = ProtobufDeserializer(Order, {"use.deprecated.format": False}, SchemaRegistryClient({"url": registry}))(data, context)
assert back == sent, back
found = client.get_latest_version(topic + "-value")
print([int(byte) for byte in data[5:7]], [(r.name.split("/")[1], r.version) for r in found.schema.references])
# Registered again it is the same, and in its own words too.
again = client.register_schema(topic + "-value", found.schema)
assert again == found.schema_id, (again, found.schema_id)
inner = of("shop.Order.Inner")
data = ProtobufSerializer(inner, client, {"use.deprecated.format": False})(inner(x=5), context)
assert int.from_bytes(data[1:5], "big") == found.schema_id
print([int(byte) for byte in data[5:8]])
whole = descriptor_pb2.FileDescriptorProto()
import base64
whole.ParseFromString(base64.b64decode(client.get_schema(found.schema_id, fmt="serialized").schema_str))
print([message.name for message in whole.message_type])
print(found.schema.schema_str)
"#;

#[test]
fn avro_serializers_take_references() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, AVRO, &[&parts.registry(), &name("avro-refs")]), "read True\n");
}

#[test]
fn json_schema_serializers_take_references() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let said = run_python(&python, JSON, &[&parts.registry(), &name("json-refs")]);
    assert_eq!(said, "read http://a.b/plane.json\n");
}

#[test]
fn protobuf_serializers_register_what_they_import() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let topic = name("protobuf");
    let said = run_python(&python, PROTOBUF, &[&parts.registry(), &topic]);
    insta::assert_snapshot!(said.replace(&topic, "[TOPIC]"));
}

const METHODS: &str = r#"
import sys
from confluent_kafka.schema_registry import (ConfigCompatibilityLevel, Metadata, MetadataProperties, MetadataTags, Rule, RuleKind,
    RuleMode, RuleSet, Schema, SchemaRegistryClient, ServerConfig)
from confluent_kafka.schema_registry.error import SchemaRegistryError
registry, subject = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
own = subject.replace("-", "_")
record = lambda *fields: '{"type":"record","name":"%s","fields":[%s]}' % (own, ",".join(fields))
a, b = '{"name":"a","type":"int"}', '{"name":"b","type":"int","default":0}'
metadata = Metadata(MetadataTags({"a": ["PII"]}), MetadataProperties({"owner": "me"}), [])
rules = RuleSet(None, [Rule("check", "", RuleKind.CONDITION, RuleMode.WRITE, "CEL", None, None, "true", None, None, False)])
one = Schema(record(a), "AVRO", [], metadata, rules)
first = client.register_schema_full_response(subject, one)
found = client.get_latest_with_metadata(subject, {"owner": "me"})
assert found.schema_id == first.schema_id and found.schema.rule_set.domain_rules[0].name == "check", found
assert found.schema.metadata.properties.properties == {"owner": "me"}
two = client.register_schema(subject, Schema(record(a, b), "AVRO"))
assert client.get_schema(two).metadata.tags.tags == {"a": ["PII"]}, "metadata goes on"
assert client.get_schema_by_guid(first.guid).schema_str == one.schema_str
assert client.get_versions(subject) == [1, 2]
assert client.get_version(subject, 1).schema_id == first.schema_id
assert client.lookup_schema(subject, Schema(record(a), "AVRO")).version == 1
assert client.get_subjects_by_schema_id(two) == [subject]
assert [(v.subject, v.version) for v in client.get_schema_versions(two)] == [(subject, 2)]
assert sorted(client.get_schema_types()) == ["AVRO", "JSON", "PROTOBUF"]
assert client.get_subjects(subject_prefix=subject) == [subject]
assert client.test_compatibility(subject, Schema(record(b), "AVRO"), verbose=True)
assert client.test_compatibility_all_versions(subject, Schema(record('{"name":"c","type":"int"}'), "AVRO")) is False
config = ServerConfig(compatibility=ConfigCompatibilityLevel.FULL_TRANSITIVE,
                      default_metadata=Metadata(None, MetadataProperties({"team": "x"}), None), compatibility_group="major")
client.set_config(subject, config)
kept = client.get_config(subject)
assert kept.compatibility_level == ConfigCompatibilityLevel.FULL_TRANSITIVE, kept
assert kept.default_metadata.properties.properties == {"team": "x"} and kept.compatibility_group == "major"
assert client.delete_config(subject).compatibility_group == "major"
assert client.update_mode(subject, "READONLY") and client.get_mode(subject) == "READONLY"
try:
    client.register_schema(subject, Schema('"int"', "AVRO"))
    raise SystemExit("a read-only subject was written")
except SchemaRegistryError as error:
    assert (error.http_status_code, error.error_code) == (422, 42205), error
assert client.delete_mode(subject) == "READONLY"
assert client.get_global_mode() == "READWRITE"
inside = ":.%s:inside" % subject
assert client.register_schema(inside, Schema('"string"', "AVRO")) == 1
assert client.get_schema(1, subject_name=inside).schema_str == '"string"'
assert "." + subject in client.get_contexts() and "." in client.get_contexts()
assert client.delete_version(subject, 2) == 2
assert client.get_versions(subject, deleted=True) == [1, 2] and client.get_versions(subject, deleted_only=True) == [2]
assert client.delete_version(subject, 2, permanent=True) == 2
assert client.delete_subject(subject) == [1] and subject in client.get_subjects(deleted_only=True)
print("kept")
"#;

#[test]
fn every_method_of_the_client_is_answered() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, METHODS, &[&parts.registry(), &name("methods")]), "kept\n");
}

const ALIAS: &str = r#"
import sys
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
registry, subject = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
schema = Schema('{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}', "AVRO")
schema_id = client.register_schema(subject, schema)
alias = subject + "-alias-value"
other = SchemaRegistryClient({"url": registry})
assert other.get_latest_version(alias).subject == subject
assert other.lookup_schema(alias, schema).schema_id == schema_id
assert other.get_schema(schema_id, subject_name=alias).schema_str == schema.schema_str
# A producer to the topic of the other name needs nothing registered there.
context = SerializationContext(subject + "-alias", MessageField.VALUE)
data = AvroSerializer(other, schema, conf={"auto.register.schemas": False})({"a": 7}, context)
assert int.from_bytes(data[1:5], "big") == schema_id
assert AvroDeserializer(SchemaRegistryClient({"url": registry}))(data, context) == {"a": 7}
assert alias not in client.get_subjects()
print("kept")
"#;

#[test]
fn the_client_finds_a_subject_by_its_alias() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let subject = name("alias");
    let url = format!("{}/config/{subject}-alias-value", parts.registry());
    http("PUT", &url, &format!(r#"{{"alias": "{subject}"}}"#)).expect(200);
    assert_eq!(run_python(&python, ALIAS, &[&parts.registry(), &subject]), "kept\n");
}

const ASSOCIATIONS: &str = r#"
import sys
from confluent_kafka.schema_registry import (AssociationCreateOrUpdateInfo, AssociationCreateOrUpdateRequest, Schema,
    SchemaRegistryClient)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext
registry, topic = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
subject = topic + "-of-its-own"
schema = Schema('{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}', "AVRO")
first = client.register_schema(subject, schema)
def request(lifecycle):
    info = AssociationCreateOrUpdateInfo(subject=subject, association_type="value", lifecycle=lifecycle, frozen=False)
    return AssociationCreateOrUpdateRequest(resource_name=topic, resource_namespace="lkc-1", resource_id=topic + "-id",
                                            resource_type="topic", associations=[info])
made = client.create_association(request("STRONG"))
assert [(a.subject, a.lifecycle) for a in made.associations] == [(subject, "STRONG")], made
try:
    client.create_association(request("WEAK"))
    raise SystemExit("a second association was taken")
except SchemaRegistryError as error:
    assert (error.http_status_code, error.error_code) == (409, 40903), error
found = client.get_associations_by_resource_name(topic, "-", "topic", ["key", "value"])
assert [(a.subject, a.resource_id, a.frozen) for a in found] == [(subject, topic + "-id", False)], found
assert client.get_associations_by_resource_name(topic, "lkc-2", "topic") == []
# The serializer, unless told otherwise, takes the subject that the topic's values are associated with.
context = SerializationContext(topic, MessageField.VALUE)
data = AvroSerializer(client, schema)({"a": 7}, context)
assert int.from_bytes(data[1:5], "big") == first and topic + "-value" not in client.get_subjects()
assert AvroDeserializer(SchemaRegistryClient({"url": registry}))(data, context) == {"a": 7}
client.delete_associations(topic + "-id", "topic", ["value"], cascade_lifecycle=True)
assert client.get_associations_by_resource_name(topic, "lkc-1") == []
assert subject not in client.get_subjects(deleted=True)
print("kept")
"#;

#[test]
fn the_client_takes_the_subject_that_a_topic_is_associated_with() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    assert_eq!(run_python(&python, ASSOCIATIONS, &[&parts.registry(), &name("associated")]), "kept\n");
}

#[test]
fn the_command_registers_protobuf_with_its_imports() {
    let (world, parts) = shared();
    let (line, order) = (name("line"), name("order"));
    world.write(
        &format!("contracts/{line}.proto"),
        "syntax = \"proto3\";\nmessage Line { string name = 1; }\n",
    );
    let text = |field: &str| {
        format!(
            "syntax = \"proto3\";\nimport \"line.proto\";\nmessage Order {{ repeated Line lines = 1; {field} }}\n"
        )
    };
    let file = format!("contracts/{order}.proto");
    world.write(&file, text(""));
    world.ok(&["schema", "register", &line]);
    let reference = format!("line.proto={line}-value");
    world.run(&["schema", "register", &order]).expect_code(6);
    world.ok(&["schema", "register", &order, "--reference", &reference]);
    world.write(&file, text("int32 number = 2;"));
    let checked = world.ok(&["schema", "check", &order, "--reference", &reference]);
    assert!(checked.contains("can be registered"), "{checked}");
    let diff = world.ok(&["schema", "diff", &order]);
    assert!(diff.contains("the new schema reads data of the old one: yes"), "{diff}");
    world.ok(&["schema", "register", &order, "--reference", &reference]);
    let url = format!("{}/subjects/{line}-value/versions/1", parts.registry());
    let refused = http("DELETE", &url, "").expect(422).json();
    assert_eq!(refused["error_code"], 42206, "{refused}");
    let ids = http("GET", &format!("{url}/referencedby"), "").json();
    assert_eq!(ids.as_array().map(Vec::len), Some(2), "{ids}");
}

/// Registers a schema of its own for the number; its id.
fn register(registry: &str, number: usize) -> i64 {
    let body = format!(r#"{{"schema": "{{\"type\":\"fixed\",\"name\":\"f{number}\",\"size\":4}}"}}"#);
    let answer = http("POST", &format!("{registry}/subjects/s{number}/versions"), &body).expect(200).json();
    answer["id"].as_i64().unwrap()
}

#[test]
fn a_killed_registry_is_followed_by_another() {
    let (_, shared) = shared();
    let group = name("registries");
    let [mut one, mut two] = [(); 2].map(|()| {
        let mut world = world();
        world.set("TIDEMILL_BROKER_EXTERNAL", &shared.kafka()).set("TIDEMILL_REGISTRY_GROUP", &group);
        world.set("TIDEMILL_REGISTRY_TOPIC", &format!("_{group}"));
        world
    });
    let (first, second) = (one.up_with(&["--only", "registry"]), two.up_with(&["--only", "registry"]));
    // The first one leads, as it is the first to write; the second one passes on.
    let mut ids: Vec<i64> = (0..4).map(|number| register(&first.registry(), number)).collect();
    ids.extend((4..8).map(|number| register(&second.registry(), number)));
    one.kill();
    ids.extend((8..12).map(|number| register(&second.registry(), number)));
    let third = one.up_with(&["--only", "registry"]);
    ids.extend((12..16).map(|number| register(&third.registry(), number)));
    assert_eq!(ids, (1..=16).collect::<Vec<i64>>());
    let subjects = |registry: &str| http("GET", &format!("{registry}/subjects"), "").json();
    assert_eq!(subjects(&third.registry()).as_array().map(Vec::len), Some(16));
    assert_eq!(subjects(&third.registry()), subjects(&second.registry()));
    one.down();
    two.down();
}
