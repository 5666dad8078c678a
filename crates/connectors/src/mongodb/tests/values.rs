//! Every type of BSON there and back, byte for byte; and what is no BSON.

use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, Regex, Timestamp, oid::ObjectId,
    spec::BinarySubtype,
};
use proptest::prelude::*;

use super::*;
use crate::mongodb::{decimal, decode::Decoder, encode, json, types};

fn decoded(bytes: &[u8]) -> Value {
    Decoder::default().document(bytes).expect("it is BSON")
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = vec![0; 4];
    encode::append_record(value, &mut out).expect("it can be written");
    encode::close(&mut out, 0);
    out
}

fn binary(subtype: u8, bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes: bytes.to_vec() })
}

pub(super) fn every_type() -> Document {
    let regex = |pattern: &str, options: &str| {
        let (pattern, options) = (pattern.to_owned().try_into(), options.to_owned().try_into());
        Bson::RegularExpression(Regex { pattern: pattern.expect("text"), options: options.expect("text") })
    };
    let decimal = |text: &str| Bson::Decimal128(text.parse::<Decimal128>().expect("a decimal"));
    let id = ObjectId::from_bytes([0x65, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xff]);
    doc! {
        "_id": id,
        "double": 1.5, "whole": 3.0, "nan": f64::NAN, "infinite": f64::NEG_INFINITY, "zero": -0.0,
        "string": "é\u{1f600}\u{0}", "empty": "",
        "document": { "a": { "b": {} }, "": 1 }, "array": [1, "two", [3.0, []], { "four": 4 }],
        "binary": binary(0, b"\x00\xff"), "function": binary(1, b"f"), "old": binary(2, b"old"), "oldUuid": binary(3, &[1; 16]),
        "uuid": binary(4, &[0xab; 16]), "shortUuid": binary(4, b"short"), "md5": binary(5, &[2; 16]), "own": binary(0x80, b""),
        "undefined": Bson::Undefined, "true": true, "false": false,
        "date": DateTime::from_millis(1_700_000_000_123), "early": DateTime::from_millis(-62_135_596_800_000),
        "far": DateTime::from_millis(i64::MAX), "null": Bson::Null, "regex": regex("^a.*\"", "im"), "plainRegex": regex("", ""),
        "code": Bson::JavaScriptCode("function() {}".to_owned()),
        "scoped": Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "x".to_owned(), scope: doc! { "x": 1_i64 } }),
        "symbol": Bson::Symbol("sym".to_owned()),
        "int32": [i32::MIN, -1, 0, i32::MAX], "int64": [i64::MIN, -1_i64, 0_i64, i64::MAX, 2_147_483_648_i64],
        "timestamp": Bson::Timestamp(Timestamp { time: u32::MAX, increment: 7 }),
        "decimals": [
            decimal("0"), decimal("-0"), decimal("0E+3"), decimal("1.10"), decimal("-12345.6789"), decimal("1E+6111"),
            decimal("1E-6176"), decimal("9999999999999999999999999999999999"), decimal("NaN"), decimal("Infinity"), decimal("-Infinity"),
        ],
        "min": Bson::MinKey, "max": Bson::MaxKey,
    }
}

/// The driver makes no DBPointer, but servers still have them.
pub(super) fn with_pointer(document: &Document) -> RawDocumentBuf {
    let mut bytes = document.to_vec().expect("it can be written");
    bytes.pop();
    bytes.extend_from_slice(
        b"\x0cpointer\0\x0c\0\0\0shop.orders\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\0",
    );
    let length = (bytes.len() as i32).to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    RawDocumentBuf::from_bytes(bytes).expect("it is BSON")
}

#[test]
fn every_type_comes_back_as_it_was() {
    let document = with_pointer(&every_type());
    let value = decoded(document.as_bytes());
    assert_eq!(encoded(&value), document.as_bytes());
    insta::assert_snapshot!(shown(&value));
}

/// A field a line: its tag, and what stands under it; then what it is in a table.
fn shown(value: &Value) -> String {
    let Value::Struct(fields) = value else { panic!("a document") };
    let line = |(name, value): &(Arc<str>, Value)| {
        let table = match value {
            Value::Tagged { tag, value } => {
                types::for_tables(tag, value).map(|value| format!("  table: {value:?}"))
            }
            _ => None,
        };
        format!("{name}: {value:?}{}", table.unwrap_or_default())
    };
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn text_that_is_no_utf8_and_odd_decimals_are_kept() {
    let mut document = b"\0\0\0\0\x02bad\0\x03\0\0\0\xff\xfe\0\x13odd\0".to_vec();
    document.extend([0xff; 16]);
    document.extend(b"\x13nan\0");
    document.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfc]);
    encode::close(&mut document, 0);
    assert_eq!(encoded(&decoded(&document)), document);
}

#[test]
fn values_of_other_stores_become_what_is_nearest() {
    let value = Value::Struct(vec![
        ("decimal".into(), Value::Decimal { unscaled: -12_345, scale: 2 }),
        ("date".into(), Value::Date(1)),
        ("time".into(), Value::TimeMs(7)),
        ("precise".into(), Value::TimestampUs(-1)),
        ("set".into(), Value::tagged("NS", Value::List(vec![Value::Int(1)]))),
        ("id".into(), Value::tagged("objectId", Value::string("not hex"))),
        ("map".into(), Value::Map(vec![(Value::string("k"), Value::Int(1))])),
        ("pairs".into(), Value::Map(vec![(Value::Int(1), Value::Boolean(true))])),
    ]);
    insta::assert_snapshot!(shown(&decoded(&encoded(&value))));
}

#[test]
fn what_cannot_be_stored_says_why() {
    let too_long = Value::Decimal { unscaled: i128::MAX, scale: 0 };
    let mut deep = Value::Int(1);
    for _ in 0..300 {
        deep = Value::List(vec![deep]);
    }
    let refused = |value: Value| encode::append_record(&value, &mut Vec::new()).expect_err("it is refused");
    let field = |name: &str, value: Value| Value::Struct(vec![(name.into(), value)]);
    assert_eq!(
        [
            refused(Value::Int(1)),
            refused(field("d", too_long)),
            refused(field("a\0b", Value::Null)),
            refused(field("deep", deep))
        ],
        [
            "expected a document, found integer",
            "a decimal has more than the 34 digits of Decimal128",
            "the field \"a\\0b\" has a zero byte in its name",
            "it is nested more than 200 levels deep",
        ]
    );
}

#[test]
fn json_becomes_what_mongoimport_makes_of_it() {
    let json = r#"{"a":1,"b":-2147483649,"c":18446744073709551615,"d":1.0,"e":[null,true,{"f":"x"}],"g":{},
        "id":{"$oid":"650102030405060708090aff"},"at":{"$date":"2024-02-29T12:00:00.5Z"},"n":{"$numberDecimal":"1.10"},
        "l":{"$numberLong":"5"},"min":{"$minKey":1},"re":{"$regularExpression":{"pattern":"^a","options":"i"}}}"#;
    let mut out = vec![0; 4];
    json::append_json(json.as_bytes(), &mut out).expect("it is JSON");
    encode::close(&mut out, 0);
    insta::assert_snapshot!(shown(&decoded(&out)));
    let refused =
        |json: &str| json::append_json(json.as_bytes(), &mut Vec::new()).expect_err("it is refused");
    insta::assert_snapshot!(
        [refused("{oops"), refused("[1]"), refused("{} x"), refused(r#"{"a":{"$oid":"no"}}"#)].join("\n")
    );
}

/// `Some` where the short way is gone.
fn short(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    json::append_short(json, &mut out).map(|()| out)
}

fn long(json: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    json::append_long(json, &mut out).map(|()| out)
}

#[test]
fn what_is_unusual_goes_the_long_way() {
    for usual in [
        r#" { "a" : [ 1 , -2 , 2147483648 , [] , {} , true , false , null ] , "" : "" , "é" : "𝄞 ~" } "#,
        r#"{"a":0.1,"b":-1.5e-7,"c":1E+3,"d":123456789012345678.5e-1,"e":0e0,"long":"12345678 and more, of nine words"}"#,
        r#"{"a":"12345678\n \" \\ \/ \u00e9 \ud834\udd1e \u0000","b":"\\"}"#,
    ] {
        let written = short(usual.as_bytes()).expect(usual);
        assert_eq!(Ok(written), long(usual.as_bytes()), "{usual}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let unusual = [
        r#"{"a\u0000":1}"#,
        r#"{"a":{"$oid":"650102030405060708090aff"}}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":-0}"#,
        r#"{"a":1234567890123456789}"#,
        &deep,
    ];
    for unusual in unusual {
        assert_eq!(short(unusual.as_bytes()), None, "{unusual}");
        assert!(long(unusual.as_bytes()).is_ok() || unusual.contains("u0000"), "{unusual}");
    }
    let wrong: &[&[u8]] = &[
        b"",
        b"{",
        b"{} x",
        b"[1]",
        b"{\"a\":01}",
        b"{\"a\":1.}",
        b"{\"a\":.5}",
        b"{\"a\":1e}",
        b"{\"a\":-}",
        b"{\"a\":1e999}",
        b"{\"a\":tru}",
        b"{\"a\":1,}",
        b"{\"a\":[1,]}",
        b"{\"a\" 1}",
        b"{\"a\":1 \"b\":2}",
        b"{\"a\":\"\t\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":\"\\ud834\"}",
        b"{\"a\":\"\\",
        b"{\"a\":\"12345678\n12345678\"}",
        b"{\"a\":\"never closed",
        b"{\"a\":\"\xff\"}",
    ];
    for wrong in wrong {
        assert_eq!(short(wrong), None, "{}", String::from_utf8_lossy(wrong));
        assert!(long(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
    }
}

proptest! {
    #[test]
    fn the_short_way_leads_where_the_long_one_does(
        texts in prop::collection::vec("[ -~é𝄞\t\"\\\\]{0,20}", 4),
        names in prop::collection::vec("[a-c$é]{0,2}", 4),
        numbers in (any::<i64>(), any::<f64>(), any::<i16>()),
        changed in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let (whole, broken, small) = numbers;
        let mut json = serde_json::json!({
            &names[0]: &texts[0],
            &names[1]: [whole, broken, small, [true, null], &texts[1]],
            "x": { &names[2]: &texts[2], &names[3]: small },
            &texts[3]: {},
        }).to_string().into_bytes();
        if let Some((at, byte)) = changed {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if let Some(written) = short(&json) {
            prop_assert_eq!(Ok(written), long(&json));
        }
    }
}

#[test]
fn of_a_name_that_comes_twice_the_last_value_counts() {
    let written = |json: &str| {
        let mut out = vec![0; 4];
        json::append_json(json.as_bytes(), &mut out).expect("it is JSON");
        encode::close(&mut out, 0);
        shown(&decoded(&out))
    };
    for (twice, once) in [
        (r#"{"a":1,"b":2,"a":{"c":3}}"#, r#"{"a":{"c":3},"b":2}"#),
        (r#"{"a":[{"b":1,"b":"x"}],"ab":1}"#, r#"{"a":[{"b":"x"}],"ab":1}"#),
    ] {
        assert_eq!(written(twice), written(once), "{twice}");
    }
    let wide: Vec<String> = (0..200).map(|number| format!("\"f{number}\":{}", number % 7)).collect();
    let [once, twice] = [wide.join(","), format!("{},\"f3\":3", wide.join(","))];
    assert_eq!(written(&format!("{{{twice}}}")), written(&format!("{{{once}}}")));
}

#[test]
fn an_id_is_a_short_text() {
    let text = |id: Bson| {
        let document = doc! { "_id": id }.to_vec().expect("it can be written");
        let id = crate::mongodb::decode::find(&document[4..document.len() - 1], "_id")
            .expect("BSON")
            .expect("it is there");
        let mut out = Vec::new();
        types::append_id_text(id.kind, id.value, &mut out);
        String::from_utf8(out).expect("text")
    };
    let texts = [
        text(Bson::ObjectId(ObjectId::from_bytes([0xab; 12]))),
        text(Bson::String("N14228".to_owned())),
        text(Bson::Int32(-5)),
        text(Bson::Int64(5_000_000_000)),
        text(Bson::Double(1.5)),
        text(binary(4, &[0x12; 16])),
        text(Bson::Document(doc! { "a": 1, "b": "x" })),
        text(Bson::DateTime(DateTime::from_millis(0))),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

fn bson() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Bson::Double),
        ".{0,12}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i32>().prop_map(Bson::Int32),
        prop_oneof![any::<i64>(), -5i64..5].prop_map(Bson::Int64),
        any::<i64>().prop_map(|time_ms| Bson::DateTime(DateTime::from_millis(time_ms))),
        any::<[u8; 12]>().prop_map(|id| Bson::ObjectId(ObjectId::from_bytes(id))),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(Decimal128::from_bytes(bytes))),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(subtype, bytes)| binary(subtype, &bytes)),
        (any::<u32>(), any::<u32>())
            .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        Just(Bson::Null),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Bson::Array),
            prop::collection::vec(("[a-c_.$é]{0,3}", inner), 0..6)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_comes_back_as_it_was(documents in prop::collection::vec(prop::collection::vec(("[a-d]{1,2}", bson()), 0..8), 1..5)) {
        let mut decoder = Decoder::default();
        for fields in documents {
            let bytes = fields.into_iter().collect::<Document>().to_vec().expect("it can be written");
            let value = decoder.document(&bytes).expect("it is BSON");
            prop_assert_eq!(encoded(&value), bytes);
        }
    }

    #[test]
    fn bytes_that_are_no_bson_are_an_error_and_no_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>()) {
        Decoder::default().document(&bytes).ok();
        let length = bytes.len().max(4) as i32;
        bytes.resize(length as usize, 0);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        Decoder::default().document(&bytes).ok();
        let mut damaged = every_type().to_vec().expect("it can be written");
        let at = at.index(damaged.len());
        damaged[at] ^= 0x55;
        Decoder::default().document(&damaged).ok();
    }

    #[test]
    fn decimals_are_written_as_the_driver_writes_them(coefficient in 0i128..10i128.pow(34), exponent in -6_176i32..=6_111, sign in any::<bool>(), digits in 0u32..35) {
        let coefficient = coefficient % 10i128.pow(digits.min(34));
        let unscaled = if sign { -coefficient } else { coefficient };
        let bytes = decimal::of(unscaled, -exponent).expect("it fits");
        let text = decimal::text(bytes).expect("it has a text");
        prop_assert_eq!(&text, &Decimal128::from_bytes(bytes).to_string());
        prop_assert_eq!(decimal::parse(&text), Some(bytes));
    }
}

/// Of use is the figure, not the verdict: `cargo test --release -p tidemill-connectors decode_rate -- --nocapture`.
#[test]
fn decode_rate() {
    let documents: Vec<Vec<u8>> =
        (0..20_000).map(|number| order(number).to_vec().expect("it can be written")).collect();
    let bytes: usize = documents.iter().map(Vec::len).sum();
    let start = std::time::Instant::now();
    for documents in documents.chunks(1_000) {
        let mut decoder = Decoder::default();
        let rows: Vec<Value> =
            documents.iter().map(|document| decoder.document(document).expect("it is BSON")).collect();
        assert_eq!(rows.len(), documents.len());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} documents/s, {:.0} MB/s", documents.len() as f64 / seconds, bytes as f64 / seconds / 1e6);
}
