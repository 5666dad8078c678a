# Two states of one database: crash_before, and crash_after with what a second load finds. Argument: uri.
import random
import sys

import pymongo

client = pymongo.MongoClient(sys.argv[1])
chance = random.Random(1)


def document(n):
    return {"_id": n, "n": n, "at": n // 3, "tail": {"number": f"N{n}"}, "seats": [{"row": 1}, {"row": n % 7}]}


def manual(n):
    # Sixty of them are more than one part of an upload.
    return {"_id": n, "n": n, "at": n, "text": f"{n:08}" + chance.randbytes(50_000).hex()}


for name, planes, airports, manuals in [("crash_before", 1_000, range(400), 1), ("crash_after", 1_800, range(5, 605), 60)]:
    database = client[name]
    database.planes.insert_many([document(n) for n in range(planes)])
    database.airports.insert_many([document(n) for n in airports])
    database.manuals.insert_many([manual(n) for n in range(manuals)])
