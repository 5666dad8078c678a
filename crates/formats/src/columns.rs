//! Rows into Arrow columns by their schema: checked row by row first, so that building columns cannot fail on data.

mod cell;
mod document;
mod values;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray,
    Time32MillisecondArray, TimestampMillisecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{
    ArrowError, DataType, Field as ArrowField, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit,
};
use base::{Kind, Schema, Value};

use crate::{Error, avro::kind_name};

pub(crate) use cell::{Cell, views};
pub use document::DocumentColumns;
pub use values::{schema_of_columns, values};

/// The widest decimal that 128 bits hold.
const PRECISION_MAX: u8 = 38;

/// The columns of a record.
///
/// # Errors
/// `SchemaUnfit`: anything but a struct has none.
pub fn arrow_schema(schema: &Schema) -> Result<SchemaRef, Error> {
    match &schema.kind {
        Kind::Struct(_) => Ok(Arc::new(ArrowSchema::new(arrow_fields(schema)?))),
        kind => Err(Error::SchemaUnfit {
            format: "Parquet",
            what: format!("a record has to be a struct, this schema is {}", kind_name(kind)),
        }),
    }
}

fn arrow_fields(schema: &Schema) -> Result<Fields, Error> {
    schema.fields().iter().map(|field| arrow_field(&field.name, &field.schema)).collect()
}

fn arrow_field(name: &str, schema: &Schema) -> Result<ArrowField, Error> {
    let data_type = match &schema.kind {
        Kind::Int8 => DataType::Int8,
        Kind::Int16 => DataType::Int16,
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Float32 => DataType::Float32,
        Kind::Float64 => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
        Kind::String => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
        Kind::Date => DataType::Date32,
        Kind::TimeMs => DataType::Time32(TimeUnit::Millisecond),
        Kind::TimestampMs => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        Kind::Decimal { scale } => {
            let what = || format!("{name}: a decimal of scale {scale} does not fit {PRECISION_MAX} digits");
            let scale = i8::try_from(*scale).ok().filter(|scale| (0..=PRECISION_MAX as i8).contains(scale));
            let scale = scale.ok_or_else(|| Error::SchemaUnfit { format: "Parquet", what: what() })?;
            DataType::Decimal128(PRECISION_MAX, scale)
        }
        Kind::Array(item) => DataType::List(Arc::new(arrow_field("element", item)?)),
        Kind::Map { key, value } => {
            let key = arrow_field("key", key)?.with_nullable(false);
            let entries = Fields::from(vec![key, arrow_field("value", value)?]);
            DataType::Map(Arc::new(ArrowField::new("key_value", DataType::Struct(entries), false)), false)
        }
        Kind::Struct(fields) if fields.is_empty() => {
            let what = format!("{name}: a struct without fields has no column");
            return Err(Error::SchemaUnfit { format: "Parquet", what });
        }
        Kind::Struct(_) => DataType::Struct(arrow_fields(schema)?),
    };
    Ok(ArrowField::new(name, data_type, schema.optional))
}

/// Whether `columns` can hold the value; the reason names the field.
pub(crate) fn check(value: &Value, schema: &Schema) -> Result<(), String> {
    let value = or_default(value, schema).plain();
    let all = |mut parts: Box<dyn Iterator<Item = Result<(), String>> + '_>| {
        parts.find(Result::is_err).unwrap_or(Ok(()))
    };
    let within = |number: i64, min: i64, max: i64| {
        if (min..=max).contains(&number) {
            Ok(())
        } else {
            Err(format!("{number} is not within {min}..={max}"))
        }
    };
    match (&schema.kind, value) {
        (_, Value::Null) if schema.optional => Ok(()),
        (Kind::Int8, Value::Int(number)) => within(*number, i8::MIN.into(), i8::MAX.into()),
        (Kind::Int16, Value::Int(number)) => within(*number, i16::MIN.into(), i16::MAX.into()),
        (Kind::Int32, Value::Int(number)) => within(*number, i32::MIN.into(), i32::MAX.into()),
        (Kind::Int64, Value::Int(_))
        | (Kind::Float32 | Kind::Float64, Value::Float(_) | Value::Int(_))
        | (Kind::Boolean, Value::Boolean(_))
        | (Kind::String, Value::String(_))
        | (Kind::Bytes, Value::Bytes(_))
        | (Kind::Date, Value::Date(_))
        | (Kind::TimeMs, Value::TimeMs(_))
        | (Kind::TimestampMs, Value::TimestampMs(_) | Value::TimestampUs(_)) => Ok(()),
        (Kind::Decimal { scale }, Value::Decimal { scale: given, .. }) if scale == given => Ok(()),
        (Kind::Decimal { scale }, Value::Decimal { scale: given, .. }) => {
            Err(format!("expected a decimal of scale {scale}, found scale {given}"))
        }
        (Kind::Array(item), Value::List(items)) => {
            all(Box::new(items.iter().map(|value| check(value, item))))
        }
        (Kind::Map { key, value: schema }, Value::Map(entries)) => all(Box::new(
            entries.iter().map(|(name, value)| check(name, key).and_then(|()| check(value, schema))),
        )),
        (Kind::Struct(fields), Value::Struct(_) | Value::Map(_)) => {
            all(Box::new(fields.iter().map(|field| {
                let inner = value.get(&field.name).unwrap_or(&Value::Null);
                check(inner, &field.schema).map_err(|reason| format!("{}: {reason}", field.name))
            })))
        }
        (kind, value) => Err(format!("expected {}, found {}", kind_name(kind), value.kind_name())),
    }
}

/// Columns of rows that `check` let pass.
pub(crate) fn record_batch(
    rows: &[Value],
    schema: &Schema,
    arrow: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<&Value> = rows.iter().collect();
    let columns = schema.fields().iter().zip(arrow.fields()).map(|(field, column)| {
        let values: Vec<&Value> =
            rows.iter().map(|row| row.get(&field.name).unwrap_or(&Value::Null)).collect();
        array(&values, &field.schema, column)
    });
    RecordBatch::try_new(arrow.clone(), columns.collect::<Result<_, _>>()?)
}

fn or_default<'a>(value: &'a Value, schema: &'a Schema) -> &'a Value {
    match (value, &schema.default) {
        (Value::Null, Some(default)) if !schema.optional => default,
        _ => value,
    }
}

macro_rules! collect {
    ($array:ty, $values:expr, $($pattern:pat => $value:expr),+) => {
        Arc::new($values.iter().map(|value| match value { $($pattern => Some($value),)+ _ => None }).collect::<$array>())
    };
}

fn array(values: &[&Value], schema: &Schema, field: &ArrowField) -> Result<ArrayRef, ArrowError> {
    let values: Vec<&Value> = values.iter().map(|value| or_default(value, schema).plain()).collect();
    let nulls =
        || schema.optional.then(|| NullBuffer::from_iter(values.iter().map(|value| !value.is_null())));
    Ok(match (&schema.kind, field.data_type()) {
        (Kind::Int8, _) => collect!(Int8Array, values, Value::Int(number) => *number as i8),
        (Kind::Int16, _) => collect!(Int16Array, values, Value::Int(number) => *number as i16),
        (Kind::Int32, _) => collect!(Int32Array, values, Value::Int(number) => *number as i32),
        (Kind::Int64, _) => collect!(Int64Array, values, Value::Int(number) => *number),
        (Kind::Float32, _) => {
            collect!(Float32Array, values, Value::Float(number) => *number as f32, Value::Int(number) => *number as f32)
        }
        (Kind::Float64, _) => {
            collect!(Float64Array, values, Value::Float(number) => *number, Value::Int(number) => *number as f64)
        }
        (Kind::Boolean, _) => collect!(BooleanArray, values, Value::Boolean(flag) => *flag),
        (Kind::String, _) => collect!(StringArray, values, Value::String(text) => &**text),
        (Kind::Bytes, _) => collect!(BinaryArray, values, Value::Bytes(bytes) => &bytes[..]),
        (Kind::Date, _) => collect!(Date32Array, values, Value::Date(days) => *days),
        (Kind::TimeMs, _) => collect!(Time32MillisecondArray, values, Value::TimeMs(ms) => *ms),
        (Kind::TimestampMs, _) => {
            let times = values.iter().map(|value| match value {
                Value::TimestampMs(ms) => Some(*ms),
                Value::TimestampUs(us) => Some(us.div_euclid(1_000)),
                _ => None,
            });
            Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        }
        (Kind::Decimal { .. }, data_type) => {
            let numbers = values.iter().map(|value| {
                if let Value::Decimal { unscaled, .. } = value { Some(*unscaled) } else { None }
            });
            Arc::new(numbers.collect::<Decimal128Array>().with_data_type(data_type.clone()))
        }
        (Kind::Array(item), DataType::List(element)) => {
            let lists: Vec<&[Value]> = values
                .iter()
                .map(|value| if let Value::List(items) = value { &items[..] } else { &[] })
                .collect();
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            let items: Vec<&Value> = lists.into_iter().flatten().collect();
            Arc::new(ListArray::try_new(element.clone(), offsets, array(&items, item, element)?, nulls())?)
        }
        (Kind::Map { key, value }, DataType::Map(entries, is_sorted)) => {
            let maps: Vec<&[(Value, Value)]> = values
                .iter()
                .map(|value| if let Value::Map(entries) = value { &entries[..] } else { &[] })
                .collect();
            let offsets = OffsetBuffer::from_lengths(maps.iter().map(|map| map.len()));
            let (names, items): (Vec<&Value>, Vec<&Value>) =
                maps.into_iter().flatten().map(|(k, v)| (k, v)).unzip();
            let DataType::Struct(columns) = entries.data_type() else { return Err(mismatch(field)) };
            let pair = vec![array(&names, key, &columns[0])?, array(&items, value, &columns[1])?];
            let pairs = StructArray::try_new(columns.clone(), pair, None)?;
            Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls(), *is_sorted)?)
        }
        (Kind::Struct(fields), DataType::Struct(columns)) => {
            let children = fields.iter().zip(columns).map(|(inner, column)| {
                let children: Vec<&Value> =
                    values.iter().map(|value| value.get(&inner.name).unwrap_or(&Value::Null)).collect();
                array(&children, &inner.schema, column)
            });
            Arc::new(StructArray::try_new(columns.clone(), children.collect::<Result<_, _>>()?, nulls())?)
        }
        (Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_), _) => return Err(mismatch(field)),
    })
}

fn mismatch(field: &ArrowField) -> ArrowError {
    ArrowError::SchemaError(format!("the column {} was not made from this schema", field.name()))
}
