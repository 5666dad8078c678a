"""The peer of `tidemill run`: a MongoDB collection to files by dlt, as its own MongoDB source reads them.

usage: dlt_mongo.py URI DATABASE COLLECTION FOLDER parquet|jsonl
"""
import datetime
import json
import sys
import time

import dlt
import pymongo
from bson import Decimal128, ObjectId

uri, database, collection, folder, file_format = sys.argv[1:]
PAGE = 10_000


def plain(value):
    """What dlt can type: its MongoDB source turns ids and decimals into texts too."""
    if isinstance(value, (ObjectId, Decimal128)):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.timezone.utc)
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


@dlt.resource(name=collection, write_disposition="append", primary_key="_id")
def documents():
    cursor = pymongo.MongoClient(uri)[database][collection].find(batch_size=PAGE)
    page = []
    for document in cursor:
        page.append(plain(document))
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


start = time.time()
pipeline = dlt.pipeline("bench", destination=dlt.destinations.filesystem(bucket_url=folder), dataset_name="lake")
pipeline.run(documents(), loader_file_format=file_format)
rows = pipeline.last_trace.last_normalize_info.row_counts
print(json.dumps({"rows": rows[collection], "seconds": time.time() - start}))
