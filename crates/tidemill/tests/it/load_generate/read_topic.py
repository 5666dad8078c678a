# Reads a topic to its end by Confluent's deserializer of that kind, which holds records against their schema; prints how many there
# are, how many keys, and the first one.
import json
import sys

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, topic, kind = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
schema = client.get_latest_version(f"{topic}-value").schema.schema_str
read = AvroDeserializer(client) if kind == "avro" else JSONDeserializer(schema, schema_registry_client=client)
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1]
consumer.assign([TopicPartition(topic, 0, 0)])
records, keys = [], set()
while len(records) < end:
    message = consumer.poll(10)
    assert message is not None and message.error() is None, message
    records.append(read(message.value(), SerializationContext(topic, MessageField.VALUE)))
    keys.add(message.key())
print(json.dumps({"records": len(records), "keys": len(keys), "first": records[0]}, default=str))
