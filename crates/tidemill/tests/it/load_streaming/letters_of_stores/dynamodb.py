# A table with every type that there is, and what has become of its items. Arguments: endpoint, what to do, tables.
import sys
from decimal import Decimal

import boto3

endpoint, what, *names = sys.argv[1:]
database = boto3.resource("dynamodb", endpoint_url=endpoint, region_name="us-east-1",
                          aws_access_key_id="x", aws_secret_access_key="x")


def item(number):
    made = {
        "id": number,
        "region": "eu",
        "seal": bytes([0, 255, number]),
        "price": Decimal("12345678901234567890.123456789012345678"),
        "tiny": Decimal("1E-100"),
        "numbers": {1, Decimal("2.5")},
        "words": {"a", "b"},
        "seals": {b"\x00", b"\x01\xff"},
        "inner": {"list": [1, None, {"deep": b"\x07"}], "is": True},
    }
    if number % 2 == 0:
        made["region"] = None
    return made


if what == "fill":
    table = database.create_table(
        TableName=names[0], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])
    table.wait_until_exists()
    for number in range(1, 5):
        table.put_item(Item=item(number))
else:
    source, target = ({one["id"]: one for one in database.Table(name).scan()["Items"]} for name in names)
    for one in source.values():
        one["region"] = one["region"] or "us"
    print(len(target), source == target)
