//! What is posted to the registry: schemas of all three kinds with references, and the frame before a record's bytes.

use base::ContractKind;
use contracts::{
    Document, Referenced,
    compatibility::{self, Earlier, Level, Rules},
};

pub(super) const AVRO_WORDS: &[&str] = &[
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":[",
    "{\"name\":\"f\",\"type\":",
    "\"null\"",
    "\"long\"",
    "[\"null\",\"R\"]",
    "{\"type\":\"array\",\"items\":",
    "{\"type\":\"map\",\"values\":",
    "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
    "{\"type\":\"fixed\",\"name\":\"F\",\"size\":16}",
    "\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2",
    "\"default\":",
    "\"aliases\":[\"R\"]",
    "\"namespace\":\"a.b\"",
    "99999999999999999999",
    "-1",
    "]}",
    "}",
    ",",
];
pub(super) const JSON_SCHEMA_WORDS: &[&str] = &[
    "{\"type\":\"object\",\"properties\":{\"a\":",
    "{\"$ref\":\"#\"}",
    "{\"$ref\":\"#/definitions/a\"}",
    "\"definitions\":{\"a\":",
    "\"$defs\":{\"a\":",
    "\"allOf\":[",
    "\"oneOf\":[",
    "\"anyOf\":[",
    "\"not\":",
    "\"items\":",
    "\"required\":[\"a\"]",
    "\"additionalProperties\":false",
    "\"patternProperties\":{\"^(a+)+$\":true}",
    "\"pattern\":\"(a|a)*$\"",
    "\"enum\":[1,null,\"a\"]",
    "\"minimum\":1e308",
    "\"multipleOf\":0",
    "\"dependencies\":{\"a\":[\"b\"]}",
    "\"$id\":\"http://a/b\"",
    "true",
    "}",
    "]",
    ",",
];
pub(super) const PROTOBUF_WORDS: &[&str] = &[
    "syntax = \"proto3\";",
    "syntax = \"proto2\";",
    "edition = \"2023\";",
    "package a.b;",
    "import \"a.proto\";",
    "import public \"google/protobuf/timestamp.proto\";",
    "message M {",
    "enum E { A = 0; }",
    "oneof o {",
    "repeated M m = 1;",
    "optional int32 i = 536870911;",
    "map<string, M> x = 2;",
    "reserved 1 to max;",
    "extensions 100 to 200;",
    "extend M { optional int32 e = 100; }",
    "option deprecated = true;",
    "[default = -1e400]",
    "group G = 3 {",
    "service S { rpc R(M) returns (stream M); }",
    "}",
    ";",
    "/*",
    "\"\\xff\\000\"",
];

/// References come first, each closed by a line of its own: `---`; the last text is the schema.
fn feed(kind: ContractKind, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut texts: Vec<&str> = text.split("\n---\n").take(4).collect();
    let Some(schema) = texts.pop() else { return };
    let name = |place: usize| match kind {
        ContractKind::Protobuf => format!("{}.proto", (b'a' + place as u8) as char),
        ContractKind::Avro | ContractKind::JsonSchema => format!("{}", (b'a' + place as u8) as char),
    };
    let referenced = texts.iter().enumerate();
    let references: Vec<Referenced> =
        referenced.map(|(place, text)| Referenced { name: name(place), text: (*text).to_owned() }).collect();
    let document = match Document::parse_with(kind, "fuzz", schema, &references) {
        Ok(document) => document,
        Err(error) => {
            drop(base::problem::plain(&error));
            return;
        }
    };
    let canonical = document.canonical();
    drop((document.normalized(), document.formatted("resolved"), document.formatted("serialized")));
    if let Ok(rows) = document.schema("fuzz") {
        drop(rows);
    }
    let again = Document::parse_with(kind, "again", &canonical, &references);
    let again = again.unwrap_or_else(|error| panic!("its canonical form is no schema: {error}: {canonical}"));
    assert_eq!(again.canonical(), canonical, "a canonical form has itself as its own");
    let tagged = document.inline_tags();
    drop((document.with_tags(&tagged, &[]), document.with_tags(&[], &tagged)));
    let earlier = Earlier { version: 1, text: &canonical, document: &again };
    let said = compatibility::check(&Rules::of(Level::Full), &document, &[earlier]);
    assert!(said.is_empty(), "it does not fit itself: {said:?}");
}

pub(super) fn avro(input: &[u8]) {
    feed(ContractKind::Avro, input);
}

pub(super) fn json_schema(input: &[u8]) {
    feed(ContractKind::JsonSchema, input);
}

pub(super) fn protobuf(input: &[u8]) {
    feed(ContractKind::Protobuf, input);
}

pub(super) fn framing(input: &[u8]) {
    if let Ok((_, payload)) = contracts::unframe(input) {
        drop(contracts::unframe_message_index(payload));
    }
}
