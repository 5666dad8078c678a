//! The sink: the contract, every type there and back, every way to write, what is refused.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use arrow_array::BinaryViewArray;
use arrow_buffer::BooleanBuffer;
use async_trait::async_trait;
use base::{Extent, Fault, Load, Rejects, Saved, Sink, Writer};
use bytes::Bytes;
use engine::contract::{self, Rule, SinkFixture};

use super::*;

fn config(world: &World, more: &[(&str, &str)]) -> SinkConfig {
    SinkConfig::read(&world.settings(more)).unwrap()
}

fn sink(config: SinkConfig) -> FirestoreSink {
    FirestoreSink::new(config, Arc::new(ManualClock::at(0))).unwrap()
}

async fn write(config: SinkConfig, batch: &Batch) -> Rejects {
    let mut writer = sink(config).writer(&split()).await.unwrap();
    writer.recover(&Saved::default()).await.unwrap();
    writer.write(batch).await.unwrap()
}

fn reasons(rejects: &Rejects) -> Vec<String> {
    rejects.0.iter().map(|reject| format!("{} {}: {}", reject.code, reject.origin, reject.reason)).collect()
}

/// Each split into a collection of its own, since the suite looks at splits one by one.
struct PerSplit(SinkConfig);

#[async_trait]
impl Sink for PerSplit {
    async fn begin(&self, load: &Load) -> Result<(), Fault> {
        sink(self.0.clone()).begin(load).await
    }

    async fn writer(&self, split: &Split) -> Result<Box<dyn Writer>, Fault> {
        let collection = split.place.to_string().replace('/', "-");
        sink(SinkConfig { collection, ..self.0.clone() }).writer(split).await
    }

    async fn finish(&self, load: &Load) -> Result<(), Fault> {
        sink(self.0.clone()).finish(load).await
    }
}

/// A person whom the emulator's rules stop. The token comes by the real exchange from a scripted token service.
fn stranger(world: &World, folder: &tempfile::TempDir) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let token_uri = format!("http://{}/token", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let read = stream.read(&mut [0; 4_096]).unwrap_or(0);
            // {"alg":"none","typ":"JWT"} {"sub":"eve","user_id":"eve"}: the emulator asks for no signature.
            let token = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJldmUiLCJ1c2VyX2lkIjoiZXZlIn0.";
            let body =
                format!("{{\"access_token\":\"{token}\",\"expires_in\":3600,\"token_type\":\"Bearer\"}}");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            if read > 0 {
                write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok();
            }
        }
    });
    let file = folder.path().join("eve.json");
    let person = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r", "token_uri": token_uri,
    });
    std::fs::write(&file, person.to_string()).unwrap();
    let endpoint = format!("http://{}", world.server.address);
    let settings =
        [("project", world.project), ("endpoint", &endpoint), ("credentials", file.to_str().unwrap())];
    let settings: Settings =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Connection::read_with(&settings, &|_| None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_keeps_the_contract() {
    let Some(world) = World::new("contract") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = config(&world, &[("collection", "contract")]);
    let denied = SinkConfig { connection: stranger(&world, &folder), is_ramped: false, ..config.clone() };
    let open =
        |config: SinkConfig| -> contract::Open { Box::new(move || Arc::new(PerSplit(config.clone()))) };
    let fixture = SinkFixture {
        open: open(config),
        read_back: Box::new(move |split| {
            let collection = split.place.to_string().replace('/', "-");
            let documents = world.list("(default)", &collection);
            let text = |(_, fields): (String, Json)| match fields["n"]["integerValue"].as_str() {
                Some(number) => format!("{{\"n\":{number}}}").into_bytes(),
                None => fields.to_string().into_bytes(),
            };
            let values = documents.into_iter().map(text).collect();
            Box::pin(async move { values })
        }),
        value: contract::value,
        bad_value: Some(b"{oops".to_vec()),
        denied: Some(open(denied)),
        throttled: None,
        cannot: &[
            (Rule::KeyTwiceInABatch, "a key is a document's id: of two records the last one stays"),
            (Rule::Throttled, "the emulator has no quota to run into"),
        ],
    };
    insta::assert_snapshot!(contract::sink(&fixture).await);
}

#[tokio::test]
async fn an_address_of_https_is_spoken_to_by_tls() {
    let Some(world) = World::new("tls") else { return };
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection { endpoint: "https://127.0.0.1:1".to_owned(), ..stranger(&world, &folder) };
    let config = SinkConfig { connection, ..config(&world, &[("collection", "users")]) };
    let fault = sink(config).begin(&Load { id: "1".into(), transfer: "t".into() }).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Transient(error) if error.to_string().contains("https://127.0.0.1:1")),
        "{fault:?}"
    );
}

fn every_type() -> Value {
    let name = "projects/types/databases/(default)/documents/users/ada";
    let point = row(&[("latitude", Value::Float(-33.5)), ("longitude", Value::Float(179.25))]);
    let vector = Value::List(vec![Value::Float(1.5), Value::Float(-2.0)]);
    row(&[
        ("array", Value::List(vec![Value::Int(1), Value::Null, row(&[("in", Value::Boolean(false))])])),
        ("boolean", Value::Boolean(true)),
        ("bytes", Value::Bytes(Bytes::from_static(b"\x00\xff"))),
        ("empty array", Value::List(Vec::new())),
        ("empty map", row(&[])),
        ("float", Value::Float(0.1)),
        ("geo", Value::tagged("geoPoint", point)),
        ("infinite", Value::Float(f64::NEG_INFINITY)),
        ("integer max", Value::Int(i64::MAX)),
        ("integer min", Value::Int(i64::MIN)),
        ("map", row(&[("a.b", Value::Int(1)), ("deeper", row(&[("`", Value::string("back quote"))]))])),
        ("nil", Value::Null),
        ("reference", Value::tagged("reference", Value::string(name))),
        ("text", Value::string("\u{0}\"é\u{1f600}")),
        ("timestamp", Value::TimestampUs(-1)),
        ("timestamp max", Value::TimestampUs(253_402_300_799_999_999)),
        ("timestamp min", Value::TimestampUs(-62_135_596_800_000_000)),
        ("vector", Value::tagged("vector", vector)),
        ("whole float", Value::Float(3.0)),
    ])
}

#[tokio::test]
async fn every_type_comes_back_as_it_was() {
    let Some(world) = World::new("types") else { return };
    let batch = rows(vec![every_type()], Some(&[Some("one")]));
    assert_eq!(reasons(&write(config(&world, &[("collection", "types")]), &batch).await), [""; 0]);
    let found = read_all(&world, &[("collection", "types")], &Selection::default()).await;
    assert_eq!(found, [("one".to_owned(), every_type())]);
    let stored = world.get("types/one").unwrap();
    let kinds = [
        stored["geo"]["geoPointValue"]["latitude"].to_string(),
        stored["reference"]["referenceValue"].to_string(),
        stored["integer min"]["integerValue"].to_string(),
        stored["whole float"]["doubleValue"].to_string(),
        stored["timestamp"]["timestampValue"].to_string(),
        stored["bytes"]["bytesValue"].to_string(),
        stored["infinite"]["doubleValue"].to_string(),
    ];
    insta::assert_snapshot!(kinds.join("\n"));
    let not_a_number = rows(vec![row(&[("x", Value::Float(f64::NAN))])], Some(&[Some("nan")]));
    write(config(&world, &[("collection", "nan")]), &not_a_number).await;
    let found = read_all(&world, &[("collection", "nan")], &Selection::default()).await;
    assert!(matches!(found[0].1.get("x"), Some(Value::Float(number)) if number.is_nan()));
}

#[tokio::test]
async fn what_only_others_have_is_written_as_the_table_says() {
    let Some(world) = World::new("others") else { return };
    let pairs = Value::Map(vec![(Value::Int(1), Value::string("one"))]);
    let fields = row(&[
        ("date", Value::Date(-1)),
        ("decimal", Value::Decimal { unscaled: -12_345, scale: 2 }),
        ("id", Value::tagged("objectId", Value::string("65a1"))),
        ("pairs", pairs),
        ("small", Value::Decimal { unscaled: 5, scale: 3 }),
        ("thousands", Value::Decimal { unscaled: 12, scale: -3 }),
        ("time", Value::TimeMs(86_399_999)),
        ("when", Value::TimestampMs(-1)),
    ]);
    let rejects = write(config(&world, &[("collection", "others")]), &rows(vec![fields], None)).await;
    assert_eq!(reasons(&rejects), [""; 0]);
    let stored = &world.list("(default)", "others")[0].1;
    insta::assert_snapshot!(serde_json::to_string_pretty(&sorted(stored)).unwrap());
}

/// The emulator gives fields in any order.
fn sorted(fields: &Json) -> std::collections::BTreeMap<String, Json> {
    fields.as_object().unwrap().clone().into_iter().collect()
}

#[tokio::test]
async fn rows_that_no_document_can_be_leave_among_good_ones() {
    let Some(world) = World::new("rejects") else { return };
    let mut deep = Value::Int(1);
    for _ in 0..25 {
        deep = row(&[("d", deep)]);
    }
    let nested = Value::List(vec![Value::List(Vec::new())]);
    let values = vec![
        row(&[("n", Value::Int(0))]),
        row(&[("__name__", Value::Int(1))]),
        row(&[("a", row(&[("", Value::Int(1))]))]),
        row(&[("a", row(&[("list", nested)]))]),
        row(&[("deep", deep)]),
        row(&[("large", Value::string("x".repeat(1 << 20)))]),
        row(&[("time", Value::TimestampMs(i64::MAX))]),
        Value::string("no document"),
        row(&[("n", Value::Int(8))]),
        row(&[("n", Value::Int(9))]),
        row(&[("n", Value::Int(10))]),
        row(&[(
            "geo",
            Value::tagged(
                "geoPoint",
                row(&[("latitude", Value::Float(91.0)), ("longitude", Value::Float(0.0))]),
            ),
        )]),
        row(&[("n", Value::Int(12))]),
    ];
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "..", "x/y", "__i__", "l", "m"];
    let keys: Vec<Option<&str>> = names.iter().map(|name| Some(*name)).collect();
    let rejects = write(config(&world, &[("collection", "rejects")]), &rows(values, Some(&keys))).await;
    let stored: Vec<String> = world.list("(default)", "rejects").into_iter().map(|(id, _)| id).collect();
    assert_eq!(stored, ["a", "m"]);
    insta::assert_snapshot!(reasons(&rejects).join("\n"));
}

#[tokio::test]
async fn raw_json_is_a_document_and_other_bytes_are_refused() {
    let Some(world) = World::new("raw") else { return };
    let texts: [&[u8]; 7] = [
        b"{\"a\": [1, 2.5, {\"b\": null}], \"big\": 18446744073709551615}",
        b"[1]",
        b"{oops",
        b"\xff",
        b"{\"__x__\": 1}",
        b"{\"a\": [[1]]}",
        b"null",
    ];
    let mut batch = rows(vec![Value::Null; 7], None);
    batch.body = Body::Raw(BinaryViewArray::from_iter_values(texts));
    let rejects = write(config(&world, &[("collection", "raw")]), &batch).await;
    let stored = world.list("(default)", "raw");
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].1["a"]["arrayValue"]["values"][0]["integerValue"], "1");
    insta::assert_snapshot!(reasons(&rejects).join("\n"));
}

#[tokio::test]
async fn upsert_replaces_merge_puts_in_and_insert_refuses_what_is_there() {
    let Some(world) = World::new("modes") else { return };
    let fields = |n| row(&[("n", Value::Int(n)), ("in", row(&[("a", Value::Int(n))]))]);
    let old = || json!({ "n": { "integerValue": "0" }, "old": { "nullValue": null }, "in": { "mapValue": { "fields": { "b": { "nullValue": null } } } } });
    let batch = rows(vec![fields(1), fields(2), fields(3)], Some(&[Some("x"), Some("y"), Some("x")]));
    for mode in ["upsert", "merge", "insert"] {
        world.put(&format!("{mode}/x"), old());
        let rejects = write(config(&world, &[("collection", mode), ("write", mode)]), &batch).await;
        let stored = |id: &str| {
            let fields = world.get(&format!("{mode}/{id}")).unwrap();
            let inner: Vec<String> = sorted(&fields["in"]["mapValue"]["fields"]).into_keys().collect();
            format!("{} {:?} {inner:?}", fields["n"]["integerValue"], fields.get("old").is_some())
        };
        let expected = match mode {
            "upsert" => ["\"3\" false [\"a\"]", "\"2\" false [\"a\"]"],
            "merge" => ["\"3\" true [\"a\", \"b\"]", "\"2\" false [\"a\"]"],
            _ => ["\"0\" true [\"b\"]", "\"2\" false [\"a\"]"],
        };
        assert_eq!([stored("x"), stored("y")], expected, "{mode}");
        assert_eq!(rejects.0.len(), if mode == "insert" { 2 } else { 0 }, "{:?}", reasons(&rejects));
    }
}

#[tokio::test]
async fn merges_of_one_document_follow_each_other() {
    let Some(world) = World::new("merges") else { return };
    world.put("m/x", json!({ "old": { "nullValue": null }, "in": { "mapValue": { "fields": { "z": { "nullValue": null } } } } }));
    let one = |name: &str, value: Value| row(&[(name, value)]);
    let values = vec![
        one("a", Value::Int(1)),
        one("in", Value::Int(5)),
        one("in", row(&[("y", Value::Int(2))])),
        one("b", Value::Int(3)),
        Value::Null,
        one("c", Value::Int(4)),
    ];
    let keys = [Some("x"), Some("x"), Some("x"), Some("x"), Some("y"), Some("y")];
    let mut batch = rows(values, Some(&keys));
    batch.envelope.tombstones = Some((0..6).map(|row| row == 4).collect::<BooleanBuffer>());
    world.put("m/y", json!({ "old": { "nullValue": null } }));
    assert_eq!(
        reasons(&write(config(&world, &[("collection", "m"), ("write", "merge")]), &batch).await),
        [""; 0]
    );
    let names =
        |id: &str| sorted(&world.get(&format!("m/{id}")).unwrap()).into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!([names("x"), names("y")], ["a b in old", "c"]);
    let inner = world.get("m/x").unwrap()["in"]["mapValue"]["fields"].clone();
    assert_eq!(sorted(&inner).into_keys().collect::<Vec<_>>(), ["y"], "a number stood between");
}

#[tokio::test]
async fn an_id_comes_from_a_field_the_key_or_the_position() {
    let Some(world) = World::new("ids") else { return };
    let values = || {
        vec![
            row(&[("a", row(&[("id", Value::string("s"))]))]),
            row(&[("a", row(&[("id", Value::Int(7))]))]),
            row(&[]),
        ]
    };
    let rejects =
        write(config(&world, &[("collection", "field"), ("key", "a.id")]), &rows(values(), None)).await;
    assert_eq!(reasons(&rejects), ["TM0765 made/2: it has no key field a.id"]);
    let ids = |collection: &str| {
        world.list("(default)", collection).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids("field"), ["7", "s"]);
    let keys = [Some("k"), Some("k/below/1"), None];
    write(config(&world, &[("collection", "key")]), &rows(values(), Some(&keys))).await;
    assert_eq!(ids("key").len(), 2);
    assert_eq!(ids("key/k/below"), ["1"]);
    for _life in 0..2 {
        write(config(&world, &[("collection", "position"), ("write", "insert")]), &rows(values(), None))
            .await;
        assert_eq!(ids("position").len(), 3, "the second life writes the same documents");
    }
}

#[tokio::test]
async fn without_marks_an_id_comes_from_the_extents_start() {
    let Some(world) = World::new("tokens") else { return };
    let batch = |from: i64, count: i64| {
        let values = (from..from + count).map(|n| row(&[("n", Value::Int(n))])).collect();
        let mut batch = rows(values, None);
        batch.envelope.marks = None;
        batch
    };
    let token = |text: &'static str| Position::Token(text.into());
    let life = async |start: Position, cuts: &[i64]| {
        let mut writer = sink(config(&world, &[("collection", "tokens")])).writer(&split()).await.unwrap();
        writer.recover(&Saved { position: start, ..Saved::default() }).await.unwrap();
        let mut from = 0;
        for count in cuts {
            writer.write(&batch(from, *count)).await.unwrap();
            from += count;
        }
        writer
    };
    life(token("a"), &[3, 4]).await;
    let mut writer = life(token("a"), &[1, 5, 1]).await;
    assert_eq!(world.list("(default)", "tokens").len(), 7, "another cut, the same documents");
    let extent = Extent { split: split(), start: token("a"), end: token("b"), records_count: 7, bytes: 0 };
    writer.commit(&extent).await.unwrap();
    writer.write(&batch(7, 2)).await.unwrap();
    assert_eq!(world.list("(default)", "tokens").len(), 9);
}

#[tokio::test]
async fn a_tombstone_deletes_and_a_thousand_rows_go_in_several_batches() {
    let Some(world) = World::new("many") else { return };
    let ids: Vec<String> = (0..1_234).map(|number| format!("id-{number:04}")).collect();
    let keys: Vec<Option<&str>> = ids.iter().map(|id| Some(id.as_str())).collect();
    let values = || (0..1_234).map(|n| row(&[("n", Value::Int(n))])).collect::<Vec<_>>();
    let named = config(&world, &[("collection", "many"), ("database", "other")]);
    assert!(write(named.clone(), &rows(values(), Some(&keys))).await.is_empty());
    assert_eq!(world.list("other", "many").len(), 1_234);
    assert!(world.list("(default)", "many").is_empty());
    let mut batch = rows(values(), Some(&keys));
    batch.envelope.tombstones = Some((0..1_234).map(|n| n % 2 == 0).collect::<BooleanBuffer>());
    assert!(write(named, &batch).await.is_empty());
    assert_eq!(world.list("other", "many").len(), 617);
    let mut nameless = rows(vec![Value::Null], None);
    nameless.envelope.tombstones = Some(BooleanBuffer::from(vec![true]));
    let rejects = write(config(&world, &[("collection", "many")]), &nameless).await;
    assert_eq!(reasons(&rejects), ["TM0765 made/0: a delete without a key names no document"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn update_changes_what_is_there_and_delete_takes_it_away() {
    let Some(world) = World::new("writing-update") else { return };
    let more = |how: &'static str| config(&world, &[("collection", "planes"), ("write", how)]);
    let named = |name: &str| row(&[("name", Value::string(name)), ("seats", Value::Int(2))]);
    let keys = [Some("a"), Some("b")];
    write(more("upsert"), &rows(vec![named("first"), named("first")], Some(&keys))).await;
    let renamed = || row(&[("name", Value::string("second"))]);
    let keys = [Some("a"), Some("none"), None];
    let rejects = write(more("update"), &rows(vec![renamed(), renamed(), renamed()], Some(&keys))).await;
    let codes: Vec<&str> = rejects.0.iter().map(|reject| reject.code.id).collect();
    assert_eq!(codes, ["TM1456", "TM0765"], "{:?}", reasons(&rejects));
    let fields = world.get("planes/a").expect("it is there");
    assert_eq!(
        (&fields["name"]["stringValue"], &fields["seats"]["integerValue"]),
        (&"second".into(), &"2".into())
    );
    assert!(world.get("planes/none").is_none());
    for _ in 0..2 {
        let keys = [Some("a"), Some("none")];
        let rejects = write(more("delete"), &rows(vec![renamed(), renamed()], Some(&keys))).await;
        assert!(rejects.is_empty(), "{:?}", reasons(&rejects));
    }
    assert!(world.get("planes/a").is_none() && world.get("planes/b").is_some());
    let ids = collections(&world.connection(), "pl").await.expect("lists");
    assert_eq!(ids, ["planes"]);
}
