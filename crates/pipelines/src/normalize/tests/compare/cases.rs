//! The collections that both sides read: one for each thing that can go differently, and random ones.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

/// Random collections, made of a fixed seed so that a failure is seen again.
const RANDOM_CASES: usize = 60;

pub(super) fn all() -> Vec<Case> {
    let mut cases = vec![types(), nesting(), lists(), names(), clashes(), hints(), key()];
    let nulls = json!([{"a": null, "b": 1}, {"a": 2, "b": null}, {"c": null}, {"b": 3, "c": "late"}]);
    cases.push(Case::new("nulls", nulls));
    let empties = json!([{}, {"a": {}, "b": []}, {"a": {"b": {}}, "c": [[]]}, {"d": [{}], "e": [null]}]);
    cases.push(Case::new("empties", empties));
    let texts = TEXTS.iter().map(|text| json!({"t": text})).collect::<Vec<_>>();
    cases.push(Case::new("texts", texts.into()));
    let first = TEXTS.iter().enumerate().map(|(n, text)| (format!("t{n}"), json!(text)));
    cases.push(Case::new("first_texts", json!([first.collect::<Map<_, _>>()])));
    for (name, values) in CLASHES {
        let values: Vec<Json> = serde_json::from_str(values).unwrap();
        let documents = values.iter().map(|value| json!({"v": value})).collect::<Vec<_>>();
        cases.push(Case::new(name, documents.into()));
    }
    for depth in 0..=3 {
        let documents = json!([{"a": {"b": {"c": [1, {"d": [2]}]}}, "l": [[1], {"m": {"n": 1}}], "s": "t"}]);
        let mut case = Case::new(&format!("depth_{depth}"), documents);
        case.shape.nested = Nested::Flatten { max_nesting: Some(depth) };
        cases.push(case);
    }
    cases.extend((0..RANDOM_CASES).map(random));
    cases
}

/// A column that takes its type from the first value, and then values of other types, each in its own document.
const CLASHES: &[(&str, &str)] = &[
    ("into_double", r#"[1.5, 2, "3.5", "x", {"$decimal": "4.25"}, true, " 1e3 ", "1_0", "0x1f"]"#),
    (
        "into_bigint",
        r#"[1, 2.0, 2.5, "3", "3.5", "-7 ", "1_000", "0xff", {"$decimal": "4.00"}, {"$decimal": "4.5"}]"#,
    ),
    (
        "into_bigint_2",
        r#"[1, true, {"$timestamp_us": 5}, "", {"$date": 1}, {"$bytes": "AAEC"}, [1], {"a": 1}]"#,
    ),
    (
        "into_text",
        r#"["a", 1, 1.0, 1e16, 1e-5, -0.0, 123456.789, true, false, {"$decimal": "1.50"}, {"$decimal": "1E+3"}]"#,
    ),
    (
        "into_text_2",
        r#"["a", {"$timestamp_us": 1500000}, {"$date": 3}, {"$time_us": 3723000000}, {"$bytes": "AAEC"}]"#,
    ),
    (
        "into_timestamp",
        r#"[{"$timestamp_us": 1704164645123456}, 1704164645, 1.25, "2024-01-02", "soon", {"$date": 19724}]"#,
    ),
    (
        "into_timestamp_2",
        r#"[{"$timestamp_us": 0}, true, "1704164645.5", {"$timestamp_us": -1}, -1.5, {"$time_us": 1000000}]"#,
    ),
    ("into_bool", r#"[true, 0, 2, 0.5, "yes", "N", "maybe", {"$decimal": "0.0"}]"#),
    ("into_decimal", r#"[{"$decimal": "1.5"}, 2, 0.1, "3.25", "x", true, {"$decimal": "-1E+3"}]"#),
    (
        "into_date",
        r#"[{"$date": 1}, "2024-01-02", "x", {"$timestamp_us": 86400000000}, 86400, "2024-01-02T10:00:00+12:00"]"#,
    ),
    ("into_time", r#"[{"$time_us": 1000000}, "03:04:05", "x", 5, "03:04:05+02:00"]"#),
    ("into_binary", r#"[{"$bytes": "AAEC"}, "0x0aff", "AAEC", "no!", 258, -1]"#),
];

const TEXTS: &[&str] = &[
    "plain",
    "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05.5+02:00",
    "2024-01-02 03:04",
    "2024-01-02",
    "20240102T030405",
    "2024-01-02T24:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024/01/02 3:04:05",
    "2024",
    "1704164645",
    "12:30",
    "9:05:01.5",
    "2024-W05-3T10:00:00",
    "2024-060T10:00:00",
    "P1D",
    "2024-01-01/2024-01-02",
    "true",
    "",
    " ",
    "é\u{1F600}\"\\\n\u{7}",
    "2024-02-30T00:00:00Z",
    "2024-01-02T03:04:05-0330",
    "2024-01-02T03",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
];

fn types() -> Case {
    Case::new(
        "all_types",
        json!([
            {
                "_id": "65a000000000000000000001", "int": 1, "big": 9_223_372_036_854_775_807i64, "double": 0.1, "whole": 2.0,
                "large": 1e300, "flag": true, "text": "x", "when": {"$timestamp_us": 1_704_164_645_123_000u64},
                "old": {"$timestamp_us": -62_135_596_800_000_000i64}, "day": {"$date": 19_724}, "time": {"$time_us": 11_045_678_000u64},
                "decimal": {"$decimal": "123456789.123456789"}, "bytes": {"$bytes": "AAH/"}, "nothing": null,
            },
            {"int": -1, "decimal": {"$decimal": "-0.5"}, "when": {"$timestamp_us": 0}, "flag": false},
        ]),
    )
}

/// A table whose first document has all columns: what a CSV file needs.
pub(super) fn flat() -> Case {
    Case::new(
        "flat",
        json!([
            {
                "int": 1, "double": 0.1, "large": 1e16, "whole": 100.0, "flag": true, "text": "a \"b\", c", "odd": "é,\u{1F600}",
                "when": {"$timestamp_us": 1_704_164_645_123_000u64}, "day": {"$date": 19_724}, "time": {"$time_us": 3_723_000_000u64},
                "decimal": {"$decimal": "1.5"}, "bytes": {"$bytes": "YWJj"},
            },
            {"int": -1, "flag": false, "text": "", "when": {"$timestamp_us": 0}, "double": -0.0},
            {"text": null, "large": 1e-7},
        ]),
    )
}

fn nesting() -> Case {
    Case::new(
        "nesting",
        json!([
            {"a": 1, "x": {"p": 1, "q": {"r": 2.5, "s": {"t": null}}}, "y": {"z": "t", "w": [1]}, "b": 2},
            {"y": {"z": 5, "new": true}, "x": {"q": {"s": {"t": "now"}}}, "c": {"d": {"e": {"f": {"g": [{"h": {"i": 1}}]}}}}},
            {"x": "no object", "y": [1, 2]},
        ]),
    )
}

fn lists() -> Case {
    Case::new(
        "lists",
        json!([
            {"l": [1, 2, {"a": 1}, null, "x"], "ll": [[1, 2], [3], []], "lll": [[[1], [2, {"deep": [true]}]]]},
            {"l": [{"a": {"b": 2}, "l": [{"l": [7]}]}], "mixed": [[{"k": 1}], {"k": 2}, 3]},
            {"o": {"l": [{"v": 1}], "p": {"l": ["two"]}}, "value": 1, "list": [[1]]},
        ]),
    )
}

/// Names that are shortened where a target has a limit.
pub(super) fn long_names() -> Vec<String> {
    let word = |n: usize| format!("Part {n} of a long name").repeat(n);
    let names = (1..8).map(word).chain((1..8).map(|n| vec![word(n); 3].join("__")));
    names.chain(["é".repeat(80), "1_".repeat(40), "Ab".repeat(31), "Ab".repeat(32)]).collect()
}

fn names() -> Case {
    let long = "Long".repeat(60);
    let mut fields = Map::new();
    let names = [
        "CamelCase",
        "HTTPServer",
        "with space",
        "with.dot",
        "with-dash",
        "trailing_",
        "__leading",
        "1digit",
        "a__b",
        "a___b",
        "Größe",
        "日本語",
        "+plus*",
        "@at|pipe",
        "UPPER_CASE",
        "mixed_Case__Inner",
        "x_",
        "_",
        "a$b",
        "\u{0663}three",
        "tab\tname",
        " padded ",
    ];
    for (number, name) in names.iter().enumerate() {
        fields.insert((*name).to_owned(), number.into());
        fields.insert(format!("{name}List"), json!([number]));
        fields.insert(format!("{name}Object"), json!({ *name: number }));
    }
    fields.insert(long.clone(), json!({ long: 1 }));
    Case::new("OddNames", json!([fields, {"": 1, " ": {"": 2}}]))
}

fn clashes() -> Case {
    Case::new(
        "clashes",
        json!([
            {"Name": 1, "name": "x", "a__b": 1, "a": {"b": "two", "B": 3}, "L": [1], "l": ["y"]},
            {"name": 5, "Name": null, "a": {"b": 1}, "a__b": true},
            {"n__v_text": "first", "n": 2}, {"n": "text"}, {"n": "more"}, {"n": {"o": 1}}, {"n": [1]}, {"n": 2.5}, {"n": true},
        ]),
    )
}

fn hints() -> Case {
    let mut case = Case::new(
        "hints",
        json!([
            {"j": {"a": [1, {"b": 2}], "when": {"$timestamp_us": 1_000_000}}, "d": 1, "small": 5, "seconds": {"$timestamp_us": 1_000_000}, "price": 1.25},
            {"j": [1, 2], "d": "2.5", "text": 17},
            {"j": "{\"x\": 1}"},
            {"j": "no json"},
        ]),
    );
    let hint = |name: &str, data_type| ColumnHint {
        name: name.to_owned(),
        data_type: Some(data_type),
        ..ColumnHint::default()
    };
    case.shape.columns = vec![
        hint("j", DataType::Json),
        hint("d", DataType::Double),
        ColumnHint { precision: Some(16), ..hint("small", DataType::Bigint) },
        ColumnHint { precision: Some(3), ..hint("seconds", DataType::Timestamp) },
        ColumnHint { precision: Some(10), scale: Some(2), ..hint("price", DataType::Decimal) },
        hint("text", DataType::Text),
        hint("never", DataType::Bool),
    ];
    case
}

fn key() -> Case {
    let mut case = Case::new("key", json!([{"a": 1, "id": 7, "Kind": "x"}, {"id": 8, "Kind": "y"}]));
    case.shape.primary_key = vec!["Kind".to_owned(), "id".to_owned()];
    case
}

/// Documents that share a few names, so that types meet.
fn random(number: usize) -> Case {
    let mut seed = [0; 32];
    seed[0] = u8::try_from(number).unwrap();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let documents = prop::collection::vec(object(value()), 1..8).new_tree(&mut runner).unwrap().current();
    let mut case = Case::new(&format!("random_{number}"), documents.into());
    case.leave_out_rejects();
    case
}

fn value() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-100_000_000_000i64..100_000_000_000).prop_map(Json::from),
        (-1000i64..1000).prop_map(Json::from),
        (-1e6..1e6f64).prop_map(Json::from),
        (-1e11..1e11f64).prop_map(Json::from),
        (-1e-3..1e-3f64).prop_map(Json::from),
        "[a-zA-Z0-9 ]{0,8}".prop_map(Json::from),
        "[0-9]{1,6}".prop_map(Json::from),
        prop::sample::select(TEXTS).prop_map(Json::from),
        (-1_000_000_000_000_000i64..4_000_000_000_000_000).prop_map(|us| json!({"$timestamp_us": us})),
        (0i64..86_400, 0i64..4)
            .prop_map(|(s, quarter)| json!({"$time_us": s * 1_000_000 + quarter * 250_000})),
        (-10_000i64..20_000).prop_map(|days| json!({"$date": days})),
        (any::<i32>(), 0u32..9).prop_map(|(unscaled, scale)| {
            json!({"$decimal": crate::types::decimal::text(unscaled.into(), i32::try_from(scale).unwrap())})
        }),
        prop::collection::vec(any::<u8>(), 1..4).prop_map(|bytes| {
            use base64::Engine as _;
            json!({"$bytes": base64::engine::general_purpose::STANDARD.encode(bytes)})
        }),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from), object(inner)]
    })
}

fn object(value: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    let name = prop::sample::select(&["a", "b", "A", "fieldOne", "field_one", "c d", "e"][..]);
    prop::collection::vec((name, value), 0..6).prop_map(|fields| {
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    })
}
