"""Fills a MongoDB collection with nested orders, the same ones each time.

usage: fill_mongo.py URI DATABASE COLLECTION DOCUMENTS
"""
import datetime
import random
import sys

import pymongo
from bson import Decimal128, ObjectId

uri, database, collection, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
random.seed(7)
target = pymongo.MongoClient(uri)[database][collection]
target.drop()
start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
cities = ["Lisbon", "Nairobi", "Osaka", "Quito", "Tallinn", "Winnipeg"]


def order(number):
    """About 1 KB, three levels deep, with a list of objects and a list of texts."""
    return {
        "_id": ObjectId((1_700_000_000 + number).to_bytes(4, "big") + number.to_bytes(8, "big")),
        "number": number,
        "status": random.choice(["open", "paid", "shipped", "returned"]),
        "total": round(random.uniform(5, 500), 2),
        "tax": Decimal128(f"{random.randint(100, 9999) / 100:.2f}"),
        "created_at": start + datetime.timedelta(seconds=number),
        "updated_at": start + datetime.timedelta(seconds=number + random.randint(0, 86_400)),
        "is_gift": random.random() < 0.1,
        "note": "x" * random.randint(20, 160),
        "customer": {
            "id": random.randint(1, 50_000),
            "name": f"Customer {random.randint(1, 50_000)}",
            "email": f"c{number}@example.org",
            "address": {
                "street": f"{random.randint(1, 999)} Long Street",
                "city": random.choice(cities),
                "zip": f"{random.randint(10_000, 99_999)}",
                "location": {"lat": random.uniform(-90, 90), "lon": random.uniform(-180, 180)},
            },
        },
        "lines": [
            {"sku": f"SKU-{random.randint(1, 9_999):04}", "quantity": random.randint(1, 9), "price": random.uniform(1, 99)}
            for _ in range(random.randint(1, 4))
        ],
        "tags": random.sample(["new", "vip", "web", "shop", "eu", "us"], random.randint(0, 3)),
    }


for first in range(0, count, 10_000):
    target.insert_many([order(number) for number in range(first, min(first + 10_000, count))], ordered=False)
