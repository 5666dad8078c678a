# Collections with every type that there is, and what has become of them. Arguments: URI, what to do, collections.
import datetime
import sys

import pymongo
from bson import Binary, Code, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

uri, what, *names = sys.argv[1:]
database = pymongo.MongoClient(uri).letters


def document(number):
    moment = datetime.datetime(2024, 5, number, 12, 30, 15, 123000)
    return {
        "_id": ObjectId(f"6500000000000000000000{number:02}"),
        "id": number,
        "region": "eu" if number % 2 else None,
        "at": moment,
        "far": DatetimeMS(400_000_000_000_000 + number),
        "price": Decimal128("19.9900"),
        "vast": Decimal128("1E+6000"),
        "seal": Binary(bytes([0, 255, number])),
        "uuid": Binary(bytes(range(16)), 4),
        "own": Binary(b"own", 0x80),
        "wide": Int64(7),
        "whole": 2.0,
        "nothing": float("nan"),
        "less": float("-inf"),
        "exact": 1.1754943508222875e-38,
        "inner": {"days": [moment, None, {"a/b~c": moment}], "z": 1, "a": []},
        "log": Timestamp(1_700_000_000, number),
        "like": Regex("^N[0-9]+", "i"),
        "code": Code("return x", {"x": moment}),
        "last": MaxKey(),
    }


def raw(name):
    options = CodecOptions(document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_MS)
    found = database.get_collection(name, codec_options=options)
    return {str(one["_id"]): one.raw for one in found.find()}


if what == "fill":
    source, target = names
    database[source].insert_many([document(number) for number in range(1, 5)])
    database[target].insert_many([{"_id": document(number)["_id"], "other": True} for number in (2, 4)])
elif what == "clear":
    database[names[0]].delete_many({"other": True})
else:
    source, target = map(raw, names)
    print(len(target), source == target)
