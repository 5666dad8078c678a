# Compares the items of tables with those of the first. Arguments: endpoint, tables. Prints how many the first has.
import sys

import boto3

endpoint, *names = sys.argv[1:]
dynamodb = boto3.resource("dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="any",
                          aws_secret_access_key="any")


def items(name):
    table, found, start = dynamodb.Table(name), [], {}
    while start is not None:
        page = table.scan(**start)
        found += page["Items"]
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if "LastEvaluatedKey" in page else None
    return sorted(found, key=lambda item: item["n"])


wanted = items(names[0])
for name in names[1:]:
    found = items(name)
    if found != wanted:
        other = next((pair for pair in zip(found, wanted) if pair[0] != pair[1]), "one begins the other")
        sys.exit(f"{name}: {len(found)} of {len(wanted)} items; {other}")
print(len(wanted))
