"""The peer of `tidemill load` into MongoDB: JSON Lines by pymongo's insert_many, in batches of 1,000.

usage: load_mongo.py URI DATABASE COLLECTION FILE.jsonl | count | drop
"""
import json
import sys
from itertools import islice

import pymongo

uri, database, collection, what = sys.argv[1:]
target = pymongo.MongoClient(uri)[database][collection]
if what == "count":
    print(target.count_documents({}))
elif what == "drop":
    target.drop()
else:
    with open(what, "rb") as file:
        while batch := [json.loads(line) for line in islice(file, 1_000)]:
            target.insert_many(batch, ordered=False)
