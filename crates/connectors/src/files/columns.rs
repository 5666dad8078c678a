//! Arrow columns to rows of values: a column at a time, then turned round.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp as _, RecordBatch, cast::AsArray as _, types::*};
use arrow_schema::{DataType, TimeUnit};
use base::Value;
use bytes::Bytes;

/// The rows of a batch, or which column cannot be one of values.
pub(crate) fn rows(batch: &RecordBatch) -> Result<Vec<Value>, String> {
    let schema = batch.schema();
    let mut rows: Vec<Vec<(Arc<str>, Value)>> = Vec::new();
    rows.resize_with(batch.num_rows(), || Vec::with_capacity(batch.num_columns()));
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let name: Arc<str> = field.name().as_str().into();
        let values = values(column).map_err(|reason| format!("{name}: {reason}"))?;
        for (row, value) in rows.iter_mut().zip(values) {
            row.push((name.clone(), value));
        }
    }
    Ok(rows.into_iter().map(Value::Struct).collect())
}

/// A value for each place of a column.
fn values(array: &ArrayRef) -> Result<Vec<Value>, String> {
    macro_rules! numbers {
        ($kind:ty, $make:expr) => {{
            let array = array.as_primitive::<$kind>();
            array.iter().map(|value| value.map_or(Value::Null, $make)).collect()
        }};
    }
    let int = |number: i64| Value::Int(number);
    Ok(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => {
            array.as_boolean().iter().map(|is| is.map_or(Value::Null, Value::Boolean)).collect()
        }
        DataType::Int8 => numbers!(Int8Type, |number| int(number.into())),
        DataType::Int16 => numbers!(Int16Type, |number| int(number.into())),
        DataType::Int32 => numbers!(Int32Type, |number| int(number.into())),
        DataType::Int64 => numbers!(Int64Type, int),
        DataType::UInt8 => numbers!(UInt8Type, |number| int(number.into())),
        DataType::UInt16 => numbers!(UInt16Type, |number| int(number.into())),
        DataType::UInt32 => numbers!(UInt32Type, |number| int(number.into())),
        DataType::UInt64 => numbers!(UInt64Type, |number| match i64::try_from(number) {
            Ok(number) => int(number),
            Err(_) => Value::Decimal { unscaled: number.into(), scale: 0 },
        }),
        DataType::Float16 => numbers!(Float16Type, |number| Value::Float(number.to_f64())),
        DataType::Float32 => numbers!(Float32Type, |number| Value::Float(number.into())),
        DataType::Float64 => numbers!(Float64Type, Value::Float),
        DataType::Date32 => numbers!(Date32Type, Value::Date),
        DataType::Date64 => numbers!(Date64Type, Value::TimestampMs),
        DataType::Time32(TimeUnit::Second) => {
            numbers!(Time32SecondType, |time: i32| Value::TimeMs(time.saturating_mul(1_000)))
        }
        DataType::Time32(_) => numbers!(Time32MillisecondType, Value::TimeMs),
        DataType::Time64(TimeUnit::Microsecond) => {
            numbers!(Time64MicrosecondType, |time: i64| time_ms(time / 1_000))
        }
        DataType::Time64(_) => numbers!(Time64NanosecondType, |time: i64| time_ms(time / 1_000_000)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            numbers!(TimestampSecondType, |time: i64| Value::TimestampMs(time.saturating_mul(1_000)))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            numbers!(TimestampMillisecondType, Value::TimestampMs)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers!(TimestampMicrosecondType, Value::TimestampUs)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            numbers!(TimestampNanosecondType, |time: i64| Value::TimestampUs(time.div_euclid(1_000)))
        }
        DataType::Decimal32(_, scale) => numbers!(Decimal32Type, |number| decimal(number.into(), *scale)),
        DataType::Decimal64(_, scale) => numbers!(Decimal64Type, |number| decimal(number.into(), *scale)),
        DataType::Decimal128(_, scale) => numbers!(Decimal128Type, |number| decimal(number, *scale)),
        DataType::Decimal256(_, scale) => {
            let array = array.as_primitive::<Decimal256Type>();
            let value = |number: Option<arrow_buffer::i256>| match number {
                None => Ok(Value::Null),
                Some(number) if number.is_zero() => Ok(decimal(0, *scale)),
                Some(number) => {
                    let number = number.to_i128().ok_or("a decimal of more than 128 bits")?;
                    Ok(decimal(number, *scale))
                }
            };
            array.iter().map(value).collect::<Result<_, String>>()?
        }
        _ => return others(array),
    })
}

fn others(array: &ArrayRef) -> Result<Vec<Value>, String> {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::string);
    let bytes =
        |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| Value::Bytes(Bytes::copy_from_slice(bytes)));
    Ok(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().map(text).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(text).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(text).collect(),
        DataType::Binary => array.as_binary::<i32>().iter().map(bytes).collect(),
        DataType::LargeBinary => array.as_binary::<i64>().iter().map(bytes).collect(),
        DataType::BinaryView => array.as_binary_view().iter().map(bytes).collect(),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().iter().map(bytes).collect(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets: Vec<usize> = list.value_offsets().iter().map(|at| *at as usize).collect();
            lists(array, &offsets, values(list.values())?)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets: Vec<usize> = list.value_offsets().iter().map(|at| *at as usize).collect();
            lists(array, &offsets, values(list.values())?)
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let size = usize::try_from(*size).unwrap_or(0);
            let offsets: Vec<usize> = (0..=array.len()).map(|row| row * size).collect();
            lists(array, &offsets, values(list.values())?)
        }
        DataType::Struct(fields) => {
            let record = array.as_struct();
            let mut rows: Vec<Vec<(Arc<str>, Value)>> = vec![Vec::new(); array.len()];
            for (field, column) in fields.iter().zip(record.columns()) {
                let name: Arc<str> = field.name().as_str().into();
                for (row, value) in rows.iter_mut().zip(values(column)?) {
                    row.push((name.clone(), value));
                }
            }
            let whole = rows.into_iter().enumerate();
            whole
                .map(|(row, fields)| if array.is_null(row) { Value::Null } else { Value::Struct(fields) })
                .collect()
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let mut keys = values(map.keys())?;
            let mut items = values(map.values())?;
            let offsets = map.value_offsets();
            let mut take = |row: usize| {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                range.map(|at| (std::mem::take(&mut keys[at]), std::mem::take(&mut items[at]))).collect()
            };
            (0..array.len())
                .map(|row| if array.is_null(row) { Value::Null } else { Value::Map(take(row)) })
                .collect()
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let words = values(dictionary.values())?;
            let places = dictionary.normalized_keys();
            let value = |(row, place): (usize, usize)| match dictionary.keys().is_null(row) {
                true => Value::Null,
                false => words[place].clone(),
            };
            places.into_iter().enumerate().map(value).collect()
        }
        other => return Err(format!("{other} has no value here")),
    })
}

/// Items cut into lists.
fn lists(array: &ArrayRef, offsets: &[usize], mut items: Vec<Value>) -> Vec<Value> {
    let mut take =
        |row: usize| items[offsets[row]..offsets[row + 1]].iter_mut().map(std::mem::take).collect();
    let list = |row: usize| if array.is_null(row) { Value::Null } else { Value::List(take(row)) };
    (0..array.len()).map(list).collect()
}

fn time_ms(ms: i64) -> Value {
    i32::try_from(ms).map_or(Value::Int(ms), Value::TimeMs)
}

fn decimal(unscaled: i128, scale: i8) -> Value {
    Value::Decimal { unscaled, scale: scale.into() }
}
