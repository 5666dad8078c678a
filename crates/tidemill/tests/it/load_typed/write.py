# Two records with all that JSON has no word for.
import datetime, decimal, sys
import fastavro
import pyarrow as pa, pyarrow.parquet as pq

folder = sys.argv[1]
utc = datetime.timezone.utc
rows = [
    {"id": 1, "day": datetime.date(2013, 1, 31), "at": datetime.datetime(2013, 1, 31, 10, 0, 0, 250000, utc),
     "price": decimal.Decimal("12.50"), "seal": b"\x00\xff", "place": {"lat": 1.5, "ok": True}, "tags": ["x", "y"]},
    {"id": 2, "day": datetime.date(1969, 12, 31), "at": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000, utc),
     "price": decimal.Decimal("-0.05"), "seal": None, "place": {"lat": -1.0, "ok": False}, "tags": []},
]
schema = pa.schema([
    ("id", pa.int64()), ("day", pa.date32()), ("at", pa.timestamp("us", "UTC")), ("price", pa.decimal128(9, 2)),
    ("seal", pa.binary()), ("place", pa.struct([("lat", pa.float64()), ("ok", pa.bool_())])), ("tags", pa.list_(pa.string())),
])
pq.write_table(pa.Table.from_pylist(rows, schema), folder + "/typed.parquet")
avro = {"type": "record", "name": "Typed", "fields": [
    {"name": "id", "type": "long"},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "seal", "type": ["null", "bytes"]},
    {"name": "place", "type": {"type": "record", "name": "Place", "fields": [
        {"name": "lat", "type": "double"}, {"name": "ok", "type": "boolean"}]}},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
]}
with open(folder + "/typed.avro", "wb") as out:
    fastavro.writer(out, fastavro.parse_schema(avro), rows)
