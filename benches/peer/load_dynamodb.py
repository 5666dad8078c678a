"""The peer of `tidemill load` into DynamoDB: JSON Lines by boto3's batch_writer, into a table of its own.

usage: load_dynamodb.py ENDPOINT TABLE FILE.jsonl
"""
import json
import sys
from decimal import Decimal

import boto3

endpoint, name, file_name = sys.argv[1:]
dynamodb = boto3.resource("dynamodb", endpoint_url=endpoint, region_name="us-east-1")
table = dynamodb.create_table(
    TableName=name,
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
table.wait_until_exists()
with open(file_name, "rb") as file, table.batch_writer() as batch:
    for line in file:
        batch.put_item(Item=json.loads(line, parse_float=Decimal))
