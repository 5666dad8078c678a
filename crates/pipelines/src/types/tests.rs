//! What coerces and what does not; the comparison with real dlt is in `normalize/tests`.

use super::*;

#[track_caller]
fn check(value: Value, to: DataType, expected: &str) {
    let found = Cell::of(&value).coerced(to).map(|cell| format!("{cell:?}"));
    assert_eq!(found.as_deref().unwrap_or("variant"), expected, "{value:?} to {}", to.name());
}

#[test]
fn numbers_and_texts_meet_as_python_has_it() {
    check(Value::string("1_000"), DataType::Bigint, "Int(1000)");
    check(Value::string(" 0xff "), DataType::Bigint, "Int(255)");
    check(Value::string("1.5"), DataType::Bigint, "variant");
    check(Value::Float(2.0), DataType::Bigint, "Int(2)");
    check(Value::Float(1e300), DataType::Bigint, "variant");
    check(Value::Int(3), DataType::Double, "Float(3.0)");
    check(Value::Boolean(true), DataType::Bigint, "variant");
    check(Value::Boolean(true), DataType::Text, "Text(\"True\")");
    check(Value::Float(1e16), DataType::Text, "Text(\"1e+16\")");
    check(Value::Float(1e-5), DataType::Text, "Text(\"1e-05\")");
    check(Value::Float(100.0), DataType::Text, "Text(\"100.0\")");
    check(Value::Decimal { unscaled: 150, scale: 2 }, DataType::Text, "Text(\"1.50\")");
    check(Value::Decimal { unscaled: 1, scale: -3 }, DataType::Text, "Text(\"1E+3\")");
    check(Value::string("maybe"), DataType::Bool, "variant");
    check(Value::Int(258), DataType::Binary, "Bytes([2, 1])");
}

#[test]
fn times_are_read_from_text_and_seconds() {
    check(Value::string("2024-01-02"), DataType::Timestamp, "TimestampUs(1704153600000000)");
    check(Value::string("later"), DataType::Timestamp, "variant");
    check(Value::Int(60), DataType::Timestamp, "TimestampUs(60000000)");
    check(Value::TimestampMs(86_400_000), DataType::Date, "Date(1)");
    check(Value::TimestampMs(0), DataType::Bigint, "variant");
    check(Value::TimestampMs(1_500), DataType::Text, "Text(\"1970-01-01T00:00:01.500000+00:00\")");
}
