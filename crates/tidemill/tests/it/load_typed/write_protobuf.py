# Three records of two messages of one file into a topic, by confluent-kafka's serializer.
import sys
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2

bootstrap, registry, topic = sys.argv[1:]
Field = descriptor_pb2.FieldDescriptorProto
pool = descriptor_pool.DescriptorPool()
for known in (timestamp_pb2, wrappers_pb2):
    pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)


def field(message, number, name, kind, of=None, label=Field.LABEL_OPTIONAL, **more):
    message.field.add(name=name, number=number, type=kind, type_name=of, label=label, **more)


line = descriptor_pb2.FileDescriptorProto(name=topic + "/line.proto", package="shop", syntax="proto3")
message = line.message_type.add(name="Line")
field(message, 1, "name", Field.TYPE_STRING)
field(message, 2, "count", Field.TYPE_SINT32)
order = descriptor_pb2.FileDescriptorProto(
    name=topic + "/order.proto", package="shop", syntax="proto3",
    dependency=[line.name, "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"])
size = order.enum_type.add(name="Size")
size.value.add(name="SMALL", number=0)
size.value.add(name="LARGE", number=7)
order.message_type.add(name="Nothing")
message = order.message_type.add(name="Order")
field(message, 1, "id", Field.TYPE_UINT64)
field(message, 2, "size", Field.TYPE_ENUM, ".shop.Size")
field(message, 3, "at", Field.TYPE_MESSAGE, ".google.protobuf.Timestamp")
field(message, 4, "note", Field.TYPE_MESSAGE, ".google.protobuf.StringValue")
field(message, 5, "lines", Field.TYPE_MESSAGE, ".shop.Line", Field.LABEL_REPEATED)
message.oneof_decl.add(name="paid")
field(message, 6, "card", Field.TYPE_STRING, oneof_index=0)
field(message, 7, "cash", Field.TYPE_BOOL, oneof_index=0)
field(message, 8, "seal", Field.TYPE_BYTES)
entry = message.nested_type.add(name="StockEntry")
entry.options.map_entry = True
field(entry, 1, "key", Field.TYPE_STRING)
field(entry, 2, "value", Field.TYPE_INT64)
field(message, 9, "stock", Field.TYPE_MESSAGE, ".shop.Order.StockEntry", Field.LABEL_REPEATED)
inner = message.nested_type.add(name="Inner")
field(inner, 1, "x", Field.TYPE_INT32)
for file in (line, order):
    pool.AddSerializedFile(file.SerializeToString())
of = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
Order, Line, Inner = of("shop.Order"), of("shop.Line"), of("shop.Order.Inner")
whole = Order(id=2**40 + 5, size=7, lines=[Line(name="bread", count=-3)], cash=False, seal=b"\x00\xff", stock={"b": 2, "a": 1})
whole.at.seconds, whole.at.nanos = 1700000000, 123456000
whole.note.value = ""
client = SchemaRegistryClient({"url": registry})
producer = Producer({"bootstrap.servers": bootstrap})
for sent in (whole, Order(id=1), Inner(x=5)):
    serializer = ProtobufSerializer(type(sent), client, {"use.deprecated.format": False})
    producer.produce(topic, serializer(sent, SerializationContext(topic, MessageField.VALUE)), partition=0)
assert producer.flush(30) == 0
