//! Start, stop and what a second life finds, over HTTP as any client would.

use base::{Handle, Problem};
use serde_json::{Value, json};

use super::*;

/// A call as DynamoDB's own clients make it; the signature is only looked at.
async fn call(handle: &Handle, operation: &str, body: Value) -> (u16, Value) {
    let answer = cloud::http::client()
        .post(format!("http://{}/", handle.addr))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("x-amz-date", "20260101T000000Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature=00",
        )
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

async fn start(folder: &std::path::Path) -> Handle {
    Service::start(Options::at(folder, "127.0.0.1:0".parse().unwrap())).await.unwrap()
}

#[tokio::test]
async fn tables_and_items_are_there_in_the_next_life() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let table = json!({
        "TableName": "planes", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "tailnum", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "tailnum", "AttributeType": "S"}],
    });
    assert_eq!(call(&first, "CreateTable", table).await.0, 200);
    let item = json!({"tailnum": {"S": "N14228"}, "year": {"N": "1999"}});
    let put = json!({"TableName": "planes", "Item": item});
    assert_eq!(call(&first, "PutItem", put).await, (200, json!({})));
    // The client's connection stays open, as an SDK's pool does: that is no reason to wait.
    first.stop(2_000).await.unwrap();
    let second = start(folder.path()).await;
    let get = json!({"TableName": "planes", "Key": {"tailnum": {"S": "N14228"}}});
    assert_eq!(call(&second, "GetItem", get).await, (200, json!({"Item": item})));
    let absent = call(&second, "GetItem", json!({"TableName": "none", "Key": {}})).await;
    assert_eq!(absent.0, 400);
    second.stop(2_000).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_and_a_file_that_is_none_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let other = tempfile::tempdir().unwrap();
    let refused = Service::start(Options::at(other.path(), first.addr)).await.unwrap_err();
    assert_eq!(refused.code().id, "TM0954");
    let file = other.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let refused = Service::start(Options::at(&file, first.addr)).await.unwrap_err();
    assert_eq!(refused.code().id, "TM0955");
    std::fs::write(
        other.path().join("tables.sqlite"),
        "no database, but long enough to be looked at".repeat(20),
    )
    .unwrap();
    let refused =
        Service::start(Options::at(other.path(), "127.0.0.1:0".parse().unwrap())).await.unwrap_err();
    assert_eq!(refused.code().id, "TM0956");
    first.stop(2_000).await.unwrap();
}
