"""The peer of `tidemill load` into Firestore: JSON Lines by google-cloud-firestore's BulkWriter.

usage: load_firestore.py PROJECT COLLECTION FILE.jsonl      (with FIRESTORE_EMULATOR_HOST)
"""
import json
import sys

from google.cloud import firestore
from google.cloud.firestore_v1.bulk_writer import BulkWriterOptions

project, collection, file_name = sys.argv[1:]
client = firestore.Client(project=project)
# Without the ramp of 500 in a second, which is for collections that are new to the real service.
writer = client.bulk_writer(options=BulkWriterOptions(initial_ops_per_second=1_000_000, max_ops_per_second=1_000_000))
target = client.collection(collection)
failed = []
writer.on_write_error(lambda failure, _: failed.append(failure) or False)
with open(file_name, "rb") as file:
    for line in file:
        document = json.loads(line)
        writer.set(target.document(document.pop("id")), document)
writer.close()
assert not failed, failed[0]
