//! Tags put into a schema are found there again, and taken out the schema is what it was.

use base::ContractKind;

use super::*;

fn parse(kind: ContractKind, text: &str) -> Document {
    Document::parse(kind, "test", text).unwrap()
}

/// Entities are written `r PATH` or `f PATH`, with their tags after it.
fn tagged(lines: &[&str]) -> Vec<Tagged> {
    let one = |line: &&str| {
        let mut words = line.split(' ');
        let entity = if words.next() == Some("r") { Entity::Record } else { Entity::Field };
        let path = words.next().unwrap().to_owned();
        Tagged { entity, path, tags: words.map(str::to_owned).collect() }
    };
    lines.iter().map(one).collect()
}

#[track_caller]
fn check(kind: ContractKind, text: &str, tags: &[&str], expected: &str) {
    let (before, tags) = (parse(kind, text), tagged(tags));
    let with = before.with_tags(&tags, &[]).unwrap();
    assert_eq!(with, expected);
    let after = parse(kind, &with);
    let (mut found, mut put) = (after.inline_tags(), tags.clone());
    found.sort_by(|left, right| left.path.cmp(&right.path));
    put.sort_by(|left, right| left.path.cmp(&right.path));
    assert_eq!(found, put);
    if kind != ContractKind::Protobuf {
        assert_eq!(after.with_tags(&[], &tags).unwrap(), before.canonical());
    }
}

#[test]
fn avro_has_them_at_records_and_fields() {
    check(
        ContractKind::Avro,
        r#"{"type":"record","name":"a","namespace":"x","fields":[{"name":"b","type":{"type":"record","name":"c","fields":[{"name":"d","type":"int"}]}}]}"#,
        &["r x.a ONE TWO", "f x.a.b PII", "f x.c.d PII"],
        r#"{"type":"record","name":"a","namespace":"x","fields":[{"name":"b","type":{"type":"record","name":"c","fields":[{"name":"d","type":"int","confluent:tags":["PII"]}]},"confluent:tags":["PII"]}],"confluent:tags":["ONE","TWO"]}"#,
    );
}

#[test]
fn json_schema_has_them_at_objects_and_properties() {
    check(
        ContractKind::JsonSchema,
        r#"{"type":"object","properties":{"list":{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"}}}},"choice":{"allOf":[{"type":"string"},{"type":"object","properties":{"b":{}}}]},"no":{"not":{"type":"object","properties":{"c":{}}}},"with.dot":{"enum":["x"]}}}"#,
        &[
            "r object T",
            "f object.list.array.object.a PII",
            "r object.list.array.object R",
            "f object.choice.allof.1.object.b PII",
            "f object.no.not.object.c PII",
            "f object.with.dot PII",
        ],
        r#"{"type":"object","properties":{"list":{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","confluent:tags":["PII"]}},"confluent:tags":["R"]}},"choice":{"allOf":[{"type":"string"},{"type":"object","properties":{"b":{"confluent:tags":["PII"]}}}]},"no":{"not":{"type":"object","properties":{"c":{"confluent:tags":["PII"]}}}},"with.dot":{"enum":["x"],"confluent:tags":["PII"]}},"confluent:tags":["T"]}"#,
    );
}

/// Paths that Confluent's registry has for schemas that say several things at once, and for references.
#[test]
fn json_schema_takes_confluents_other_paths() {
    for (text, path, expected) in [
        (
            r#"{"type":["null","object"],"properties":{"a":{}}}"#,
            "f anyof.1.object.a PII",
            r#"{"type":["null","object"],"properties":{"a":{"confluent:tags":["PII"]}}}"#,
        ),
        (
            r#"{"if":{"properties":{"a":{}}},"properties":{"b":{}}}"#,
            "f allof.0.conditional.if.object.a PII",
            r#"{"if":{"properties":{"a":{"confluent:tags":["PII"]}}},"properties":{"b":{}}}"#,
        ),
        (
            r#"{"if":{"properties":{"a":{}}},"properties":{"b":{}}}"#,
            "f allof.1.object.b PII",
            r#"{"if":{"properties":{"a":{}}},"properties":{"b":{"confluent:tags":["PII"]}}}"#,
        ),
        (
            r##"{"properties":{"a":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/B"}]}},"definitions":{"B":{"properties":{"c":{}}}}}"##,
            "f object.a.oneof.1.object.c PII",
            r##"{"properties":{"a":{"oneOf":[{"type":"null"},{"$ref":"#/definitions/B"}]}},"definitions":{"B":{"properties":{"c":{"confluent:tags":["PII"]}}}}}"##,
        ),
    ] {
        let with = parse(ContractKind::JsonSchema, text).with_tags(&tagged(&[path]), &[]);
        assert_eq!(with.as_deref(), Ok(expected), "{path}");
    }
}

const PROTOBUF: &str = "syntax = \"proto3\";\npackage com.example;\n\nmessage A {\n  string b = 1;\n  C c = 2;\n\n  message C {\n    int32 d = 1;\n  }\n}\n";

#[test]
fn protobuf_has_them_in_options() {
    check(
        ContractKind::Protobuf,
        PROTOBUF,
        &["f A.b ONE TWO", "r A.C R", "f A.C.d PII"],
        "syntax = \"proto3\";\npackage com.example;\n\nimport \"confluent/meta.proto\";\n\nmessage A {\n  string b = 1 [(confluent.field_meta) = {\n    tags: [\n      \"ONE\",\n      \"TWO\"\n    ]\n  }];\n  C c = 2;\n\n  message C {\n    option (confluent.message_meta) = {\n      tags: [\n        \"R\"\n      ]\n    };\n  \n    int32 d = 1 [(confluent.field_meta) = {\n      tags: [\n        \"PII\"\n      ]\n    }];\n  }\n}\n",
    );
}

#[test]
fn protobuf_keeps_what_else_an_option_says() {
    let text = "syntax = \"proto3\"; import \"confluent/meta.proto\";
message A { string b = 1 [(confluent.field_meta) = { doc: \"it's\", tags: \"ONE\" }];
            string c = 2 [(confluent.field_meta).tags = \"ONE\"]; }";
    let before = parse(ContractKind::Protobuf, text);
    assert_eq!(before.inline_tags(), tagged(&["f A.b ONE", "f A.c ONE"]));
    let add = tagged(&["f .A.b TWO", "f A.c TWO"]);
    let after = parse(ContractKind::Protobuf, &before.with_tags(&add, &[]).unwrap());
    assert_eq!(after.inline_tags(), tagged(&["f A.b ONE TWO", "f A.c ONE TWO"]));
    let remove = tagged(&["f A.b ONE TWO", "f A.c ONE TWO"]);
    let without = after.with_tags(&[], &remove).unwrap();
    assert!(without.contains("doc: \"it\\'s\"") && !without.contains("tags"), "{without}");
    assert!(without.contains("string c = 2;"), "{without}");
}

#[test]
fn what_is_nowhere_is_told() {
    for (kind, text, path) in [
        (ContractKind::Avro, r#"{"type":"record","name":"a","fields":[]}"#, "f a.b"),
        (ContractKind::Avro, r#"{"type":"record","name":"a","fields":[]}"#, "r b"),
        (ContractKind::Avro, "\"int\"", "f does.not.exist"),
        (ContractKind::JsonSchema, r#"{"properties":{"a":true}}"#, "f object.a"),
        (ContractKind::JsonSchema, r#"{"properties":{"a":{}}}"#, "r object.a"),
        (ContractKind::JsonSchema, r##"{"properties":{"a":{"$ref":"#"}}}"##, "f object.a.object.b"),
        (ContractKind::Protobuf, PROTOBUF, "f A.x"),
        (ContractKind::Protobuf, PROTOBUF, "r X"),
    ] {
        let wanted = tagged(&[path]);
        assert_eq!(parse(kind, text).with_tags(&wanted, &[]), Err(wanted[0].path.clone()), "{text}");
    }
}

#[test]
fn fields_at_the_top_are_known_by_name() {
    for (kind, text, has) in [
        (ContractKind::Avro, r#"{"type":"record","name":"r","fields":[{"name":"a","type":"int"}]}"#, true),
        (ContractKind::Avro, "\"int\"", false),
        (ContractKind::JsonSchema, r#"{"properties":{"a":{}}}"#, true),
        (ContractKind::JsonSchema, r#"{"properties":{"b":{"properties":{"a":{}}}}}"#, false),
        (ContractKind::Protobuf, "message M { optional int32 a = 1; }", true),
        (ContractKind::Protobuf, "message M {} message N { optional int32 a = 1; }", false),
    ] {
        assert_eq!(parse(kind, text).has_field("a"), has, "{text}");
    }
}
