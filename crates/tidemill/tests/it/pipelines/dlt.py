"""Real dlt beside ours, over one collection of a mongod: `dlt.py COMMAND …`.

load STEP URI FOLDER PIPELINE…   brings the collection to what it is in this step, and loads it by dlt, once for each PIPELINE
compare OURS THEIRS PIPELINE…    holds what lies in both folders against each other; the first difference ends it

A PIPELINE is DISPOSITION_FORMAT. The resource does what dlt's verified source `mongodb` does, which is on no package index.
"""

import base64
import csv
import datetime
import glob
import gzip
import json
import os
import re
import sys
import zlib

DATASET = "planes"
COLLECTION = "orders"
DAY = datetime.datetime(2024, 1, 2, 3, 4, 5, 678000)


def at(minutes):
    return DAY + datetime.timedelta(minutes=minutes)


def documents(bson):
    """What is there in the first step: three levels, lists of lists, every type that dlt's source converts, nulls, clashes."""
    number = bson.Decimal128
    yield {
        "_id": bson.ObjectId("65a000000000000000000001"),
        "n": 1,
        "updated_at": at(1),
        "customerName": "Åse",
        "customer": {"name": "Åse", "since": datetime.datetime(1969, 7, 20), "address": {"city": "Oslo", "geo": {"lat": 59.9, "lon": 10.75}}},
        "lines": [
            {"sku": "a", "qty": 1, "price": number("1.50"), "taxes": [{"code": "x", "rate": 0.25}, {"code": "y", "rate": 1}]},
            {"sku": "b", "qty": 2, "price": number("1E+3"), "taxes": []},
        ],
        "matrix": [[1, 2], [3], []],
        "deep": [[[1], [2, {"k": [True]}]]],
        "tags": ["a", None, "b"],
        "size": 1,
        "rating": 4,
        "note": None,
        "total": number("12345678901234567890.123456789"),
        "big": bson.Int64(2**40),
        "blob": b"abc",
        "flag": True,
        "stamp": bson.Timestamp(1700000000, 3),
        "pattern": bson.Regex("^a.*", "i"),
        "empty": {},
    }
    yield {"_id": bson.ObjectId("65a000000000000000000002"), "n": 2, "updated_at": at(2), "size": 2, "rating": 4.5, "flag": None}
    yield {
        "_id": bson.ObjectId("65a000000000000000000003"),
        "n": 3,
        "updated_at": at(3),
        "customer": None,
        "lines": [{"sku": 7, "qty": 1.5}, None, "loose"],
        "size": 3,
        "rating": "good",
        "when": "2024-01-02T03:04:05Z",
    }
    yield {"_id": bson.ObjectId("65a000000000000000000004"), "n": 4, "updated_at": at(3), "customer": {"address": "none"}, "flag": "yes"}


def change(orders, bson):
    """The second step: a changed document, a new one at the last value of the cursor, a new column, a variant, a new child table."""
    changed = {"updated_at": at(10), "note": "at last", "size": "large", "returns": [{"sku": "a", "why": {"code": 5}}]}
    orders.update_one({"n": 2}, {"$set": changed})
    orders.insert_many(
        [
            {"_id": bson.ObjectId("65a000000000000000000005"), "n": 5, "updated_at": at(3), "size": 5},
            {
                "_id": bson.ObjectId("65a000000000000000000006"),
                "n": 6,
                "updated_at": at(11),
                "lines": [{"sku": "c", "discount": {"percent": 10}}],
                "customer": {"address": {"geo": {"lat": "north"}}},
                "blob": bson.Binary("ø".encode(), 128),
            },
        ]
    )


def converted(value, bson):
    """`convert_mongo_objs` and `map_nested_in_place` of the verified source."""
    from dlt.common.time import ensure_pendulum_datetime as moment

    if isinstance(value, dict):
        return {name: converted(inner, bson) for name, inner in value.items()}
    if isinstance(value, list):
        return [converted(inner, bson) for inner in value]
    if isinstance(value, (bson.ObjectId, bson.Decimal128)):
        return str(value)
    if isinstance(value, datetime.datetime):
        return moment(value)
    if isinstance(value, bson.Regex):
        return value.try_compile().pattern
    if isinstance(value, bson.Timestamp):
        return moment(value.as_datetime())
    return value


def load(step, uri, folder, *pipelines):
    os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR", DLT_DATA_DIR=f"{folder}/data", HOME=folder)
    import bson
    import dlt
    import pymongo

    orders = pymongo.MongoClient(uri).get_default_database()[COLLECTION]
    if step == "1":
        orders.insert_many(list(documents(bson)))
    elif step == "2":
        change(orders, bson)

    def found(cursor=None):
        wanted = {}
        if cursor is not None and cursor.last_value is not None:
            wanted = {cursor.cursor_path: {"$gte": cursor.last_value}}
        batch = [converted(document, bson) for document in orders.find(wanted)]
        if batch:
            yield batch

    def new_ones(updated_at=dlt.sources.incremental("updated_at")):
        yield from found(updated_at)

    for name in pipelines:
        disposition, file_format = name.split("_")
        resource = dlt.resource(
            new_ones if disposition == "append" else found,
            name=COLLECTION,
            primary_key="_id",
            write_disposition=disposition,
        )
        pipeline = dlt.pipeline(
            name,
            destination=dlt.destinations.filesystem(f"file://{folder}/{name}"),
            dataset_name=DATASET,
            pipelines_dir=f"{folder}/pipelines",
        )
        pipeline.run(resource, **({} if file_format == "jsonl" else {"loader_file_format": file_format}))


class Lake:
    """What one side has written."""

    def __init__(self, folder):
        self.folder = folder
        self.loads = sorted(self.rows("_dlt_loads"), key=lambda row: float(row["load_id"]))
        self.number = {row["load_id"]: place for place, row in enumerate(self.loads)}

    def files(self, table):
        return sorted(glob.glob(f"{self.folder}/{table}/*"))

    def tables(self):
        return sorted(name for name in os.listdir(self.folder) if os.path.isdir(f"{self.folder}/{name}") and self.files(name))

    def rows(self, table):
        for path in self.files(table):
            if path.endswith(".parquet"):
                import pyarrow.parquet

                for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
                    yield {name: value for name, value in row.items() if value is not None}
                continue
            with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as lines:
                if ".csv" in path:
                    yield from ({name: text for name, text in row.items() if text != ""} for row in csv.DictReader(lines))
                else:
                    yield from (json.loads(line) for line in lines)

    def versions(self):
        versions = sorted(self.rows("_dlt_version"), key=lambda row: int(row["version"]))
        for row in versions:
            row["schema"] = json.loads(row["schema"])
            # Of the target, and not of the data.
            row["schema"]["tables"][COLLECTION].pop("file_format", None)
            for name, table in row["schema"]["tables"].items():
                row["schema"]["tables"][name] = table | {"columns": list(table["columns"].items())}
        return versions

    def states(self):
        for row in sorted(self.rows("_dlt_pipeline_state"), key=lambda row: row["version"]):
            state = json.loads(zlib.decompress(base64.b64decode(row["state"])))
            for resource in next(iter(state["sources"].values())).get("resources", {}).values():
                for cursor in resource["incremental"].values():
                    # A set, to dlt.
                    cursor["unique_hashes"].sort()
            yield row, state

    def shape(self, table):
        """Names, types and nullability of a Parquet table's columns, file by file."""
        import pyarrow.parquet

        schemas = [pyarrow.parquet.read_schema(path) for path in self.files(table) if path.endswith(".parquet")]
        return sorted({(field.name, str(field.type), field.nullable) for schema in schemas for field in schema})

    def named(self):
        """All rows, their ids by what they are: the document's number and load, then the places in lists."""
        tables = [name for name in self.tables() if not name.startswith("_dlt")]
        rows = {name: list(self.rows(name)) for name in tables}
        names = {}
        for row in rows[COLLECTION]:
            assert len(row["_dlt_id"]) == 14, row
            names[row["_dlt_id"]] = f"{row['n']} of {self.number[row['_dlt_load_id']]}"
        for table in sorted(tables, key=lambda name: name.count("__")):
            for row in rows[table] if table != COLLECTION else []:
                above = names[row["_dlt_parent_id"]]
                names[row["_dlt_id"]] = f"{above}, {table} {row['_dlt_list_idx']}"
        assert len(names) == sum(map(len, rows.values())), "an id stands for two rows"
        for row in (row for table in rows.values() for row in table):
            for column in ("_dlt_id", "_dlt_parent_id"):
                if column in row:
                    row[column] = names[row[column]]
            if "_dlt_load_id" in row:
                row["_dlt_load_id"] = self.number[row["_dlt_load_id"]]
        return {name: sorted(table, key=lambda row: row["_dlt_id"]) for name, table in rows.items()}


def same(what, ours, theirs):
    if ours == theirs:
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in {**ours, **theirs}:
            same(f"{what}.{name}", ours.get(name), theirs.get(name))
    if isinstance(ours, list) and isinstance(theirs, list):
        for place, (own, other) in enumerate(zip(ours, theirs)):
            same(f"{what}[{place}]", own, other)
    sys.exit(f"{what}\n  ours    {ours!r}\n  dlt's   {theirs!r}")


def file_names(lake, table):
    """Of a data table LOAD.ID.EXT, of dlt's own NAME__LOAD…; numbers as #, ids as @."""
    names = [os.path.basename(path) for path in lake.files(table)]
    names = [re.sub(r"\d{10}\.\d+", "#", name) for name in names]
    return sorted({re.sub(r"\b[0-9a-f]{10}\b|(?<=__)[0-9a-f]{64}\b", "@", name) for name in names})


def compare_one(name, ours, theirs):
    same(f"{name} tables", ours.tables(), theirs.tables())
    for table in ours.tables():
        same(f"{name} files of {table}", file_names(ours, table), file_names(theirs, table))
        same(f"{name} columns of {table}", ours.shape(table), theirs.shape(table))
    for table, rows in theirs.named().items():
        same(f"{name} rows of {table}", ours.named()[table], rows)
    own, other = ours.versions(), theirs.versions()
    is_asked = not name.endswith("jsonl")
    for row in own + other:
        # The hashes before are of what dlt has in mind between two steps, and shows nobody.
        row.pop("inserted_at"), row["schema"].pop("previous_hashes", None)
        if is_asked:
            # Where a format was asked for, dlt's schema says so, and so does the hash of it.
            row.pop("version_hash"), row["schema"].pop("version_hash")
    same(f"{name} _dlt_version", own, other)
    for own, other in zip(ours.loads, theirs.loads):
        for row in (own, other):
            row.pop("load_id"), row.pop("inserted_at")
            row.pop("schema_version_hash") if is_asked else None
        same(f"{name} _dlt_loads", own, other)
    same(f"{name} number of loads", len(ours.loads), len(theirs.loads))
    own, other = list(ours.states()), list(theirs.states())
    same(f"{name} number of states", len(own), len(other))
    for (row, state), (their_row, their_state) in zip(own, other):
        same(f"{name} columns of _dlt_pipeline_state", sorted(row), sorted(their_row))
        for column in ("version", "engine_version", "pipeline_name"):
            same(f"{name} _dlt_pipeline_state.{column}", row[column], their_row[column])
        # What ours says beside, and what hashes it.
        for key in ("tidemill", "_version_hash"):
            state.pop(key, None), their_state.pop(key, None)
        same(f"{name} state", state, their_state)


def compare(ours, theirs, *pipelines):
    for name in pipelines:
        compare_one(name, Lake(f"{ours}/{name}/{DATASET}"), Lake(f"{theirs}/{name}/{DATASET}"))
    print("same")


{"load": load, "compare": compare}[sys.argv[1]](*sys.argv[2:])
