"""The peer of `tidemill run` from DynamoDB: a scan by boto3, written by pyarrow.

usage: scan_dynamodb.py ENDPOINT TABLE FILE.parquet
"""
import json
import sys
import time
from decimal import Decimal

import boto3
import pyarrow
import pyarrow.parquet

endpoint, table_name, file_name = sys.argv[1:]
start = time.time()
table = boto3.resource("dynamodb", endpoint_url=endpoint, region_name="us-east-1").Table(table_name)


def plain(value):
    """DynamoDB's numbers come as Decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


writer, count, more = None, 0, {}
while True:
    page = table.scan(**more)
    rows = [{name: plain(value) for name, value in item.items()} for item in page["Items"]]
    if rows:
        columns = pyarrow.Table.from_pylist(rows, schema=writer.schema if writer else None)
        writer = writer or pyarrow.parquet.ParquetWriter(file_name, columns.schema)
        writer.write_table(columns)
        count += len(rows)
    if "LastEvaluatedKey" not in page:
        break
    more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
if writer:
    writer.close()
print(json.dumps({"rows": count, "seconds": time.time() - start}))
