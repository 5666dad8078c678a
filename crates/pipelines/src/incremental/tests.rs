//! The cursor's rules, over batches made here.

use std::sync::Arc;

use async_trait::async_trait;
use base::{
    Batch, Body, Envelope, Extent, Fault, Lease, Load, Place, Position, Receipt, Rejects, Saved, Sink, Split,
    Value, Writer, problem::plain,
};
use parking_lot::Mutex;

use super::*;
use crate::Error;

/// A sink that keeps what it is given.
#[derive(Default)]
struct Kept(Arc<Mutex<Vec<i64>>>);
struct KeptWriter(Arc<Mutex<Vec<i64>>>);

#[async_trait]
impl Sink for Kept {
    async fn begin(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
    async fn writer(&self, _: &Split) -> Result<Box<dyn Writer>, Fault> {
        Ok(Box::new(KeptWriter(self.0.clone())))
    }
    async fn finish(&self, _: &Load) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Writer for KeptWriter {
    async fn recover(&mut self, _: &Saved) -> Result<Option<Position>, Fault> {
        Ok(None)
    }
    async fn write(&mut self, batch: &Batch) -> Result<Rejects, Fault> {
        let Body::Rows(rows) = &batch.body else { panic!("rows go on as rows") };
        let number = |row: &Value| match row.get("n") {
            Some(Value::Int(number)) => *number,
            other => panic!("{other:?}"),
        };
        self.0.lock().extend(rows.iter().map(number));
        Ok(Rejects::default())
    }
    async fn commit(&mut self, _: &Extent) -> Result<Receipt, Fault> {
        Ok(Receipt(b"inner".as_slice().into()))
    }
}

fn split() -> Split {
    Split { id: "s".into(), place: Arc::new(Place::Collection { name: "planes".into() }) }
}

/// Rows of a number and a cursor `at`; no cursor where it is null.
fn batch(rows: &[(i64, Value)]) -> Batch {
    let row = |(number, at): &(i64, Value)| {
        Value::Struct(vec![("n".into(), Value::Int(*number)), ("at".into(), at.clone())])
    };
    Batch {
        body: Body::Rows(rows.iter().map(row).collect::<Vec<_>>().into()),
        envelope: Envelope::default(),
        contract: None,
        place: split().place,
        end: Position::Start,
        lease: Lease::free(),
    }
}

fn spec(on_missing: OnMissing) -> CursorSpec {
    CursorSpec { field: "at".to_owned(), initial_value: None, end_value: None, lag: None, on_missing }
}

/// One run: the numbers that went on, and the state behind it.
async fn run(cursor: Cursor, before: Option<&StreamState>, rows: &[(i64, Value)]) -> (Vec<i64>, StreamState) {
    let kept = Kept::default();
    let numbers = kept.0.clone();
    let tracked = Tracked { inner: Arc::new(kept), cursor: Some(Arc::new(cursor.clone())) };
    let mut writer = tracked.writer(&split()).await.expect("it opens");
    writer.recover(&Saved::default()).await.expect("nothing is saved");
    writer.write(&batch(rows)).await.expect("it takes them");
    let extent =
        Extent { split: split(), start: Position::Start, end: Position::Mark(1), records_count: 1, bytes: 1 };
    let receipt = writer.commit(&extent).await.expect("it commits");
    let came = tracked_of(&receipt).expect("it is ours");
    assert_eq!(&came.inner.0[..], b"inner");
    let (last_value, hashes) = merge(before, came.seen);
    let numbers = numbers.lock().clone();
    (numbers, StreamState { field: cursor.field, last_value, hashes, ..StreamState::default() })
}

fn ints(pairs: &[(i64, i64)]) -> Vec<(i64, Value)> {
    pairs.iter().map(|(number, at)| (*number, Value::Int(*at))).collect()
}

#[tokio::test]
async fn rows_at_the_last_value_come_once() {
    let spec = spec(OnMissing::Raise);
    let first = Cursor::of("planes", &spec, &["n".to_owned()], None, None);
    let (numbers, state) = run(first, None, &ints(&[(1, 5), (2, 7), (3, 7), (4, 6)])).await;
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!((state.last_value.clone(), state.hashes.len()), (Some(CursorValue::Int(7)), 2));
    // The store gives from 7 on; 2 and 3 are known, 5 came late with the same value.
    let second = Cursor::of("planes", &spec, &["n".to_owned()], Some(&state), None);
    assert_eq!(second.range().from, Some(Value::Int(7)));
    let (numbers, state) = run(second, Some(&state), &ints(&[(2, 7), (3, 7), (5, 7), (1, 5)])).await;
    assert_eq!(numbers, [5]);
    assert_eq!((state.last_value.clone(), state.hashes.len()), (Some(CursorValue::Int(7)), 3));
    let third = Cursor::of("planes", &spec, &["n".to_owned()], Some(&state), None);
    let (numbers, state) = run(third, Some(&state), &ints(&[(2, 7), (6, 9), (5, 7)])).await;
    assert_eq!(numbers, [6]);
    assert_eq!((state.last_value, state.hashes.len()), (Some(CursorValue::Int(9)), 1));
}

#[tokio::test]
async fn a_lag_reads_a_stretch_again_and_leaves_nothing_out() {
    let spec = CursorSpec { lag: Some(2.0), ..spec(OnMissing::Raise) };
    let state = StreamState {
        field: "at".to_owned(),
        last_value: Some(CursorValue::Int(7)),
        ..StreamState::default()
    };
    let cursor = Cursor::of("planes", &spec, &[], Some(&state), None);
    let (numbers, state) = run(cursor, Some(&state), &ints(&[(1, 4), (2, 5), (3, 7)])).await;
    assert_eq!(numbers, [2, 3]);
    assert_eq!((state.last_value, state.hashes.len()), (Some(CursorValue::Int(7)), 0));
}

#[tokio::test]
async fn an_end_is_left_out_and_a_missing_cursor_is_what_it_says() {
    let rows = [(1, Value::Int(3)), (2, Value::Null), (3, Value::Int(9))];
    for (on_missing, wanted) in [(OnMissing::Include, vec![1, 2]), (OnMissing::Exclude, vec![1])] {
        let spec = CursorSpec { end_value: Some(CursorValue::Int(9)), ..spec(on_missing) };
        let (numbers, _) = run(Cursor::of("planes", &spec, &[], None, None), None, &rows).await;
        assert_eq!(numbers, wanted);
    }
}

#[tokio::test]
async fn what_a_cursor_cannot_be_is_an_error_with_its_record() {
    let mut said = Vec::new();
    for rows in [vec![(1, Value::Null)], vec![(1, Value::Int(1)), (2, Value::string("x"))]] {
        let cursor = Some(Arc::new(Cursor::of("planes", &spec(OnMissing::Raise), &[], None, None)));
        let tracked = Tracked { inner: Arc::new(Kept::default()), cursor };
        let mut writer = tracked.writer(&split()).await.expect("it opens");
        let fault = writer.write(&batch(&rows)).await.expect_err("it is refused");
        said.push(plain(&*fault.into_inner().downcast::<Error>().expect("it is ours")));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn values_of_one_kind_have_an_order() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (ms, us) = (Value::TimestampMs(1_000), Value::TimestampUs(1_000_001));
    let of = |value: &Value| CursorValue::of(value).expect("it has an order");
    assert_eq!(of(&ms).compare_with(&us), Some(Less));
    assert_eq!(of(&Value::Date(1)).compare_with(&ms), Some(Greater));
    assert_eq!(of(&Value::Int(1)).compare_with(&Value::Decimal { unscaled: 100, scale: 2 }), Some(Equal));
    assert_eq!(of(&Value::Float(1.5)).compare_with(&Value::Int(2)), Some(Less));
    assert_eq!(of(&Value::string("a")).compare_with(&Value::Int(2)), None);
    let id = Value::tagged("objectId", Value::string("aa"));
    assert_eq!(of(&id).to_value(), id);
}

#[test]
fn words_of_a_command_line_are_what_they_look_like() {
    for (text, value) in [
        ("5", CursorValue::Int(5)),
        ("-5.5", CursorValue::Float(-5.5)),
        ("N14228", CursorValue::Text("N14228".to_owned())),
    ] {
        assert_eq!(scalar_value(text), value);
    }
    assert!(matches!(scalar_value("2024-01-01"), CursorValue::Date { days: 19_723, .. }));
    for text in ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "2024-01-01T01:00:00+01:00"] {
        assert!(
            matches!(scalar_value(text), CursorValue::Timestamp { us: 1_704_067_200_000_000, .. }),
            "{text}"
        );
    }
}

/// Digests of dlt 1.31 for the same keys: `digest_dedup_value(7)`, `digest_dedup_value("N14228")` and
/// `digest_dedup_value({"b": 1, "a": "x"})`.
#[test]
fn digests_are_dlts() {
    let row = Value::Struct(vec![("b".into(), Value::Int(1)), ("a".into(), Value::string("x"))]);
    let key = Value::Struct(vec![("id".into(), Value::Int(7)), ("t".into(), Value::string("N14228"))]);
    let mut scratch = Vec::new();
    let mut of = |row: &Value, key: &[&str]| {
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        digest::of_row(row, &key, &mut scratch).expect("the key is there")
    };
    assert_eq!(of(&key, &["id"]), DLT_OF_7);
    assert_eq!(of(&key, &["t"]), DLT_OF_TEXT);
    assert_eq!(of(&row, &[]), DLT_OF_ROW);
    assert_eq!(of(&key, &["id", "t"]), DLT_OF_PAIR);
}

const DLT_OF_7: &str = "+ZB5qOrG8FH6";
const DLT_OF_TEXT: &str = "zr5aEHumbjCV";
const DLT_OF_ROW: &str = "t8htE3Gr5Xyl";
const DLT_OF_PAIR: &str = "/6iUBVtusBpe";
