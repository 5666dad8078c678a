# All items of a table with the types that boto3 gives them, by their key.
import sys, boto3

endpoint, table = sys.argv[1:]
client = boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
items = client.scan(TableName=table)["Items"]
ordered = lambda value: {name: ordered(value[name]) for name in sorted(value)} if isinstance(value, dict) else value
for item in sorted(items, key=lambda item: int(item["id"]["N"])):
    print(ordered(item))
