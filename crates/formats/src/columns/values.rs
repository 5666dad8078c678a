//! Columns back into rows of values, and their schema into ours: for formats and stores that take no columns.
//!
//! Types that our values have not become the nearest one that loses nothing: what is finer than a microsecond is cut off.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{
        Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
        UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema, TimeUnit};
use base::{Field, Kind, Schema, Value};
use bytes::Bytes;

use crate::Error;

/// Our schema of columns.
///
/// # Errors
/// `SchemaUnfit`: a type that none of our values can be.
pub fn schema_of_columns(arrow: &ArrowSchema) -> Result<Schema, Error> {
    Ok(Schema::of(Kind::Struct(fields_of(arrow.fields())?)))
}

fn fields_of(fields: &Fields) -> Result<Arc<[Field]>, Error> {
    let field = |field: &Arc<ArrowField>| {
        Ok(Field { name: field.name().as_str().into(), schema: Arc::new(field_schema(field)?) })
    };
    fields.iter().map(field).collect()
}

fn field_schema(field: &ArrowField) -> Result<Schema, Error> {
    let kind = match field.data_type() {
        DataType::Boolean => Kind::Boolean,
        DataType::Int8 => Kind::Int8,
        DataType::Int16 | DataType::UInt8 => Kind::Int16,
        DataType::Int32 | DataType::UInt16 => Kind::Int32,
        DataType::Int64 | DataType::UInt32 => Kind::Int64,
        DataType::UInt64 => Kind::Decimal { scale: 0 },
        DataType::Float32 => Kind::Float32,
        DataType::Float64 => Kind::Float64,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            Kind::Bytes
        }
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Time32(_) | DataType::Time64(_) => Kind::TimeMs,
        DataType::Timestamp(_, _) => Kind::TimestampMs,
        DataType::Decimal128(_, scale) => Kind::Decimal { scale: i32::from(*scale) },
        DataType::List(item) | DataType::LargeList(item) => Kind::Array(Arc::new(field_schema(item)?)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                let (key, value) = (field_schema(&pair[0])?, field_schema(&pair[1])?);
                Kind::Map { key: Arc::new(key), value: Arc::new(value) }
            }
            _ => return Err(unfit(field)),
        },
        DataType::Struct(fields) => Kind::Struct(fields_of(fields)?),
        DataType::Dictionary(_, values) => {
            return field_schema(&ArrowField::new(
                field.name(),
                values.as_ref().clone(),
                field.is_nullable(),
            ));
        }
        _ => return Err(unfit(field)),
    };
    Ok(Schema { optional: field.is_nullable(), ..Schema::of(kind) })
}

fn unfit(field: &ArrowField) -> Error {
    let what = format!("{}: columns of {} cannot be taken apart", field.name(), field.data_type());
    Error::SchemaUnfit { format: "rows", what }
}

/// The rows of a batch of columns.
///
/// # Errors
/// `SchemaUnfit`: a type that none of our values can be.
pub fn values(batch: &RecordBatch) -> Result<Vec<Value>, Error> {
    let schema = batch.schema();
    let names: Vec<Arc<str>> = schema.fields().iter().map(|field| field.name().as_str().into()).collect();
    let columns = schema.fields().iter().zip(batch.columns());
    let mut columns: Vec<_> =
        columns.map(|(field, array)| column(field, array).map(Vec::into_iter)).collect::<Result<_, _>>()?;
    let row = |_| {
        let fields = names.iter().zip(&mut columns);
        Value::Struct(
            fields.map(|(name, column)| (name.clone(), column.next().unwrap_or_default())).collect(),
        )
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

macro_rules! each {
    ($array:expr, $type:ty, $value:expr) => {{
        let array = $array.as_primitive::<$type>();
        (0..array.len())
            .map(|row| if array.is_null(row) { Value::Null } else { $value(array.value(row)) })
            .collect()
    }};
}

macro_rules! texts {
    ($array:expr, $value:expr) => {{
        let array = $array;
        (0..array.len())
            .map(|row| if array.is_null(row) { Value::Null } else { $value(array.value(row)) })
            .collect()
    }};
}

pub(super) fn column(field: &ArrowField, array: &ArrayRef) -> Result<Vec<Value>, Error> {
    let bytes = |bytes: &[u8]| Value::Bytes(Bytes::copy_from_slice(bytes));
    let text = |text: &str| Value::string(text);
    let time = |us: i64| Value::TimeMs((us / 1_000) as i32);
    Ok(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => texts!(array.as_boolean(), Value::Boolean),
        DataType::Int8 => each!(array, Int8Type, |number| Value::Int(i64::from(number))),
        DataType::Int16 => each!(array, Int16Type, |number| Value::Int(i64::from(number))),
        DataType::Int32 => each!(array, Int32Type, |number| Value::Int(i64::from(number))),
        DataType::Int64 => each!(array, Int64Type, Value::Int),
        DataType::UInt8 => each!(array, UInt8Type, |number| Value::Int(i64::from(number))),
        DataType::UInt16 => each!(array, UInt16Type, |number| Value::Int(i64::from(number))),
        DataType::UInt32 => each!(array, UInt32Type, |number| Value::Int(i64::from(number))),
        DataType::UInt64 => {
            each!(array, UInt64Type, |number| Value::Decimal { unscaled: i128::from(number), scale: 0 })
        }
        DataType::Float32 => each!(array, Float32Type, |number| Value::Float(f64::from(number))),
        DataType::Float64 => each!(array, Float64Type, Value::Float),
        DataType::Utf8 => texts!(array.as_string::<i32>(), text),
        DataType::LargeUtf8 => texts!(array.as_string::<i64>(), text),
        DataType::Utf8View => texts!(array.as_string_view(), text),
        DataType::Binary => texts!(array.as_binary::<i32>(), bytes),
        DataType::LargeBinary => texts!(array.as_binary::<i64>(), bytes),
        DataType::BinaryView => texts!(array.as_binary_view(), bytes),
        DataType::FixedSizeBinary(_) => texts!(array.as_fixed_size_binary(), bytes),
        DataType::Date32 => each!(array, Date32Type, Value::Date),
        DataType::Date64 => {
            each!(array, Date64Type, |ms: i64| Value::Date(ms.div_euclid(86_400_000) as i32))
        }
        DataType::Time32(TimeUnit::Second) => {
            each!(array, Time32SecondType, |s| time(i64::from(s) * 1_000_000))
        }
        DataType::Time32(_) => each!(array, Time32MillisecondType, Value::TimeMs),
        DataType::Time64(TimeUnit::Microsecond) => each!(array, Time64MicrosecondType, time),
        DataType::Time64(_) => each!(array, Time64NanosecondType, |ns: i64| time(ns / 1_000)),
        DataType::Timestamp(unit, _) => moments(array, unit),
        DataType::Decimal128(_, scale) => {
            let scale = i32::from(*scale);
            each!(array, Decimal128Type, |unscaled| Value::Decimal { unscaled, scale })
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::Map(_, _) | DataType::Struct(_) => {
            return nested(field, array);
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let values = column(field, dictionary.values())?;
            let keys = dictionary.normalized_keys();
            let value = |(row, key): (usize, usize)| {
                if array.is_null(row) { Value::Null } else { values.get(key).cloned().unwrap_or_default() }
            };
            keys.into_iter().enumerate().map(value).collect()
        }
        _ => return Err(unfit(field)),
    })
}

fn moments(array: &ArrayRef, unit: &TimeUnit) -> Vec<Value> {
    match unit {
        TimeUnit::Second => {
            each!(array, TimestampSecondType, |s: i64| Value::TimestampMs(s.saturating_mul(1_000)))
        }
        TimeUnit::Millisecond => each!(array, TimestampMillisecondType, Value::TimestampMs),
        TimeUnit::Microsecond => each!(array, TimestampMicrosecondType, Value::TimestampUs),
        TimeUnit::Nanosecond => {
            each!(array, TimestampNanosecondType, |ns: i64| Value::TimestampUs(ns.div_euclid(1_000)))
        }
    }
}

fn nested(field: &ArrowField, array: &ArrayRef) -> Result<Vec<Value>, Error> {
    let rows = 0..array.len();
    match array.data_type() {
        DataType::List(item) => {
            let lists = array.as_list::<i32>();
            let all = column(item, lists.values())?;
            let offsets = lists.value_offsets();
            let list = |row: usize| all[offsets[row] as usize..offsets[row + 1] as usize].to_vec();
            Ok(rows
                .map(|row| if array.is_null(row) { Value::Null } else { Value::List(list(row)) })
                .collect())
        }
        DataType::LargeList(item) => {
            let lists = array.as_list::<i64>();
            let all = column(item, lists.values())?;
            let offsets = lists.value_offsets();
            let list = |row: usize| all[offsets[row] as usize..offsets[row + 1] as usize].to_vec();
            Ok(rows
                .map(|row| if array.is_null(row) { Value::Null } else { Value::List(list(row)) })
                .collect())
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return Err(unfit(field)) };
            let maps = array.as_map();
            let (keys, values) = (column(&pair[0], maps.keys())?, column(&pair[1], maps.values())?);
            let offsets = maps.value_offsets();
            let map = |row: usize| {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                range.map(|at| (keys[at].clone(), values[at].clone())).collect()
            };
            Ok(rows.map(|row| if array.is_null(row) { Value::Null } else { Value::Map(map(row)) }).collect())
        }
        DataType::Struct(fields) => {
            let structs = array.as_struct();
            let names: Vec<Arc<str>> = fields.iter().map(|field| field.name().as_str().into()).collect();
            let columns = fields.iter().zip(structs.columns());
            let mut columns: Vec<_> = columns
                .map(|(field, array)| column(field, array).map(Vec::into_iter))
                .collect::<Result<_, _>>()?;
            let row = |row: usize| {
                let fields = names.iter().zip(&mut columns);
                let fields =
                    fields.map(|(name, column)| (name.clone(), column.next().unwrap_or_default())).collect();
                if array.is_null(row) { Value::Null } else { Value::Struct(fields) }
            };
            Ok(rows.map(row).collect())
        }
        _ => Err(unfit(field)),
    }
}
