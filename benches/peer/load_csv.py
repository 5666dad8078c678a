"""The peer of `tidemill load`: a CSV file to Kafka by confluent-kafka's JSON Schema serializer, as its examples do it.

usage: load_csv.py BOOTSTRAP REGISTRY TOPIC SCHEMA.json FILE.csv KEY
"""
import csv
import json
import sys
import time

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

bootstrap, registry, topic, schema_file, data_file, key_column = sys.argv[1:]
schema = open(schema_file).read()
serialize = JSONSerializer(schema, SchemaRegistryClient({"url": registry}))
context = SerializationContext(topic, MessageField.VALUE)
producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"})


def kind(column):
    """The first type that is not null."""
    types = column.get("type", "string")
    types = [types] if isinstance(types, str) else types
    return next(name for name in types if name != "null")


convert = {"integer": int, "number": float, "string": str, "boolean": lambda text: text == "true"}
columns = {name: convert[kind(column)] for name, column in json.loads(schema)["properties"].items()}

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
