# Compares datasets in S3 with the first of them, and looks for what a dead life left: hidden objects, objects of no load,
# uploads without an end. Arguments: endpoint, access key, secret key, datasets. Prints the rows of the first.
import collections
import json
import sys

import boto3

endpoint, access_key, secret_key, *names = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=access_key,
                  aws_secret_access_key=secret_key)
IDS = {"_dlt_id", "_dlt_load_id", "_dlt_parent_id"}


def keys(dataset):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=f"crash/{dataset}/")
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def rows(key):
    body = s3.get_object(Bucket="lake", Key=key)["Body"].read()
    return [json.loads(line) for line in body.splitlines()]


def tables(dataset):
    found, loads, of_loads = collections.defaultdict(collections.Counter), set(), {}
    for key in keys(dataset):
        table, file = key.split("/")[2], key.split("/")[-1]
        if table == "_dlt_loads":
            loads.update(row["load_id"] for row in rows(key))
        elif table == "_staging":
            sys.exit(f"{dataset}: {key} is left")
        elif not table.startswith("_") and file != "init":
            if file.count(".") > 1:  # the layout names the load
                of_loads[key] = ".".join(file.split(".")[:2])
            plain = ({name: value for name, value in row.items() if name not in IDS} for row in rows(key))
            found[table].update(json.dumps(row, sort_keys=True) for row in plain)
    orphans = [key for key, load in of_loads.items() if load not in loads]
    if orphans or len(loads) != 2:
        sys.exit(f"{dataset}: {orphans} of no load, of {sorted(loads)}")
    return found


wanted = tables(names[0])
for name in names[1:]:
    found = tables(name)
    for table in wanted.keys() | found.keys():
        missing, more = wanted[table] - found[table], found[table] - wanted[table]
        if missing or more:
            sys.exit(f"{name}: {table} lacks {missing.total()} rows and has {more.total()} more")
uploads = [upload["Key"] for upload in s3.list_multipart_uploads(Bucket="lake").get("Uploads", [])]
left = [key for key in uploads if key.startswith("crash/") and key.split("/")[1] in names]
if left:
    sys.exit(f"uploads without an end: {left}")
print(sum(table.total() for table in wanted.values()))
