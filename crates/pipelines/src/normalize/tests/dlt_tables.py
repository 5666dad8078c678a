"""Real dlt over the cases of a test: `dlt_tables.py CASES FORMAT FOLDER` prints the schema and all rows as JSON.

CASES is a JSON file of "names", which are normalized for a target that takes 63 characters, and of "cases":
{"name", "documents", "columns", "primary_key", "max_nesting", "disposition"}. Values that JSON
does not have are objects with one field: $timestamp_us, $date, $time_us, $decimal, $bytes.
"""

import base64
import datetime
import decimal
import glob
import gzip
import json
import os
import sys

import dlt
from dlt.common.json import json as dlt_json
from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase

SPECIAL = {
    "$timestamp_us": lambda us: datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    + datetime.timedelta(microseconds=us),
    "$date": lambda days: datetime.date(1970, 1, 1) + datetime.timedelta(days=days),
    "$time_us": lambda us: (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us)).time(),
    "$decimal": decimal.Decimal,
    "$bytes": base64.b64decode,
}


def plain(value):
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name in SPECIAL:
                return SPECIAL[name](inner)
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def resource(case):
    def documents():
        yield from (plain(document) for document in case["documents"])

    return dlt.resource(
        documents,
        name=case["name"],
        columns=case.get("columns"),
        primary_key=case.get("primary_key"),
        max_table_nesting=case.get("max_nesting"),
        write_disposition=case.get("disposition", "append"),
        schema_contract=case.get("contract"),
    )


def lines_of(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        yield from lines


def rows_of(folder, table):
    for path in sorted(glob.glob(f"{folder}/data/{table}/*")):
        if ".csv" in path:
            yield from lines_of(path)
        elif ".jsonl" in path:
            yield from (json.loads(line) for line in lines_of(path))
        elif path.endswith(".parquet"):
            import pyarrow.parquet

            for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
                row = {name: value for name, value in row.items() if value is not None}
                yield json.loads(dlt_json.dumps(row))


def fields_of(folder, table):
    fields = {}
    for path in sorted(glob.glob(f"{folder}/data/{table}/*.parquet")):
        import pyarrow.parquet

        for field in pyarrow.parquet.read_schema(path):
            fields[field.name] = [str(field.type), field.nullable]
    return fields


def main():
    cases_path, file_format, folder = sys.argv[1:]
    with open(cases_path, encoding="utf-8") as file:
        given = json.load(file)
    cases = given["cases"]

    @dlt.source(name="compare")
    def compare():
        for case in cases:
            yield resource(case)

    pipeline = dlt.pipeline(
        "compare",
        destination=dlt.destinations.filesystem(f"file://{folder}"),
        dataset_name="data",
        pipelines_dir=f"{folder}/pipelines",
    )
    arguments = {} if file_format == "jsonl" else {"loader_file_format": file_format}
    pipeline.run(compare(), **arguments)
    (version,) = rows_of(folder, "_dlt_version")
    tables = [name for name in json.loads(version["schema"])["tables"] if not name.startswith("_dlt")]
    json.dump(
        {
            "version": version,
            "states": list(rows_of(folder, "_dlt_pipeline_state")),
            "loads": list(rows_of(folder, "_dlt_loads")),
            "rows": {name: list(rows_of(folder, name)) for name in tables},
            "names": [SnakeCase(63).normalize_path(name) for name in given["names"]],
            "fields": {name: fields_of(folder, name) for name in tables},
        },
        sys.stdout,
    )


main()
