//! Keys, tombstones and names of records that cross from one store to another.

use base::{Lease, Position};

use super::*;

fn batch(body: Body, keys: Option<Vec<Option<&str>>>) -> Batch {
    let marks = Some((0..body.len() as i64).collect());
    let keys = keys.map(|keys| keys.into_iter().map(|key| key.map(str::as_bytes)).collect());
    Batch {
        body,
        envelope: Envelope { keys, marks, ..Envelope::default() },
        contract: None,
        place: Arc::new(Place::Collection { name: "planes".into() }),
        end: Position::Mark(9),
        lease: Lease::free(),
    }
}

fn row(id: i64) -> Value {
    Value::Struct(vec![("id".into(), Value::Int(id)), ("name".into(), Value::string(format!("n{id}")))])
}

fn keys(batch: &Batch) -> Vec<Option<String>> {
    let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    (0..batch.len()).map(|row| batch.envelope.key(row).map(text)).collect()
}

#[test]
fn rows_are_keyed_by_fields_and_refused_without_them() {
    let lost = Value::Struct(vec![("id".into(), Value::Null)]);
    let rows = Body::Rows(vec![row(1), lost, row(3)].into());
    let stage = Rekeyed { keys: vec!["id".to_owned()], stamp: None };
    let (batches, rejects) = stage.apply(batch(rows.clone(), None)).expect("goes on");
    assert_eq!(keys(&batches[0]), [Some("1".to_owned()), Some("3".to_owned())]);
    assert_eq!(rejects.0[0].reason, "id, the key, has no value");
    let stage = Rekeyed { keys: vec!["name".to_owned(), "id".to_owned()], stamp: None };
    let (batches, _) = stage.apply(batch(rows, None)).expect("goes on");
    assert_eq!(keys(&batches[0])[0].as_deref(), Some(r#"["n1","1"]"#));
}

#[test]
fn rows_without_a_wish_pass_as_they_are() {
    let rows = Body::Rows(vec![Value::tagged("objectId", Value::string("6500"))].into());
    let stage = Rekeyed { keys: Vec::new(), stamp: None };
    let (batches, _) = stage.apply(batch(rows, Some(vec![Some("a")]))).expect("goes on");
    let Body::Rows(rows) = &batches[0].body else { panic!("rows") };
    assert!(matches!(rows[0], Value::Tagged { .. }) && keys(&batches[0]) == [Some("a".to_owned())]);
}

#[test]
fn rows_keep_their_keys_and_deletes_and_lose_their_tags() {
    let tagged = Value::Struct(vec![("ids".into(), Value::List(vec![Value::tagged("objectId", row(3))]))]);
    let rows = Body::Rows(vec![row(1), Value::Null, tagged].into());
    let given = batch(rows, Some(vec![Some("a"), Some("b"), None]));
    let (batches, _) = Plain("planes".into()).apply(given).expect("goes on");
    struct Upper;
    impl Stage for Upper {
        fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
            let Body::Rows(rows) = &batch.body else { panic!("rows") };
            let text = |row: &Value| {
                assert!(!format!("{row:?}").contains("Tagged"), "{row:?}");
                formats::json_value(row, None, formats::DecimalAs::Number)
            };
            let body = Body::Raw(rows.iter().map(|row| Some(text(row).into_bytes())).collect());
            Ok((vec![Batch { body, envelope: Envelope::default(), ..batch }], Rejects::default()))
        }
    }
    let (batches, _) = Keyed(Arc::new(Upper)).apply(batches[0].clone()).expect("goes on");
    let texts: Vec<(Option<String>, Option<String>)> = batches
        .iter()
        .flat_map(|batch| {
            let Body::Raw(values) = &batch.body else { panic!("bytes") };
            let text =
                |row| values.is_valid(row).then(|| String::from_utf8_lossy(values.value(row)).into_owned());
            keys(batch).into_iter().enumerate().map(move |(row, key)| (key, text(row))).collect::<Vec<_>>()
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        (some("a"), some(r#"{"id":1,"name":"n1"}"#)),
        (some("b"), None),
        (None, some(r#"{"ids":[{"id":3,"name":"n3"}]}"#)),
    ];
    assert_eq!(texts, expected);
    assert!(matches!(&*batches[0].place, Place::Made { name } if &**name == "planes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_topic_are_read_as_the_form_says() {
    let registry = || Registry::new(vec!["http://127.0.0.1:1".to_owned()], cloud::registry::Authority::None);
    let texts = ["{\"a\":1}", "7", "no json", "\u{0}"];
    let raw = || Body::Raw(texts.iter().map(|text| Some(text.as_bytes())).chain([None]).collect());
    let shown = async |form| {
        let given = batch(raw(), None);
        let stage = Decode::new(form, registry());
        let applied = tokio::task::spawn_blocking(move || stage.apply(given)).await.expect("joins");
        let (batches, rejects) = applied.expect("decodes");
        let Body::Rows(rows) = &batches[0].body else { panic!("rows") };
        let rows: Vec<String> =
            rows.iter().map(|row| formats::json_value(row, None, formats::DecimalAs::Number)).collect();
        let last = batches[0].envelope.is_tombstone(batches[0].len() - 1);
        format!("{} / {} refused / {last}", rows.join(" "), rejects.0.len())
    };
    assert_eq!(shown(TopicForm::Told).await, r#"{"a":1} {"value":7} null / 2 refused / true"#);
    assert_eq!(
        shown(TopicForm::Text).await,
        r#"{"value":"{\"a\":1}"} {"value":"7"} {"value":"no json"} {"value":"\u0000"} null / 0 refused / true"#
    );
    assert_eq!(
        shown(TopicForm::Bytes).await,
        r#"{"value":"eyJhIjoxfQ=="} {"value":"Nw=="} {"value":"bm8ganNvbg=="} {"value":"AA=="} null / 0 refused / true"#
    );
}
