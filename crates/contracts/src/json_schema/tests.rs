//! JSON Schema: the row model, decoding by it, canonical texts and drafts.

use base::{Kind, Value};

use super::*;

const ORDER: &str = r##"{"title":"Order","type":"object","properties":{
    "id":{"type":"integer","connect.type":"int32"}, "total":{"type":"number"}, "note":{"type":["null","string"]},
    "at":{"type":"integer","title":"org.apache.kafka.connect.data.Timestamp"}, "raw":{"type":"string","connect.type":"bytes"},
    "price":{"type":"number","title":"org.apache.kafka.connect.data.Decimal","connect.parameters":{"scale":"2"}},
    "colour":{"type":"string","enum":["RED","BLUE"]}, "tags":{"type":"array","items":{"type":"string"}},
    "counts":{"type":"object","additionalProperties":{"type":"integer"}}, "place":{"$ref":"#/definitions/place"},
    "either":{"oneOf":[{"type":"null"},{"type":"string"},{"type":"integer"}]}, "level":{"type":"integer","default":3}},
    "required":["id","place"],"definitions":{"place":{"type":"object","properties":{"city":{"type":"string"}}}}}"##;

fn decode(text: &str) -> Result<Value, String> {
    Decoder::new("order", ORDER).unwrap().decode(text.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn types_map_as_connects_json_schema_data() {
    let decoder = Decoder::new("order", ORDER).unwrap();
    let schema = decoder.schema();
    let field = |name: &str| schema.field(name).unwrap().schema.clone();
    assert_eq!(schema.name.as_deref(), Some("Order"));
    assert_eq!((field("id").kind.clone(), field("id").optional), (Kind::Int32, false));
    assert!(field("total").optional && field("note").optional && field("at").kind == Kind::TimestampMs);
    assert_eq!(field("raw").kind, Kind::Bytes);
    assert_eq!(field("price").kind, Kind::Decimal { scale: 2 });
    assert_eq!(field("colour").parameters["io.confluent.connect.json.Enum.RED"], "RED");
    assert!(matches!(&field("counts").kind, Kind::Map { value, .. } if value.kind == Kind::Int64));
    assert_eq!(field("either").name.as_deref(), Some("io.confluent.connect.json.OneOf"));
    assert_eq!(field("level").default, Some(Value::Int(3)));
    let indexed = r#"{"type":"object","properties":{"b":{"type":"string","connect.index":1},"a":{"type":"string","connect.index":0}}}"#;
    let names = Decoder::new("t", indexed).unwrap();
    assert_eq!(&*names.schema().fields()[0].name, "a");
}

#[test]
fn records_are_read_by_the_model() {
    let row = decode(r#"{"place":{"city":"x","other":1},"id":1.0,"total":2,"price":1.5,"raw":"YWI=","unknown":[{}],"counts":{"k":1},"tags":["a"],"either":7}"#).unwrap();
    assert_eq!(row.get("id"), Some(&Value::Int(1)));
    assert_eq!(row.get("total"), Some(&Value::Float(2.0)));
    assert_eq!(row.get("price"), Some(&Value::Decimal { unscaled: 150, scale: 2 }));
    assert_eq!(row.get("raw"), Some(&Value::Bytes("ab".into())));
    assert_eq!(row.get("place.city"), Some(&Value::string("x")));
    assert_eq!(row.get("counts.k"), Some(&Value::Int(1)));
    assert_eq!((row.get("note"), row.get("level")), (Some(&Value::Null), Some(&Value::Int(3))));
    let Some(Value::Struct(either)) = row.get("either") else { panic!("a struct") };
    assert_eq!((&either[0].1, &either[1].1), (&Value::Null, &Value::Int(7)));
}

#[test]
fn what_does_not_fit_names_its_field() {
    let refused =
        |text: &str| decode(text).unwrap_err().replace("the record does not decode by its JSON schema: ", "");
    assert_eq!(
        refused(r#"{"id":"x","place":{}}"#),
        "id: expected a 32 bit integer, found \"x\" at line 1 column 9"
    );
    assert_eq!(
        refused(r#"{"id":3000000000,"place":{}}"#),
        "id: expected a 32 bit integer, found 3000000000 at line 1 column 16"
    );
    assert_eq!(refused(r#"{"id":1}"#), "place: expected an object, found nothing at line 1 column 8");
    assert!(refused(r#"{"id":1,"place":{"city":5}}"#).starts_with("place.city: expected a string, found 5"));
    assert!(refused(r#"{"id":1,"place":{}} x"#).starts_with("the record: trailing characters"));
    assert!(refused("").starts_with("the record: EOF"));
}

#[test]
fn texts_are_compact_and_keep_their_order() {
    let document =
        JsonSchema::parse("t", "{ \"type\" : \"object\", \"properties\": {\"b\": {}, \"a\": true} }")
            .unwrap();
    assert_eq!(document.canonical(), r#"{"type":"object","properties":{"b":{},"a":true}}"#);
    assert_eq!(document.normalized(), r#"{"properties":{"a":true,"b":{}},"type":"object"}"#);
}

#[test]
fn schemas_without_rows_are_refused_with_their_place() {
    let refused = |text: &str| Decoder::new("t", text).unwrap_err().to_string();
    assert!(refused(r#"{"type":"object","properties":{"a":{}}}"#).contains("a: it names no type"));
    assert!(refused("true").contains("its root: true and false accept anything"));
    assert!(refused(r##"{"type":"object","properties":{"a":{"$ref":"#"}}}"##).contains("refers to itself"));
    assert!(refused(r##"{"$ref":"#/definitions/none"}"##).contains("none"));
}

#[test]
fn base64_and_decimals() {
    assert_eq!(decode::base64("YWJj"), Some(b"abc".to_vec()));
    assert_eq!(decode::base64("YWI"), Some(b"ab".to_vec()));
    assert_eq!(decode::base64("a b"), None);
    assert_eq!(decimal("12.5e1", 1), Some(Value::Decimal { unscaled: 1250, scale: 1 }));
    assert_eq!(decimal("0.05", 1), None);
}
