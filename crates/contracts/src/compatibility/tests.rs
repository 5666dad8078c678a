//! Compatibility as tables: two schemas, and what keeps the new one from reading the old one's data.

use base::ContractKind;

use super::*;

mod cases;
mod java;

fn document(text: &str) -> Document {
    let kind = if text.starts_with("avro ") { ContractKind::Avro } else { ContractKind::JsonSchema };
    Document::parse(kind, "test", text.trim_start_matches("avro ")).unwrap()
}

/// `old` and `new`; `expected` is the breaking changes as `KIND path`, in order, or empty.
#[track_caller]
fn check_read(old: &str, new: &str, expected: &str) {
    let found = can_read(&document(new), &document(old));
    let found: Vec<String> = found.iter().map(|change| format!("{} {}", change.kind, change.path)).collect();
    assert_eq!(found.join("; "), expected, "\nold {old}\nnew {new}");
}

fn avro(old: &str, new: &str, expected: &str) {
    check_read(&format!("avro {old}"), &format!("avro {new}"), expected);
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#)
}

#[test]
fn avro_reads_by_schema_resolution() {
    let a = r#"{"name":"a","type":"string"}"#;
    let b = r#"{"name":"b","type":"int"}"#;
    let b_default = r#"{"name":"b","type":"int","default":0}"#;
    avro(&record(a), &record(&format!("{a},{b_default}")), "");
    avro(&record(a), &record(&format!("{a},{b}")), "READER_FIELD_MISSING_DEFAULT_VALUE /fields/1");
    avro(&record(&format!("{a},{b}")), &record(a), "");
    avro(&record(a), &record(r#"{"name":"c","aliases":["a"],"type":"string"}"#), "");
    avro(r#""int""#, r#""long""#, "");
    avro(r#""long""#, r#""int""#, "TYPE_MISMATCH /");
    avro(r#""string""#, r#""bytes""#, "");
    avro(r#""string""#, r#"["null","string"]"#, "");
    avro(r#"["null","string"]"#, r#""string""#, "TYPE_MISMATCH /0");
    avro(r#"["null","string","int"]"#, r#"["null","string"]"#, "MISSING_UNION_BRANCH /2");
    avro(&record(a), &record(r#"{"name":"a","type":"int"}"#), "TYPE_MISMATCH /fields/0/type");
    let symbols =
        |list: &str, more: &str| format!(r#"{{"type":"enum","name":"e","symbols":[{list}]{more}}}"#);
    avro(&symbols(r#""A","B""#, ""), &symbols(r#""A""#, ""), "MISSING_ENUM_SYMBOLS /symbols");
    avro(&symbols(r#""A","B""#, ""), &symbols(r#""A""#, r#","default":"A""#), "");
    let fixed = |name: &str, size: u8| format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#);
    avro(&fixed("f", 4), &fixed("f", 8), "FIXED_SIZE_MISMATCH /size");
    avro(&fixed("f", 4), &fixed("g", 4), "NAME_MISMATCH /name");
    let list = r#"{"name":"next","type":["null","r"],"default":null}"#;
    avro(&record(list), &record(&format!("{list},{b_default}")), "");
}

fn object(properties: &str, more: &str) -> String {
    format!(r#"{{"type":"object","properties":{{{properties}}}{more}}}"#)
}

#[test]
fn json_objects_by_their_content_model() {
    let closed = r#","additionalProperties":false"#;
    let (a, b) = (r#""a":{"type":"string"}"#, r#""b":{"type":"integer"}"#);
    let both = format!("{a},{b}");
    check_read(&object(a, ""), &object(&both, ""), "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/b");
    check_read(&object(a, closed), &object(&both, closed), "");
    check_read(
        &object(a, closed),
        &object(&both, r#","additionalProperties":false,"required":["b"]"#),
        "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/b",
    );
    check_read(&object(&both, ""), &object(a, ""), "");
    check_read(
        &object(&both, closed),
        &object(a, closed),
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/b",
    );
    check_read(&object(a, ""), &object(a, r#","required":["a"]"#), "REQUIRED_ATTRIBUTE_ADDED #/required/a");
    check_read(&object(a, r#","required":["a"]"#), &object(a, ""), "");
    check_read(&object(a, ""), &object(a, closed), "ADDITIONAL_PROPERTIES_REMOVED #/additionalProperties");
    check_read(
        &object(a, r#","additionalProperties":{"type":"integer"}"#),
        &object(&both, r#","additionalProperties":{"type":"integer"}"#),
        "",
    );
    check_read(
        &object(a, r#","additionalProperties":{"type":"string"}"#),
        &object(&both, r#","additionalProperties":{"type":"string"}"#),
        "TYPE_CHANGED #/properties/b; PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/b",
    );
}

#[test]
fn a_lenient_policy_lets_open_objects_grow() {
    let closed = r#","additionalProperties":false"#;
    let (a, b) = (r#""a":{"type":"string"}"#, r#""b":{"type":"integer"}"#);
    let both = format!("{a},{b}");
    let texts = r#","additionalProperties":{"type":"string"}"#;
    for (old, new, strict, lenient) in [
        (object(a, ""), object(&both, ""), false, true),
        (object(a, ""), object(a, closed), false, true),
        (object(a, ""), object(a, texts), false, true),
        (object(&both, closed), object(a, closed), false, false),
        (object(a, ""), object(r#""a":{"type":"integer"}"#, ""), false, false),
        // What is compared within a choice is compared by the same policy.
        (object(a, ""), format!(r#"{{"oneOf":[{{"type":"null"}},{}]}}"#, object(&both, "")), false, true),
    ] {
        let (old, new) = (document(&old), document(&new));
        let earlier = [Earlier { version: 1, text: "…", document: &old }];
        let fits = |policy| {
            let rules = Rules { level: Level::Backward, policy, validates_fields: false };
            check(&rules, &new, &earlier).is_empty()
        };
        assert_eq!((fits(Policy::Strict), fits(Policy::Lenient)), (strict, lenient), "{new:?}");
    }
}

#[test]
fn json_types_values_and_bounds() {
    for (old, new, expected) in [
        (r#"{"type":"integer"}"#, r#"{"type":"number"}"#, ""),
        (r#"{"type":"number"}"#, r#"{"type":"integer"}"#, "TYPE_NARROWED #/"),
        (r#"{"type":"string"}"#, r#"{"type":"integer"}"#, "TYPE_CHANGED #/"),
        (r#"{"type":"string"}"#, r#"{"type":["null","string"]}"#, ""),
        (r#"{"type":["null","string"]}"#, r#"{"type":"string"}"#, "TYPE_CHANGED #/"),
        (r#"{"type":["null","string"]}"#, r#"{"type":["string","null"]}"#, ""),
        (r#"{"type":["null","string","integer"]}"#, r#"{"type":["string","null"]}"#, "SUM_TYPE_NARROWED #/"),
        (r#"{"type":"string"}"#, "{}", ""),
        ("{}", r#"{"type":"string"}"#, "TYPE_CHANGED #/"),
        ("false", r#"{"type":"string"}"#, ""),
        (r#"{"type":"integer","maximum":5}"#, r#"{"type":"integer","maximum":9}"#, ""),
        (
            r#"{"type":"integer","maximum":9}"#,
            r#"{"type":"integer","maximum":5}"#,
            "MAXIMUM_DECREASED #/maximum",
        ),
        (r#"{"type":"integer"}"#, r#"{"type":"integer","minimum":5}"#, "MINIMUM_ADDED #/minimum"),
        (r#"{"type":"string"}"#, r#"{"type":"string","pattern":"a"}"#, "PATTERN_ADDED #/pattern"),
        (r#"{"type":"string","maxLength":3}"#, r#"{"type":"string"}"#, ""),
        (r#"{"enum":["a"]}"#, r#"{"enum":["a","b"]}"#, ""),
        (r#"{"enum":["a","b"]}"#, r#"{"enum":["a"]}"#, "ENUM_ARRAY_NARROWED #/enum"),
        (r#"{"oneOf":[{"type":"string"}]}"#, r#"{"type":"string"}"#, ""),
        (
            r#"{"oneOf":[{"type":"string"},{"type":"integer"}]}"#,
            r#"{"oneOf":[{"type":"boolean"},{"type":"integer"}]}"#,
            "COMBINED_TYPE_SUBSCHEMAS_CHANGED #/",
        ),
        (
            r#"{"type":"array","items":{"type":"string"}}"#,
            r#"{"type":"array","items":{"type":"integer"}}"#,
            "TYPE_CHANGED #/items",
        ),
        (r#"{"type":"array"}"#, r#"{"type":"array","uniqueItems":true}"#, "UNIQUE_ITEMS_ADDED #/uniqueItems"),
        (r#"{"not":{"type":"number"}}"#, r#"{"not":{"type":"integer"}}"#, ""),
    ] {
        check_read(old, new, expected);
    }
}

#[test]
fn references_and_loops_are_followed() {
    let tree = |leaf: &str| {
        format!(
            r##"{{"$ref":"#/definitions/n","definitions":{{"n":{{"type":"object","properties":{{"v":{{"type":"{leaf}"}},"next":{{"$ref":"#/definitions/n"}}}}}}}}}}"##
        )
    };
    check_read(&tree("integer"), &tree("number"), "");
    check_read(&tree("number"), &tree("string"), "TYPE_CHANGED #/properties/v");
}

#[test]
fn levels_ask_the_right_way_round() {
    let (narrow, wide) = (document(r#"avro "int""#), document(r#"avro "long""#));
    let check_level = |level, new: &Document, old: &Document, good: bool| {
        let earlier = [Earlier { version: 1, text: "…", document: old }];
        assert_eq!(check(&Rules::of(level), new, &earlier).is_empty(), good, "{level}");
    };
    check_level(Level::Backward, &wide, &narrow, true);
    check_level(Level::Backward, &narrow, &wide, false);
    check_level(Level::Forward, &narrow, &wide, true);
    check_level(Level::Full, &narrow, &wide, false);
    check_level(Level::None, &document("{}"), &wide, true);
    // The latest fits, an older one does not: only the transitive level minds.
    let text = document(r#"avro "string""#);
    let earlier = [
        Earlier { version: 1, text: "\"string\"", document: &text },
        Earlier { version: 2, text: "\"int\"", document: &narrow },
    ];
    assert!(check(&Rules::of(Level::Backward), &wide, &earlier).is_empty());
    let messages = check(&Rules::of(Level::BackwardTransitive), &wide, &earlier);
    assert_eq!(
        messages,
        [
            "{errorType:'TYPE_MISMATCH', description:'The type (path '/') of a field in the new schema does not match with \
             the old schema', additionalInfo:'reader type: LONG not compatible with writer type: STRING'}",
            "{oldSchemaVersion: 1}",
            "{oldSchema: '\"string\"'}",
            "{validateFields: 'false', compatibility: 'BACKWARD_TRANSITIVE'}",
        ]
    );
    let (old, new) = (document(r#"{"type":"string"}"#), document(r#"{"type":"integer"}"#));
    assert_eq!(
        can_read(&new, &old)[0].message("new", "old"),
        "{errorType:\"TYPE_CHANGED\", description:\"The type at path '#/' differs between the new schema and the old schema\"}",
    );
    assert!(Level::NAMES.iter().all(|name| name.parse::<Level>().unwrap().name() == *name));
}
