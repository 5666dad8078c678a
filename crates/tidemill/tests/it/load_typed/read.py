# The records of a topic as confluent-kafka's deserializers give them, each value with its type.
import sys
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, topic, kind, count = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})


def protobuf():
    """The class of the message by the descriptor that the registry gives out, with all that it imports."""
    import base64
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
    Field = descriptor_pb2.FieldDescriptorProto
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)

    def add(name, package, message, fields):
        file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
        made = file.message_type.add(name=message)
        for number, (field, kind) in enumerate(fields, 1):
            made.field.add(name=field, number=number, type=kind, label=Field.LABEL_OPTIONAL)
        pool.AddSerializedFile(file.SerializeToString())

    add("google/type/date.proto", "google.type", "Date",
        [("year", Field.TYPE_INT32), ("month", Field.TYPE_INT32), ("day", Field.TYPE_INT32)])
    add("confluent/type/decimal.proto", "confluent.type", "Decimal",
        [("value", Field.TYPE_BYTES), ("precision", Field.TYPE_UINT32), ("scale", Field.TYPE_INT32)])
    schema = client.get_latest_version(topic + "-value").schema_id
    file = descriptor_pb2.FileDescriptorProto()
    file.ParseFromString(base64.b64decode(client.get_schema(schema, fmt="serialized").schema_str))
    file.name = "typed.proto"
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Typed"))


def plain(value):
    """A message of Protobuf as what it says."""
    import datetime, decimal
    name = value.DESCRIPTOR.full_name
    if name == "google.type.Date":
        return datetime.date(value.year, value.month, value.day)
    if name == "google.protobuf.Timestamp":
        at = datetime.datetime.fromtimestamp(value.seconds, datetime.timezone.utc)
        return at.replace(microsecond=value.nanos // 1000)
    if name == "confluent.type.Decimal":
        return decimal.Decimal(int.from_bytes(value.value, "big", signed=True)).scaleb(-value.scale)
    found = {}
    for field in value.DESCRIPTOR.fields:
        if field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED:
            found[field.name] = list(getattr(value, field.name))
        elif field.has_presence and not value.HasField(field.name):
            found[field.name] = None
        elif field.message_type:
            found[field.name] = plain(getattr(value, field.name))
        else:
            found[field.name] = getattr(value, field.name)
    return found


if kind == "avro":
    deserialize = AvroDeserializer(client)
elif kind == "json-schema":
    deserialize = JSONDeserializer(None, schema_registry_client=client)
elif kind == "protobuf":
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer
    read = ProtobufDeserializer(protobuf(), {"use.deprecated.format": False}, schema_registry_client=client)
    deserialize = lambda data, context: plain(read(data, context))
else:
    import json
    deserialize = lambda data, context: json.loads(data)
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
consumer.assign([TopicPartition(topic, 0, 0)])
for _ in range(int(count)):
    message = consumer.poll(20)
    assert message is not None and message.error() is None, message
    row = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
    for name in sorted(row):
        print(name, "=", repr(row[name]))
    print()
consumer.close()
