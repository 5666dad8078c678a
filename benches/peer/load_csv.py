"""The peer of `tidemill load` into Kafka: a CSV file by confluent-kafka's JSON Schema or Avro serializer, as its examples do it.

usage: load_csv.py BOOTSTRAP REGISTRY TOPIC SCHEMA.json|SCHEMA.avsc FILE.csv KEY
"""
import csv
import json
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, topic, schema_file, data_file, key_column = sys.argv[1:]
schema = open(schema_file).read()
is_avro = schema_file.endswith(".avsc")
client = SchemaRegistryClient({"url": registry})
serialize = AvroSerializer(client, schema) if is_avro else JSONSerializer(schema, client)
context = SerializationContext(topic, MessageField.VALUE)
producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"})


def kind(types):
    """The first type that is not null."""
    types = types if isinstance(types, list) else [types]
    found = next(one for one in types if one != "null")
    return found.get("logicalType", found["type"]) if isinstance(found, dict) else found


def moment(text):
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00"))


convert = {
    "integer": int, "number": float, "string": str, "boolean": lambda text: text == "true",
    "int": int, "long": int, "double": float, "float": float, "timestamp-millis": moment,
    "date": lambda text: moment(text).date(),
}
if is_avro:
    types = {field["name"]: field["type"] for field in json.loads(schema)["fields"]}
else:
    types = {name: one.get("type", "string") for name, one in json.loads(schema)["properties"].items()}
columns = {name: convert[kind(one)] for name, one in types.items()}

start, count, failed = time.time(), 0, 0


def delivered(error, _):
    global failed
    failed += error is not None


with open(data_file, newline="") as file:
    for row in csv.DictReader(file):
        record = {name: (columns[name](text) if text not in ("", "NA") else None) for name, text in row.items()}
        while True:
            try:
                producer.produce(topic, key=row[key_column], value=serialize(record, context), on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        count += 1
producer.flush()
assert failed == 0, f"{failed} records were not delivered"
print(json.dumps({"records": count, "seconds": time.time() - start}))
