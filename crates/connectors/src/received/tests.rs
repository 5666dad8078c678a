//! What is refused is what came, and comes again as it was.

use base::{Envelope, Lease, Place, Position, code};

use super::*;

fn row(fields: Vec<(&str, Value)>) -> Value {
    Value::Struct(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn typed() -> Value {
    row(vec![
        ("id", Value::Int(7)),
        ("day", Value::Date(15_736)),
        ("at", Value::TimestampUs(1_700_000_000_123_456)),
        ("hour", Value::TimeMs(45_296_789)),
        ("price", Value::Decimal { unscaled: -123_450, scale: 3 }),
        ("huge", Value::Decimal { unscaled: 12_345_678_901_234_567_890_123_456_789, scale: 2 }),
        ("seal", Value::Bytes(vec![0, 255].into())),
        ("a/b", Value::List(vec![row(vec![("c~d", Value::Date(0))]), Value::Null])),
        (
            "stock",
            Value::Map(vec![(Value::string("x"), Value::Map(vec![(Value::string("y"), Value::Date(1))]))]),
        ),
        ("_id", Value::tagged("objectId", Value::string("507f1f77bcf86cd799439011"))),
        ("blob", Value::tagged("binary.05", Value::Bytes(vec![7, 0].into()))),
        ("spot", Value::tagged("geoPoint", row(vec![("on", Value::Date(2)), ("x", Value::Float(1.5))]))),
        ("text", Value::string("2013-01-31")),
        ("whole", Value::Float(2.0)),
    ])
}

#[test]
fn a_typed_row_is_the_same_again() {
    let (text, types) = told(&typed());
    assert_eq!(retyped(&text, &types).expect("JSON"), typed());
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains(r#""price":"-123.450""#) && text.contains(r#""day":"2013-01-31""#), "{text}");
    // Edited by hand.
    let text = text.replace("-123.450", "7").replace("\"2013-01-31\",\"at\"", "null,\"at\"");
    let again = retyped(text.as_bytes(), &types).expect("JSON");
    assert_eq!(again.get("price"), Some(&Value::Decimal { unscaled: 7, scale: 0 }));
    assert_eq!(again.get("day"), Some(&Value::Null));
    assert!(retyped(b"{", &types).is_err());
}

#[test]
fn what_json_has_no_word_for_is_the_same_again() {
    let odd = row(vec![
        ("less", Value::Float(f64::NEG_INFINITY)),
        ("none", Value::Float(-0.0)),
        ("least", Value::Float(5e-324)),
        ("exact", Value::Float(0.1 + 0.2)),
        ("far", Value::TimestampMs(400_000_000_000_000)),
        ("farther", Value::TimestampMs(i64::MIN)),
        ("fine", Value::TimestampUs(i64::MAX)),
        ("late", Value::Date(i32::MAX)),
        ("early", Value::Date(-800_000)),
    ]);
    let (text, types) = told(&odd);
    assert_eq!(retyped(&text, &types).expect("JSON"), odd);
    let (text, types) = told(&Value::Struct(vec![("nothing".into(), Value::Float(f64::NAN))]));
    let again = retyped(&text, &types).expect("JSON");
    assert!(matches!(again.get("nothing"), Some(Value::Float(number)) if number.is_nan()), "{again:?}");
}

/// Makes other rows, and refuses the second one.
struct Refuses;

impl Stage for Refuses {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let reject = formats::reject(&batch, 1, code::TM0510, "VALUE_CONVERTER", "no".to_owned());
        let reject = Reject { value: Some(Bytes::from_static(b"changed")), headers: Vec::new(), ..reject };
        Ok((vec![batch.slice(0..1)], Rejects(vec![reject])))
    }

    fn growth(&self) -> u64 {
        3
    }
}

fn refused(body: Body) -> Reject {
    let envelope = Envelope { marks: Some(vec![4, 9].into()), ..Envelope::default() };
    let place = Arc::new(Place::File { path: "a".into() });
    let end = Position::Mark(10);
    let batch = Batch { body, envelope, contract: None, place, end, lease: Lease::free() };
    struct Passes;
    impl Stage for Passes {
        fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
            Ok((vec![batch], Rejects::default()))
        }
    }
    let stage = Received::new(vec![Arc::new(Passes), Arc::new(Refuses)]);
    assert_eq!(stage.growth(), 3);
    let (batches, mut rejects) = stage.apply(batch).expect("goes on");
    assert_eq!(batches[0].len(), 1);
    rejects.0.remove(0)
}

#[test]
fn what_is_refused_is_what_came() {
    let raw = Body::Raw([Some(&b"one"[..]), Some(b"two")].into_iter().collect());
    let reject = refused(raw);
    assert_eq!((reject.value.as_deref(), reject.headers.len()), (Some(&b"two"[..]), 0));
    let reject = refused(Body::Rows(vec![Value::Null, typed()].into()));
    let header = &reject.headers[0];
    assert_eq!(&*header.name, TYPES);
    let types: Map<String, Json> =
        serde_json::from_slice(header.value.as_deref().expect("types")).expect("JSON");
    assert_eq!(retyped(reject.value.as_deref().expect("a record"), &types).expect("JSON"), typed());
    let plain = refused(Body::Rows(vec![Value::Null, row(vec![("n", Value::Int(1))])].into()));
    assert_eq!(plain.value.as_deref(), Some(&b"{\"n\":1}"[..]));
    assert_eq!(plain.headers[0].value.as_deref(), Some(&b"{}"[..]));
}

/// A store's rows: without marks, known by their keys.
fn documents() -> Batch {
    let rows = (0..4).map(|n| row(vec![("n", Value::Int(n)), ("at", Value::Date(1))])).collect::<Vec<_>>();
    let keys = Some((0..4).map(|n| Some(format!("k{n}"))).collect());
    let envelope = Envelope { keys, ..Envelope::default() };
    let place = Arc::new(Place::Collection { name: "planes".into() });
    let end = Position::Token(Bytes::from_static(b"k3"));
    Batch { body: Body::Rows(rows.into()), envelope, contract: None, place, end, lease: Lease::free() }
}

#[test]
fn a_document_is_known_by_its_key_wherever_it_is_refused() {
    /// Knows records by another place, and leaves the second one out.
    struct Writes;
    impl Stage for Writes {
        fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
            let batch = Batch { place: Arc::new(Place::Made { name: "planes".into() }), ..batch };
            let reject =
                formats::reject(&batch, 1, code::TM0510, "VALUE_CONVERTER", "planes:1:7: n: no".to_owned());
            let bytes = |batch: &Batch| {
                let values = (0..batch.len()).map(|_| Some(&b"sent"[..])).collect();
                let mut made = batch.with_body(Body::Raw(values));
                made.envelope.keys = None;
                made
            };
            Ok((vec![bytes(&batch.slice(0..1)), bytes(&batch.slice(2..4))], Rejects(vec![reject])))
        }
    }
    let (came, stage) = (documents(), Received::new(vec![Arc::new(Writes)]));
    let (batches, rejects) = stage.apply(came.clone()).expect("goes on");
    let shown = |reject: &Reject| {
        let text = |bytes: &Option<Bytes>| {
            String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
        };
        format!("{} {} {} {}", reject.origin, reject.reason, text(&reject.key), text(&reject.value))
    };
    assert_eq!(shown(&rejects.0[0]), r#"planes/k1 n: no k1 {"n":1,"at":"1970-01-02"}"#);
    // Numbers are no places to go on from.
    assert!(batches.iter().all(|batch| batch.envelope.marks.is_none() && batch.end == came.end));
    let mut reject = formats::reject(&batches[1], 1, code::TM0710, "TASK_PUT", "large".to_owned());
    let row = came.row_of(&reject.origin).expect("it is known");
    stage.restore(&came, row, &mut reject);
    assert_eq!(shown(&reject), r#"planes/k3 large k3 {"n":3,"at":"1970-01-02"}"#);
}
