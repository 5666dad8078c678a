//! Rows as text.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use super::*;
use crate::{DataType, Table, TableRows, schema::Column};

fn column(name: &str, data_type: DataType) -> Column {
    Column {
        name: name.into(),
        data_type,
        is_nullable: true,
        precision: None,
        scale: None,
        has_timezone: true,
        is_primary_key: false,
    }
}

fn rows() -> TableRows {
    let columns = vec![
        column("flag", DataType::Bool),
        column("number", DataType::Double),
        column("price", DataType::Decimal),
        column("say \"hi\"", DataType::Text),
        column("tree", DataType::Json),
        column("bytes", DataType::Binary),
        column("when", DataType::Timestamp),
    ];
    let table = Arc::new(Table::new("things".into(), None, columns));
    let prices =
        Decimal128Array::from(vec![Some(1_500_000_000), None]).with_precision_and_scale(38, 9).unwrap();
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Float64Array::from(vec![Some(1e16), None])),
        Arc::new(prices),
        Arc::new(StringArray::from(vec![Some("a \"b\"\n"), None])),
        Arc::new(StringArray::from(vec![Some(r#"{"a":[1]}"#), None])),
        Arc::new(BinaryArray::from(vec![Some(&b"\xff\x00"[..]), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC")),
    ];
    TableRows { columns: RecordBatch::try_new(table.arrow.clone(), arrays).unwrap(), table }
}

#[test]
fn lines_leave_nulls_out() {
    let mut out = Vec::new();
    jsonl(&rows(), &mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn csv_quotes_all_but_numbers() {
    let mut out = Vec::new();
    csv_header(&rows().table, &mut out);
    csv(&rows(), &mut out);
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
