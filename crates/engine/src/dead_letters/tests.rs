//! A reject is kept whole, once, under its extent's start.

use base::{Header, Origin, Place, Position, code};
use bytes::Bytes;

use super::*;

fn reject(value: &'static [u8]) -> Reject {
    let place = Arc::new(Place::Topic { topic: "orders".into(), partition: 3 });
    Reject {
        origin: Origin { place, mark: Some(1_042), id: None, came_as: None },
        code: code::TM0001,
        reason: "id: expected integer, found \"x\"".to_owned(),
        stage: "VALUE_CONVERTER",
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(value)),
        headers: vec![Header { name: "h".into(), value: None }],
        timestamp_ms: Some(5),
    }
}

#[tokio::test]
async fn rejects_lie_in_a_file_for_each_extent() {
    let folder = tempfile::tempdir().expect("a folder");
    let letters = FileDeadLetters::at(&folder.path().join("dead"));
    let split = Split { id: "orders-3".into(), place: Arc::new(Place::Made { name: "t".into() }) };
    let extent = Extent {
        split: split.clone(),
        start: Position::Mark(1_000),
        end: Position::Mark(1_100),
        records_count: 9,
        bytes: 9,
    };
    letters.put(&split, Rejects(vec![reject(b"lost")])).await.expect("puts");
    letters.discard(&split).await;
    for _ in 0..2 {
        letters.put(&split, Rejects(vec![reject(b"{\"id\":\"x\"}"), reject(b"\xff")])).await.expect("puts");
        letters.flush(&extent).await.expect("flushes");
    }
    assert_eq!(letters.count().expect("reads"), 2);
    let text = fs::read_to_string(folder.path().join("dead/orders-3+1000.jsonl")).expect("reads");
    insta::assert_snapshot!(text, @r#"
    {"place":"orders/3/1042","code":"TM0001","reason":"id: expected integer, found \"x\"","stage":"VALUE_CONVERTER","key":"k","value":"{\"id\":\"x\"}","headers":[{"name":"h"}],"timestamp_ms":5}
    {"place":"orders/3/1042","code":"TM0001","reason":"id: expected integer, found \"x\"","stage":"VALUE_CONVERTER","key":"k","value_base64":"/w==","headers":[{"name":"h"}],"timestamp_ms":5}
    "#);
    // A life that cut the extent shorter, before what was bad.
    letters.flush(&extent).await.expect("flushes");
    assert_eq!(letters.count().expect("reads"), 0);
}
