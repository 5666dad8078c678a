//! Tests of converters: bytes to rows and back, each converter over a table of cases.

use std::sync::Arc;

use arrow_array::BinaryViewArray;
use base::{Batch, Body, Envelope, Kind, Lease, Place, Position, code};
use engine::Stage;
use formats::{Format, JsonSettings, Settings};

use super::*;
use crate::config::Config;

/// A batch of these values, from offset 10 on.
fn batch(values: &[Option<&[u8]>], keys: Option<&[&[u8]]>) -> Batch {
    let marks: Vec<i64> = (10..10 + values.len() as i64).collect();
    Batch {
        body: Body::Raw(BinaryViewArray::from_iter(values.iter().copied())),
        envelope: Envelope {
            keys: keys.map(|keys| BinaryViewArray::from_iter_values(keys.iter().copied())),
            marks: Some(marks.into()),
            ..Envelope::default()
        },
        contract: None,
        place: Arc::new(Place::Topic { topic: "flights".into(), partition: 0 }),
        end: Position::Mark(10 + values.len() as i64),
        lease: Lease::free(),
    }
}

/// What a converter and the JSON format make of values: each batch in brackets, then the rejects.
fn written(stage: &Conversion, batch: Batch) -> String {
    let (batches, rejects) = stage.apply(batch).unwrap();
    let settings =
        Settings { format: Format::Json(JsonSettings::default()), compression: formats::Compression::None };
    let mut text = String::new();
    for batch in &batches {
        let mut encoder = formats::encoder(&settings, batch.contract.as_ref()).unwrap();
        let mut out = Vec::new();
        let more = encoder.append(batch, 0..batch.len(), &mut out).unwrap();
        assert!(more.is_empty(), "{more:?}");
        text += &format!("[{}]", String::from_utf8(out).unwrap().trim_end().replace('\n', " "));
    }
    for reject in rejects.0 {
        text += &format!(" !{} {} {}: {}", reject.origin, reject.stage, reject.code, reject.reason);
    }
    text
}

#[track_caller]
fn check(plan: Plan, values: &[&[u8]], expected: &str) {
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(*value)).collect();
    let stage = Conversion::new(Plan::ByteArray, plan, true);
    assert_eq!(written(&stage, batch(&values, None)), expected);
}

const ENVELOPE: Plan = Plan::Envelope { nulls_to_defaults: true };

#[test]
fn fixed_kinds_become_rows_for_a_format_with_a_schema() {
    check(Plan::String, &[b"a", b"\"b\""], r#"["a" "\"b\""]"#);
    check(Plan::ByteArray, &[b"abc"], r#"["YWJj"]"#);
    check(Plan::Primitive(Kind::Int32), &[&[0, 0, 1, 0]], "[256]");
    check(Plan::Primitive(Kind::Float64), &[&1.5f64.to_be_bytes()], "[1.5]");
    check(
        Plan::Primitive(Kind::Int64),
        &[&[1], &7i64.to_be_bytes()],
        "[7] !flights/0/10 VALUE_CONVERTER TM0811: LongConverter cannot read the value: expected 8 bytes, found 1",
    );
}

#[test]
fn an_envelope_tells_its_schema() {
    let record = br#"{"schema":{"type":"struct","fields":[
        {"field":"id","type":"int32","optional":false},
        {"field":"name","type":"string","optional":true,"default":"nobody"},
        {"field":"at","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1,"optional":true},
        {"field":"cost","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"optional":true},
        {"field":"tags","type":"array","items":{"type":"string"},"optional":true},
        {"field":"by","type":"map","keys":{"type":"string"},"values":{"type":"double"},"optional":true}],
        "optional":false,"name":"flight"},
        "payload":{"name":null,"id":1,"at":1700000000000,"cost":"AfQ=","tags":["a","b"],"by":{"x":1},"more":true}}"#;
    let line = r#"{"id":1,"name":"nobody","at":1700000000000,"cost":"AfQ=","tags":["a","b"],"by":{"x":1.0}}"#;
    check(ENVELOPE, &[record, record], &format!("[{line} {line}]"));
    let number = br#"{"schema":{"type":"int32","optional":false},"payload":5}"#;
    check(ENVELOPE, &[record, number, record], &format!("[{line}][5][{line}]"));
    check(ENVELOPE, &[br#"{"schema":null,"payload":{"a":[1,null]}}"#], r#"[{"a":[1,null]}]"#);
}

#[test]
fn what_is_no_envelope_is_refused_with_connects_words() {
    let reason = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain \
        additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter \
        configuration.";
    let place = " !flights/0/10 VALUE_CONVERTER TM0811: JsonConverter cannot read the value: ";
    check(ENVELOPE, &[br#"{"id":1}"#], &format!("{place}{reason}"));
    let missing = br#"{"schema":{"type":"struct","fields":[{"field":"id","type":"int32"}]},"payload":{}}"#;
    check(ENVELOPE, &[missing], &format!("{place}id: null where a whole number of 32 bits is required"));
    let wrong =
        br#"{"schema":{"type":"struct","fields":[{"field":"id","type":"int32"}]},"payload":{"id":"x"}}"#;
    check(ENVELOPE, &[wrong], &format!("{place}id: expected a whole number of 32 bits, found string \"x\""));
}

#[test]
fn tombstones_and_refused_rows_keep_the_marks_of_the_others() {
    let good = br#"{"schema":{"type":"int32"},"payload":5}"#;
    let stage = Conversion::new(Plan::ByteArray, ENVELOPE, false);
    let (batches, rejects) =
        stage.apply(batch(&[None, Some(b"x"), Some(good), None, Some(good)], None)).unwrap();
    assert_eq!((batches.len(), rejects.0.len()), (1, 1));
    let marks = batches[0].envelope.marks.as_ref().unwrap();
    assert_eq!(marks.to_vec(), [10, 12, 13, 14]);
    assert_eq!(batches[0].end, Position::Mark(15));
    let nulls: Vec<bool> = (0..4).map(|row| batches[0].envelope.is_tombstone(row)).collect();
    assert_eq!(nulls, [true, false, true, false]);
    assert_eq!(rejects.0[0].value.as_deref(), Some(&b"x"[..]));
}

#[test]
fn keys_are_held_against_their_converter() {
    let stage = Conversion::new(Plan::Primitive(Kind::Int32), Plan::PlainJson, false);
    let batch = batch(&[Some(b"{}"), Some(b"{\"a\": 1}")], Some(&[b"abc", &[0, 0, 0, 1]]));
    let expected = "[{\"a\":1}] !flights/0/10 KEY_CONVERTER TM0811: IntegerConverter cannot read the key: expected 4 \
        bytes, found 3";
    assert_eq!(written(&stage, batch), expected);
}

/// A registry that has two schemas.
async fn registry() -> Arc<Registry> {
    use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse, routing::get};
    let answer = |Path(id): Path<i32>| async move {
        let json = r#"{"type":"object","title":"flight","properties":{
            "flight":{"type":"integer","connect.index":0},
            "tail":{"oneOf":[{"type":"null"},{"type":"string"}],"connect.index":1}},"required":["flight"]}"#;
        let avro = r#"{"type":"record","name":"flight","fields":[{"name":"flight","type":"int"},
            {"name":"tail","type":["null","string"],"default":null}]}"#;
        match id {
            1 => Json(serde_json::json!({"schemaType": "JSON", "schema": json})).into_response(),
            2 => Json(serde_json::json!({"schema": avro})).into_response(),
            _ => (StatusCode::NOT_FOUND, Json(serde_json::json!({"error_code": 40403}))).into_response(),
        }
    };
    let router = Router::new().route("/schemas/ids/{id}", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let settings: Config = [("schema.registry.url".to_owned(), url)].into_iter().collect();
    Arc::new(Registry::of(&settings))
}

/// Stages run on threads that may block.
async fn written_blocking(stage: Conversion, batch: Batch) -> String {
    tokio::task::spawn_blocking(move || written(&stage, batch)).await.unwrap()
}

fn framed(id: i32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    contracts::frame(id, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_records_are_read_by_their_schema() {
    let registry = registry().await;
    let json = framed(1, br#"{"flight": 7}"#);
    let stage = Conversion::new(Plan::ByteArray, Plan::JsonSchema(registry.clone()), false);
    let text = written_blocking(stage, batch(&[Some(&json), Some(b"{\"flight\":7}")], None)).await;
    assert_eq!(
        text,
        "[{\"flight\":7,\"tail\":null}] !flights/0/11 VALUE_CONVERTER TM0811: JsonSchemaConverter cannot read the value: \
         the bytes do not start with the magic byte 0: they were not written by a Confluent serializer; they look like \
         plain JSON: use org.apache.kafka.connect.json.JsonConverter"
    );
    let avro = framed(2, &[14, 2, 2, b'N']);
    let stage = Conversion::new(Plan::ByteArray, Plan::Avro(registry.clone()), false);
    let other = framed(1, b"{}");
    let text =
        written_blocking(stage, batch(&[Some(&avro), Some(&framed(9, b"")), Some(&other)], None)).await;
    assert!(
        text.starts_with("[{\"flight\":7,\"tail\":\"N\"}] !flights/0/11 VALUE_CONVERTER TM0812: "),
        "{text}"
    );
    assert!(text.contains("schema 9 is not in the registry at http://127.0.0.1:"), "{text}");
    assert!(text.contains("schema 1 is JSON, and the converter reads Avro"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_waited_for() {
    let settings: Config =
        [("schema.registry.url".to_owned(), "http://127.0.0.1:9".to_owned())].into_iter().collect();
    let plan = Plan::Avro(Arc::new(Registry::of(&settings)));
    let stage = Conversion::new(Plan::ByteArray, plan, false);
    let bytes = framed(2, &[]);
    let fault = tokio::task::spawn_blocking(move || stage.apply(batch(&[Some(&bytes)], None)).unwrap_err());
    let fault = fault.await.unwrap();
    assert!(matches!(fault, base::Fault::Transient(_)), "{fault:?}");
    let error = fault.into_inner();
    let problem = error.downcast_ref::<crate::Error>().unwrap();
    assert_eq!(base::Problem::code(problem), code::TM0813);
}
