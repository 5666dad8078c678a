# Reads a file with programs that know nothing of tidemill; prints a line of JSON for each row. Argument: the file.
import csv
import datetime
import decimal
import gzip
import io
import json
import subprocess
import sys

path = sys.argv[1]
bare = path.removesuffix(".gz").removesuffix(".zst")


def plain(value):
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def text():
    if path.endswith(".gz"):
        return gzip.open(path, "rt", newline="").read()
    if path.endswith(".zst"):
        import pyarrow
        data = open(path, "rb").read()
        return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read().decode()
    return open(path, newline="").read()


if bare.endswith(".parquet"):
    import pyarrow.parquet
    rows = pyarrow.parquet.read_table(path).to_pylist()
elif bare.endswith(".avro"):
    import fastavro
    rows = list(fastavro.reader(open(path, "rb")))
elif bare.endswith(".jsonl"):
    rows = [json.loads(line) for line in text().splitlines()]
elif bare.endswith(".json"):
    rows = json.loads(text())
else:
    first = text().split("\n")[0]
    delimiter = next(one for one in "\t|;," if one in first or one == ",")
    rows = list(csv.DictReader(io.StringIO(text(), newline=""), delimiter=delimiter))
for row in rows:
    print(json.dumps({name: plain(value) for name, value in row.items()}))
