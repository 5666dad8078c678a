# What the REST proxy writes confluent-kafka reads with its own deserializers, and the other way round: five formats, v2 and v3.
import base64, json, sys, time
import requests
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

rest, kafka, registry, prefix = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
admin = AdminClient({"bootstrap.servers": kafka})
cluster = requests.get(rest + "/v3/clusters").json()["data"][0]["cluster_id"]

AVRO = {"type": "record", "name": "Flight", "namespace": "a.b", "fields": [
    {"name": "number", "type": "int"}, {"name": "tail", "type": ["null", "string"], "default": None},
    {"name": "raw", "type": "bytes"}, {"name": "stops", "type": {"type": "array", "items": "string"}}]}
JSON = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Flight", "type": "object",
        "properties": {"number": {"type": "integer"}, "tail": {"type": "string"}}, "required": ["number"]}
PROTOBUF = 'syntax = "proto3";\npackage a.b;\n\nmessage Flight {\n  int32 flight_number = 1;\n  string tail = 2;\n  repeated int64 stops = 3;\n}\n'

Field = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name=prefix + "/flight.proto", package="a.b", syntax="proto3")
flight = file.message_type.add(name="Flight")
for number, (name, kind, label) in enumerate([("flight_number", Field.TYPE_INT32, Field.LABEL_OPTIONAL),
        ("tail", Field.TYPE_STRING, Field.LABEL_OPTIONAL), ("stops", Field.TYPE_INT64, Field.LABEL_REPEATED)]):
    flight.field.add(name=name, number=number + 1, type=kind, label=label)
pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(file.SerializeToString())
Flight = message_factory.GetMessageClass(pool.FindMessageTypeByName("a.b.Flight"))
protobuf_config = {"use.deprecated.format": False}

# By format: schema text, what REST takes, what REST gives, what Python has, writer and reader.
FORMATS = {
    "binary": (None, base64.b64encode(b"\0\xff!").decode(), None, b"\0\xff!", lambda v, c: v, lambda v, c: v),
    "json": (None, {"a": [1, None, "x"]}, None, {"a": [1, None, "x"]}, lambda v, c: json.dumps(v).encode(),
             lambda v, c: json.loads(v)),
    "avro": (json.dumps(AVRO), {"number": 7, "tail": {"string": "N1"}, "raw": "\x00\xff", "stops": ["EWR"]}, None,
             {"number": 7, "tail": "N1", "raw": b"\0\xff", "stops": ["EWR"]},
             AvroSerializer(client, json.dumps(AVRO)), AvroDeserializer(client)),
    "jsonschema": (json.dumps(JSON), {"number": 7, "tail": "N1"}, None, {"number": 7, "tail": "N1"},
                   JSONSerializer(json.dumps(JSON), client), JSONDeserializer(None, schema_registry_client=client)),
    "protobuf": (PROTOBUF, {"flight_number": 7, "tail": "N1", "stops": [1, 2]},
                 {"flightNumber": 7, "tail": "N1", "stops": ["1", "2"]}, Flight(flight_number=7, tail="N1", stops=[1, 2]),
                 ProtobufSerializer(Flight, client, protobuf_config), ProtobufDeserializer(Flight, protobuf_config, client)),
}


def ask(method, path, status, body=None, format=None):
    media = "application/vnd.kafka%s.v2+json" % ("." + format if format else "")
    answer = requests.request(method, rest + path, json=body, headers={"Content-Type": media, "Accept": media})
    assert answer.status_code == status, (method, path, answer.status_code, answer.text)
    return answer.json() if answer.content else None


def read_by_confluent(topic, count):
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic + "-confluent", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    records = []
    while len(records) < count:
        record = consumer.poll(30)
        assert record is not None and record.error() is None, record and record.error()
        records.append(record)
    consumer.close()
    return records


def read_by_rest(topic, format, count):
    group = topic + "-rest"
    made = ask("POST", "/consumers/" + group, 200, {"name": "one", "format": format, "auto.offset.reset": "earliest"})
    uri = made["base_uri"]
    assert uri.startswith(rest), uri
    path = uri[len(rest):]
    ask("POST", path + "/subscription", 204, {"topics": [topic]})
    records, until = [], time.time() + 60
    while len(records) < count:
        assert time.time() < until, records
        records += ask("GET", path + "/records", 200, format=format)
    ask("DELETE", path, 204)
    return records


for format, (schema, given, shown, native, write, read) in FORMATS.items():
    topic = prefix + "-" + format
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    context = SerializationContext(topic, MessageField.VALUE)
    body = {"records": [{"value": given}]}
    if schema:
        body["value_schema"] = schema
    told = ask("POST", "/topics/" + topic, 200, body, format)
    assert told["offsets"] == [{"partition": 0, "offset": 0, "error_code": None, "error": None}], told
    assert bool(told["value_schema_id"]) == bool(schema), told
    value = {"type": format.upper(), "data": given}
    if schema:
        value["schema"] = schema
    record = {"key": {"type": "STRING", "data": "k"}, "value": value, "headers": [{"name": "h", "value": "djE="}],
              "timestamp": "2021-02-05T19:14:42Z"}
    line = requests.post("%s/v3/clusters/%s/topics/%s/records" % (rest, cluster, topic), json=record).json()
    assert (line["error_code"], line["partition_id"], line["offset"]) == (200, 0, 1), line
    assert line.get("value", {}).get("schema_id") == told["value_schema_id"], line
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, key=b"k" if format == "binary" else None, value=write(native, context))
    assert producer.flush(30) == 0
    records = read_by_confluent(topic, 3)
    for record in records:
        assert read(record.value(), context) == native, (format, record.value())
    # All three are the same bytes, but for how JSON is spaced.
    if format not in ("json", "jsonschema"):
        assert len({record.value() for record in records}) == 1, [record.value() for record in records]
    second = records[1]
    assert (second.key(), second.headers(), second.timestamp()[1]) == (b"k", [("h", b"v1")], 1612552482000), second.headers()
    # The key of the second is no key of these formats: only binary takes everything.
    values = [record["value"] for record in read_by_rest(topic, format, 3)] if format == "binary" else None
    if values is None:
        topic += "-values"
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
        context = SerializationContext(topic, MessageField.VALUE)
        producer.produce(topic, value=write(native, context))
        producer.produce(topic, value=None)
        assert producer.flush(30) == 0
        values = [record["value"] for record in read_by_rest(topic, format, 2)]
        assert values.pop() is None
    assert all(value == (shown or given) for value in values), (format, values)
    print(format, "both ways")
