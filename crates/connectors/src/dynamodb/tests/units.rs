//! What needs no DynamoDB: types, expressions, settings, errors.

use base::Problem;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::CursorRange;

fn keys(names: &[&str]) -> tables::Keys {
    let mut keys =
        names.iter().map(|name| tables::KeyAttribute { name: (*name).into(), kind: KeyKind::Text });
    tables::Keys { partition: keys.next().unwrap(), sort: keys.next() }
}

/// Written, and read again.
fn there_and_back(value: &Value) -> Result<Value, String> {
    let mut json = Vec::new();
    let field = (Arc::<str>::from("v"), value.clone());
    types::write_fields(&[field], &mut json, 0).map_err(|unfit| unfit.to_string())?;
    let rows =
        types::rows(&[b"[", &json[..], b"]"].concat(), &keys(&["id"])).map_err(|error| error.to_string())?;
    let Value::Struct(fields) = &rows[0] else { panic!("a struct") };
    Ok(fields[0].1.clone())
}

#[test]
fn numbers_are_held_as_exactly_as_they_can_be() {
    let read = |digits: &str| types::number(digits);
    assert_eq!(read("9223372036854775807"), Value::Int(i64::MAX));
    assert_eq!(read("9223372036854775808"), Value::Decimal { unscaled: 1 << 63, scale: 0 });
    assert_eq!(read("-0.5"), Value::Decimal { unscaled: -5, scale: 1 });
    assert_eq!(read("1.5E+2"), Value::Int(150));
    assert_eq!(read("1E-3"), Value::Decimal { unscaled: 1, scale: 3 });
    let digits = "0.12345678901234567890123456789012345678";
    assert_eq!(
        read(digits),
        Value::Decimal { unscaled: 12_345_678_901_234_567_890_123_456_789_012_345_678, scale: 38 }
    );
    for wide in ["1E-130", "9.9999999999999999999999999999999999999E+125"] {
        assert_eq!(read(wide), Value::tagged("N", Value::string(wide)));
        assert_eq!(there_and_back(&read(wide)).unwrap(), read(wide));
    }
}

#[test]
fn what_dynamodb_has_no_type_for_says_where_it_lies() {
    let fault = |value: Value| there_and_back(&value).unwrap_err();
    let deep = (0..40).fold(Value::Null, |value, _| Value::List(vec![value]));
    let lines = [
        fault(Value::Float(f64::NAN)),
        fault(Value::Float(1e130)),
        fault(row(&[("a", Value::List(vec![Value::Null, Value::Float(f64::INFINITY)]))])),
        fault(Value::Map(vec![(Value::Int(1), Value::Null)])),
        fault(row(&[("", Value::Null)])),
        fault(Value::Decimal { unscaled: i128::MAX, scale: 0 }),
        fault(deep).split(": ").last().unwrap().to_owned(),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn times_become_texts_that_sort() {
    let pairs = [
        (Value::Date(-1), "1969-12-31"),
        (Value::TimeMs(86_399_999), "23:59:59.999"),
        (Value::TimestampMs(-1), "1969-12-31T23:59:59.999Z"),
        (Value::TimestampUs(1), "1970-01-01T00:00:00.000001Z"),
    ];
    for (value, text) in pairs {
        assert_eq!(there_and_back(&value).unwrap(), Value::string(text));
    }
}

#[test]
fn keys_have_one_text_each() {
    let text = |carrier: &str, flight: &str| {
        let mut out = Vec::new();
        let row = row(&[("c", Value::string(carrier)), ("f", Value::string(flight))]);
        types::key_text(&row, &keys(&["c", "f"]), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text("UA", "17"), "UA|17");
    assert_eq!([text("a|b", "c"), text("a", "b|c")], ["a\\|b|c", "a|b|c"]);
    for (first, second) in [("UA", "17"), ("a|b", "c"), ("a\\|", "b|\\c"), ("", "")] {
        let whole = text(first, second);
        assert_eq!(types::split_key_text(&whole), (first.to_owned(), Some(second)));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Int),
        (any::<i64>(), 1..38i32)
            .prop_map(|(unscaled, scale)| Value::Decimal { unscaled: unscaled.into(), scale }),
        ".*".prop_map(|text: String| Value::string(text)),
        any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
        prop::collection::vec(".+", 1..4).prop_map(|texts| Value::tagged(
            "SS",
            Value::List(texts.into_iter().map(|t: String| Value::string(t)).collect())
        )),
        prop::collection::vec(any::<i64>(), 1..4).prop_map(|numbers| Value::tagged(
            "NS",
            Value::List(numbers.into_iter().map(Value::Int).collect())
        )),
        prop::collection::vec(any::<Vec<u8>>(), 1..4).prop_map(|all| {
            Value::tagged(
                "BS",
                Value::List(all.into_iter().map(|bytes| Value::Bytes(Bytes::from(bytes))).collect()),
            )
        }),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..5).prop_map(|fields| Value::Struct(
                fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_comes_back_as_it_was(value in any_value()) {
        prop_assert_eq!(there_and_back(&value).unwrap(), value);
    }

    #[test]
    fn no_filter_panics(text in ".*") {
        let selection = Selection { filter: Some(text), ..Selection::default() };
        let keys = keys(&["carrier", "flight"]);
        expression::expressions(&config(), &selection, &keys, &keys).ok();
    }
}

fn config() -> SourceConfig {
    SourceConfig::read(&[("table".to_owned(), "flights".to_owned())].into()).unwrap()
}

#[test]
fn a_selection_becomes_expressions_and_a_query_where_it_can() {
    let keys = keys(&["carrier", "flight"]);
    let cursor = |field: &str, from: Option<i64>, to: Option<i64>, takes_missing| {
        let (from, to) = (from.map(Value::Int), to.map(Value::Int));
        Some(CursorRange { field: field.to_owned(), from, is_from_included: true, to, takes_missing })
    };
    let mut lines = Vec::new();
    let mut show = |selection: Selection| {
        let told = match expression::expressions(&config(), &selection, &keys, &keys) {
            Ok(made) => {
                let kind = if made.is_query { "Query" } else { "Scan" };
                let excluded = made.excluded.map(|(name, values)| format!(" without {name} {values:?}"));
                format!("{kind} {}{}", made.members, excluded.unwrap_or_default())
            }
            Err(error) => base::problem::plain(&error).trim_end().to_owned(),
        };
        lines.push(format!(
            "{:?} {:?}\n  {told}",
            selection.filter,
            selection.cursor.map(|cursor| cursor.field)
        ));
    };
    show(Selection { fields: vec!["name".into(), "a.b".into(), "carrier".into()], ..Selection::default() });
    for filter in [
        "delay >= 15 AND status <> 'late' AND attribute_exists(customer.address[0].size)",
        "carrier = 'UA'",
        "carrier = 'UA' and flight between '100' and '200' and (delay > 1 or NOT gate IN ('A', 'B'))",
        "begins_with(flight, '1') AND carrier = 'UA'",
        "carrier = 'UA' OR carrier = 'AA'",
        "carrier = 'UA' AND flight <> '1'",
        "carrier = 'UA",
        "carrier = :ua",
        "delay > 1x",
    ] {
        show(Selection { filter: Some(filter.to_owned()), ..Selection::default() });
    }
    let with = |filter: &str, cursor| Selection {
        filter: Some(filter.to_owned()).filter(|filter| !filter.is_empty()),
        cursor,
        ..Selection::default()
    };
    show(with("", cursor("updated", Some(5), Some(9), false)));
    show(with("", cursor("updated", Some(5), None, true)));
    show(with("", cursor("updated", None, None, false)));
    show(with("", cursor("updated", None, None, true)));
    show(with("carrier = 'UA'", cursor("flight", Some(5), None, false)));
    show(with("carrier = 'UA'", cursor("flight", Some(5), Some(9), false)));
    show(with("carrier = 'UA' AND flight > '3'", cursor("flight", Some(5), None, false)));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_error_says_what_where_why_and_what_to_do() {
    let refusal =
        |kind: &str, message: &str, status| Refusal { kind: kind.into(), message: message.into(), status };
    let source = |settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SourceConfig::read(&settings).map(|_| ()).unwrap_err()
    };
    let sink = |settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SinkConfig::read(&settings).map(|_| ()).unwrap_err()
    };
    let of = |kind: &str, message: &str| {
        Error::of(refusal(kind, message, 400), "Scan", "planes", "https://dynamodb.eu-west-1.amazonaws.com")
            .after(12)
    };
    let position = Position::Token(Bytes::from_static(b"?")).to_string();
    let errors = [
        source(&[("table", "p")]),
        source(&[("table", "planes"), ("consistend", "true")]),
        source(&[("table", "planes"), ("consistent", "yes")]),
        source(&[("table", "planes"), ("endpoint", "localhost:8000")]),
        source(&[("table", "planes"), ("access_key", "AKIA")]),
        sink(&[("table", "planes"), ("write", "merge")]),
        sink(&[("table", "planes"), ("create", "true")]),
        sink(&[("table", "planes"), ("create", "true"), ("key", "a,b"), ("key_types", "S,X")]),
        sink(&[("table", "planes"), ("create", "true"), ("key", "a"), ("billing", "provisioned")]),
        sink(&[("table", "planes"), ("tabel", "planes")]),
        Error::NoIndex { table: "planes".into(), index: "by-yaer".into(), indexes: "by-year".into() },
        of("ResourceNotFoundException", "Requested resource not found"),
        of(
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:Scan",
        ),
        of("ExpiredTokenException", "The security token included in the request is expired"),
        Error::Unreachable {
            endpoint: "http://127.0.0.1:8000".into(),
            source: "Connection refused (os error 111)".into(),
        },
        of(
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput was exceeded",
        ),
        of("ValidationException", "The provided key element does not match the schema"),
        Error::Answer {
            operation: "Scan",
            table: "planes".into(),
            source: "expected value at line 1 column 1".into(),
        },
        Error::Create { table: "planes".into(), source: "ValidationException: no such type".into() },
        Error::OtherKey { table: "planes".into(), found: "id (N)".into(), wanted: "tailnum (S)".into() },
        Error::Position { split: "planes/0/4".into(), position },
    ];
    let all: Vec<String> = errors.iter().map(|error| base::problem::plain(error)).collect();
    let codes: std::collections::BTreeSet<&str> = errors.iter().map(|error| error.code().id).collect();
    assert_eq!(codes.len(), 9, "all but TM0747, which records have");
    insta::assert_snapshot!(all.join("\n"));
}
