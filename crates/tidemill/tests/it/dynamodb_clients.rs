//! boto3 and the aws command line on the embedded DynamoDB endpoint, and what is left after kill -9.

use std::{path::Path, process::Command};

use serde_json::Value;
use testkit::{ACCESS_KEY, SECRET_KEY, ran, run_python};

use crate::{
    lifecycle::fixed_ports,
    shared::{name, shared, world},
};

const BOTO3: &str = r##"
import sys
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from decimal import Decimal
from boto3.dynamodb.conditions import Attr, Key
endpoint, table, access, secret = sys.argv[1:]
keys = dict(endpoint_url=endpoint, region_name="eu-west-1", aws_access_key_id=access, aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 1}))
client, dynamodb = boto3.client("dynamodb", **keys), boto3.resource("dynamodb", **keys)
dynamodb.create_table(
    TableName=table, BillingMode="PAY_PER_REQUEST",
    KeySchema=[{"AttributeName": "carrier", "KeyType": "HASH"}, {"AttributeName": "flight", "KeyType": "RANGE"}],
    AttributeDefinitions=[{"AttributeName": "carrier", "AttributeType": "S"}, {"AttributeName": "flight", "AttributeType": "N"}])
client.get_waiter("table_exists").wait(TableName=table)
assert table in client.list_tables()["TableNames"]
t = dynamodb.Table(table)
every = {"carrier": "XX", "flight": Decimal(0), "n": Decimal("12345678901234567890.123456789"), "b": b"\x00\xff",
         "yes": True, "none": None, "l": [Decimal(1), "two", [None]], "m": {"a": {"b": Decimal("0.5")}},
         "ss": {"a", "b"}, "ns": {Decimal(1), Decimal("2.5")}, "bs": {b"\x00", b"\x01"}}
t.put_item(Item=every)
got = t.get_item(Key={"carrier": "XX", "flight": 0}, ConsistentRead=True)["Item"]
assert {k: getattr(v, "value", v) for k, v in got.items()} == every, got
with t.batch_writer() as batch:
    for n in range(100):
        batch.put_item(Item={"carrier": ["AA", "UA"][n % 2], "flight": n, "delay": n % 7})
found = t.query(KeyConditionExpression=Key("carrier").eq("UA") & Key("flight").between(10, 20),
                FilterExpression=Attr("delay").gt(3), ProjectionExpression="flight")["Items"]
assert [int(i["flight"]) for i in found] == [n for n in range(11, 20, 2) if n % 7 > 3], found
pages = client.get_paginator("scan").paginate(TableName=table, PaginationConfig={"PageSize": 7})
assert sum(len(page["Items"]) for page in pages) == 101
parts = [client.scan(TableName=table, Segment=n, TotalSegments=3)["Count"] for n in range(3)]
assert sum(parts) == 101, parts
new = t.update_item(Key={"carrier": "UA", "flight": 1}, UpdateExpression="SET #d = #d + :one, seen = list_append(if_not_exists(seen, :none), :now) REMOVE absent",
                    ExpressionAttributeNames={"#d": "delay"}, ExpressionAttributeValues={":one": 1, ":none": [], ":now": ["x"]},
                    ReturnValues="ALL_NEW")["Attributes"]
assert new["delay"] == 2 and new["seen"] == ["x"], new
put = lambda n, condition: {"Put": {"TableName": table, "Item": {"carrier": {"S": "TX"}, "flight": {"N": str(n)}}, "ConditionExpression": condition}}
client.transact_write_items(TransactItems=[put(n, "attribute_not_exists(carrier)") for n in range(3)])
def refused(action):
    try: action()
    except ClientError as error: return error.response["Error"]["Code"]
    raise SystemExit("not refused")
both = [put(9, "attribute_not_exists(carrier)"), put(0, "attribute_not_exists(carrier)")]
assert refused(lambda: client.transact_write_items(TransactItems=both)) == "TransactionCanceledException"
assert "Item" not in t.get_item(Key={"carrier": "TX", "flight": 9}), "a cancelled transaction leaves nothing"
got = client.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": {"carrier": {"S": "TX"}, "flight": {"N": "1"}}}}])
assert got["Responses"][0]["Item"]["flight"]["N"] == "1"
assert refused(lambda: t.put_item(Item={"carrier": "UA", "flight": 1}, ConditionExpression="attribute_not_exists(carrier)")) == "ConditionalCheckFailedException"
assert refused(lambda: t.put_item(Item={"carrier": "UA", "flight": "one"})) == "ValidationException"
assert refused(lambda: client.scan(TableName="no-such-table")) == "ResourceNotFoundException"
keys = [{"carrier": {"S": "AA"}, "flight": {"N": str(n)}} for n in range(0, 20, 2)]
assert len(client.batch_get_item(RequestItems={table: {"Keys": keys}})["Responses"][table]) == 10
t.delete_item(Key={"carrier": "XX", "flight": 0})
assert "Item" not in t.get_item(Key={"carrier": "XX", "flight": 0})
t.delete()
client.get_waiter("table_not_exists").wait(TableName=table)
print("kept")
"##;

#[test]
fn boto3_finds_a_dynamodb() {
    let (_, parts) = shared();
    let Some(python) = testkit::python() else { return };
    let said = run_python(&python, BOTO3, &[&parts.dynamodb(), &name("boto3"), ACCESS_KEY, SECRET_KEY]);
    assert_eq!(said, "kept\n");
}

/// `aws dynamodb ARGS`, and what it printed as JSON.
fn aws(program: &Path, home: &Path, endpoint: &str, args: &[&str]) -> Value {
    let mut command = Command::new(program);
    command.args(["--endpoint-url", endpoint, "--output", "json", "dynamodb"]).args(args).env("HOME", home);
    command.envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]);
    command.env("AWS_DEFAULT_REGION", "us-east-1");
    let said = ran(&mut command, 60).expect_success();
    if said.trim().is_empty() { Value::Null } else { serde_json::from_str(&said).unwrap() }
}

#[test]
fn what_the_aws_command_line_wrote_is_there_after_kill_9() {
    let Some(program) = testkit::aws_cli() else { return };
    let mut world = world();
    fixed_ports(&world);
    let mut parts = world.up_with(&["--only", "dynamodb"]);
    let run = |endpoint: &str, args: &[&str]| aws(&program, world.folder(), endpoint, args);
    let attribute = "AttributeName=tailnum,AttributeType=S";
    let key = "AttributeName=tailnum,KeyType=HASH";
    let made = ["--table-name", "planes", "--attribute-definitions", attribute, "--key-schema", key];
    run(&parts.dynamodb(), &[&["create-table", "--billing-mode", "PAY_PER_REQUEST"], &made[..]].concat());
    let item = r#"{"tailnum":{"S":"N14228"},"year":{"N":"1999"}}"#;
    run(&parts.dynamodb(), &["put-item", "--table-name", "planes", "--item", item]);
    for _ in 0..2 {
        world.kill();
        parts = world.up_with(&["--only", "dynamodb"]);
        let found = aws(&program, world.folder(), &parts.dynamodb(), &["scan", "--table-name", "planes"]);
        assert_eq!(found["Items"][0], serde_json::from_str::<Value>(item).unwrap(), "{found}");
    }
    let status: Value = serde_json::from_str(&world.ok(&["status", "--json"])).unwrap();
    assert_eq!(status["parts"]["dynamodb"]["state"], "running", "{status}");
    let took = world.down();
    assert!(took.as_secs() < 5, "down took {took:?}");
}
