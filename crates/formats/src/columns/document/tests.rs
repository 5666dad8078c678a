//! Documents become the columns that their values would become, or nothing.

use base::{Field, Kind, Schema};

use super::*;
use crate::columns::{arrow_schema, values};

fn schema() -> Schema {
    let field =
        |name: &str, kind: Kind| Field { name: name.into(), schema: Arc::new(Schema::optional(kind)) };
    let optional = |kind| Arc::new(Schema::optional(kind));
    let inner = Kind::Struct(vec![field("x", Kind::Float64), field("y", Kind::String)].into());
    Schema::of(Kind::Struct(
        vec![
            field("id", Kind::Int64),
            field("flag", Kind::Boolean),
            field("price", Kind::Float64),
            field("big", Kind::Decimal { scale: 0 }),
            field("text", Kind::String),
            field("tags", Kind::Array(optional(Kind::String))),
            field("inner", inner.clone()),
            field("all", Kind::Array(optional(inner))),
        ]
        .into(),
    ))
}

fn columns(documents: &[&str]) -> Option<RecordBatch> {
    let arrow = arrow_schema(&schema()).expect("columns");
    let mut columns = DocumentColumns::new(&arrow, 4)?;
    documents.iter().try_for_each(|document| columns.push(document.as_bytes()))?;
    Some(columns.finish().expect("they belong together"))
}

#[test]
fn documents_are_columns() {
    let documents = [
        r#"{"id":1,"flag":true,"price":1.5,"big":18446744073709551615,"text":"\u00e9","tags":["a",null,"b"],"inner":{"x":1,"y":null},"all":[{"x":2.5},null]}"#,
        r#"{"inner":{"y":"only"},"text":7,"id":-1,"price":3,"big":5}"#,
        r#"{"text":1.0,"tags":[],"inner":null,"all":[]}"#,
        r#"{}"#,
    ];
    let batch = columns(&documents).expect("all are plain");
    let told: Vec<String> = values(&batch)
        .expect("they have values")
        .iter()
        .map(|value| crate::json_value(value, None, crate::DecimalAs::Number))
        .collect();
    let expected = [
        r#"{"id":1,"flag":true,"price":1.5,"big":18446744073709551615,"text":"é","tags":["a",null,"b"],"inner":{"x":1.0,"y":null},"all":[{"x":2.5,"y":null},null]}"#,
        r#"{"id":-1,"flag":null,"price":3.0,"big":5,"text":"7","tags":null,"inner":{"x":null,"y":"only"},"all":null}"#,
        r#"{"id":null,"flag":null,"price":null,"big":null,"text":"1.0","tags":[],"inner":null,"all":[]}"#,
        r#"{"id":null,"flag":null,"price":null,"big":null,"text":null,"tags":null,"inner":null,"all":null}"#,
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_not_plain_is_left_to_others() {
    for document in [
        "",
        "[]",
        "{",
        "{} {}",
        r#"{"id":1.5}"#,
        r#"{"id":"1"}"#,
        r#"{"id":18446744073709551615}"#,
        r#"{"id":1,"id":2}"#,
        r#"{"inner":{"x":1,"x":2}}"#,
        r#"{"other":1}"#,
        r#"{"inner":{"z":1}}"#,
        r#"{"text":{"a":1}}"#,
        r#"{"tags":"a"}"#,
        r#"{"tags":[1,[2]]}"#,
        r#"{"flag":0}"#,
    ] {
        assert!(columns(&[document]).is_none(), "{document}");
    }
}
