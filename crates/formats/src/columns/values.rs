//! Columns back into rows of values, and their schema into ours: for formats and stores that take no columns.
//!
//! Types that our values have not become the nearest one that loses nothing: what is finer than a microsecond is cut off.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp as _, RecordBatch, cast::AsArray as _, types::*};
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
    let mut rows: Vec<Vec<(Arc<str>, Value)>> = Vec::new();
    rows.resize_with(batch.num_rows(), || Vec::with_capacity(batch.num_columns()));
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let name: Arc<str> = field.name().as_str().into();
        for (row, value) in rows.iter_mut().zip(column(field, array)?) {
            row.push((name.clone(), value));
        }
    }
    Ok(rows.into_iter().map(Value::Struct).collect())
}

pub(super) fn column(field: &ArrowField, array: &ArrayRef) -> Result<Vec<Value>, Error> {
    let unfit = |reason| Error::SchemaUnfit { format: "rows", what: format!("{}: {reason}", field.name()) };
    of_array(array).map_err(unfit)
}

/// A value for each place of a column.
fn of_array(array: &ArrayRef) -> Result<Vec<Value>, String> {
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
        // Milliseconds, of whole days.
        DataType::Date64 => numbers!(Date64Type, |ms: i64| Value::Date(ms.div_euclid(86_400_000) as i32)),
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
            lists(array, &offsets, of_array(list.values())?)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets: Vec<usize> = list.value_offsets().iter().map(|at| *at as usize).collect();
            lists(array, &offsets, of_array(list.values())?)
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let size = usize::try_from(*size).unwrap_or(0);
            let offsets: Vec<usize> = (0..=array.len()).map(|row| row * size).collect();
            lists(array, &offsets, of_array(list.values())?)
        }
        DataType::Struct(fields) => {
            let record = array.as_struct();
            let mut rows: Vec<Vec<(Arc<str>, Value)>> = vec![Vec::new(); array.len()];
            for (field, column) in fields.iter().zip(record.columns()) {
                let name: Arc<str> = field.name().as_str().into();
                for (row, value) in rows.iter_mut().zip(of_array(column)?) {
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
            let mut keys = of_array(map.keys())?;
            let mut items = of_array(map.values())?;
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
            let words = of_array(dictionary.values())?;
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

#[cfg(test)]
mod tests {
    use arrow_array::{Date64Array, FixedSizeListArray, Float16Array, UInt64Array};

    use super::*;

    /// As pyarrow's `to_pylist` and DuckDB give them: an unsigned number is an integer, whatever its width, and a date of 64 bits a
    /// date.
    #[test]
    fn values_are_those_that_others_see() {
        let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![Some(7), None, Some(u64::MAX)]));
        let dates: ArrayRef = Arc::new(Date64Array::from(vec![Some(86_400_000), Some(-86_400_000), None]));
        let halves: ArrayRef = Arc::new(Float16Array::from(vec![None, None, None]));
        let pairs = [Some(vec![Some(1), None]), None, Some(vec![Some(2), Some(3)])];
        let pairs: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>(pairs, 2));
        let columns = [("n", numbers), ("d", dates), ("h", halves), ("p", pairs)];
        let columns = columns.map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("they fit");
        let rows = values(&batch).expect("all have values");
        let of = |name: &str| rows.iter().map(|row| row.get(name).cloned()).collect::<Option<Vec<_>>>();
        let whole = Value::Decimal { unscaled: u64::MAX.into(), scale: 0 };
        assert_eq!(of("n"), Some(vec![Value::Int(7), Value::Null, whole]));
        assert_eq!(of("d"), Some(vec![Value::Date(1), Value::Date(-1), Value::Null]));
        assert_eq!(of("h"), Some(vec![Value::Null, Value::Null, Value::Null]));
        let list = |items: &[Option<i64>]| {
            Value::List(items.iter().map(|item| item.map_or(Value::Null, Value::Int)).collect())
        };
        assert_eq!(of("p"), Some(vec![list(&[Some(1), None]), Value::Null, list(&[Some(2), Some(3)])]));
    }
}
