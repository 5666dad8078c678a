# Compares tables: with the rows of a CSV file, or with each other. Arguments: endpoint, CSV file or "-", tables.
import csv
import sys

import boto3

endpoint, path, *names = sys.argv[1:]
database = boto3.resource("dynamodb", endpoint_url=endpoint, region_name="us-east-1",
                          aws_access_key_id="x", aws_secret_access_key="x")


def items(name):
    table, more, found = database.Table(name), {}, {}
    while True:
        page = table.scan(**more)
        found.update((item["tailnum"], item) for item in page["Items"])
        if "LastEvaluatedKey" not in page:
            return found
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def cell(name, text):
    if text in ("", "NA"):
        return None
    return int(text) if name in ("year", "engines", "seats", "speed") else text


tables = {name: items(name) for name in names}
wanted = tables[names[0]]
if path != "-":
    wanted = {row["tailnum"]: {n: cell(n, text) for n, text in row.items()} for row in csv.DictReader(open(path))}
for name, found in tables.items():
    differing = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
    if differing:
        first = sorted(differing)[0]
        sys.exit(f"{name}: {len(differing)} other; {first}: {found.get(first)} is not {wanted.get(first)}")
print(len(wanted))
