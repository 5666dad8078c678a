//! Records of Avro straight into columns: what each field's bytes are is appended to its column, and nothing becomes a value.
//!
//! Types that columns have no form for (unions of several types, decimals of over 38 digits) stay with the values, and with them the
//! whole file.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ListArray, MapArray, RecordBatch, StructArray,
    builder::{
        ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
        FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
        Time32MillisecondBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
        TimestampMillisecondBuilder, TimestampNanosecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{
    ArrowError, DECIMAL128_MAX_PRECISION, DataType, Field, Fields, Schema, SchemaRef, TimeUnit,
};
use contracts::avro::{Input, Step, Wrong, read_next, unscaled};

const UTC: &str = "UTC";

/// The columns of records that are read so; `None`: they have to become values.
pub(super) fn schema(step: &Step) -> Option<SchemaRef> {
    match step {
        Step::Record(fields) if !fields.is_empty() => Some(Arc::new(Schema::new(fields_of(fields)?))),
        _ => None,
    }
}

fn fields_of(fields: &[(Arc<str>, Step)]) -> Option<Fields> {
    fields.iter().map(|(name, step)| field(name, step)).collect()
}

fn field(name: &str, step: &Step) -> Option<Field> {
    let time = |unit| DataType::Timestamp(unit, Some(UTC.into()));
    let data_type = match step {
        Step::Boolean => DataType::Boolean,
        Step::Int => DataType::Int32,
        Step::Long => DataType::Int64,
        Step::Float => DataType::Float32,
        Step::Double => DataType::Float64,
        Step::Bytes => DataType::Binary,
        Step::String | Step::Enum(_) => DataType::Utf8,
        Step::Date => DataType::Date32,
        Step::TimeMs => DataType::Time32(TimeUnit::Millisecond),
        Step::TimeUs => DataType::Time64(TimeUnit::Microsecond),
        Step::TimestampMs => time(TimeUnit::Millisecond),
        Step::TimestampUs { divisor: 1 } => time(TimeUnit::Microsecond),
        Step::TimestampUs { .. } => time(TimeUnit::Nanosecond),
        Step::Decimal { scale, .. } => {
            let scale = u8::try_from(*scale).ok().filter(|scale| *scale <= DECIMAL128_MAX_PRECISION)?;
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale as i8)
        }
        Step::Fixed(size) => DataType::FixedSizeBinary(i32::try_from(*size).ok().filter(|size| *size > 0)?),
        Step::Array(item) => DataType::List(Arc::new(field("element", item)?)),
        Step::Map(value) => map_of(field("key", &Step::String)?, field("value", value)?),
        Step::Entries(key, value) => {
            map_of(field("key", key).filter(|key| !key.is_nullable())?, field("value", value)?)
        }
        Step::Record(fields) if fields.is_empty() => return None,
        Step::Record(fields) => DataType::Struct(fields_of(fields)?),
        Step::Optional { null_branch: -1, .. } | Step::Union { .. } | Step::Bare(_) => return None,
        Step::Optional { inner, .. } => return field(name, inner).map(|field| field.with_nullable(true)),
    };
    Some(Field::new(name, data_type, false))
}

fn map_of(key: Field, value: Field) -> DataType {
    let entries = DataType::Struct(Fields::from(vec![key, value]));
    DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
}

/// Records that are becoming columns.
pub(super) struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows_count: usize,
}

impl Columns {
    /// For records of the schema that `schema` has told.
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| Column::new(field.data_type())).collect();
        Self { schema: schema.clone(), columns, rows_count: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.rows_count
    }

    /// Takes the record that the bytes begin with. Nothing can be taken after an error.
    pub(super) fn read(&mut self, step: &Step, bytes: &mut &[u8]) -> Result<(), contracts::Error> {
        read_next(bytes, |input| fill(&mut self.columns, step, input))?;
        self.rows_count += 1;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let fields = self.schema.fields().iter();
        let arrays = self.columns.into_iter().zip(fields).map(|(column, field)| column.finish(field));
        RecordBatch::try_new(self.schema.clone(), arrays.collect::<Result<_, _>>()?)
    }
}

/// The fields of a record.
fn fill(columns: &mut [Column], step: &Step, input: &mut Input<'_>) -> Result<(), Wrong> {
    let Step::Record(fields) = step else { return Err(Wrong::from("it is no record")) };
    for ((name, step), column) in fields.iter().zip(columns) {
        column.read(step, input).map_err(|wrong| wrong.within(name))?;
    }
    Ok(())
}

enum Column {
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Bytes(BinaryBuilder),
    Text(StringBuilder),
    Date(Date32Builder),
    TimeMs(Time32MillisecondBuilder),
    TimeUs(Time64MicrosecondBuilder),
    TimestampMs(TimestampMillisecondBuilder),
    TimestampUs(TimestampMicrosecondBuilder),
    TimestampNs(TimestampNanosecondBuilder),
    Decimal(Decimal128Builder),
    Fixed(FixedSizeBinaryBuilder),
    /// A list, or the entries of a map: where each ends among the items.
    Many {
        ends: Vec<i32>,
        items: Vec<Column>,
        valid: NullBufferBuilder,
    },
    Struct {
        columns: Vec<Column>,
        valid: NullBufferBuilder,
    },
}

impl Column {
    fn new(data_type: &DataType) -> Self {
        let many = |fields: &[Arc<Field>]| Column::Many {
            ends: vec![0],
            items: fields.iter().map(|field| Column::new(field.data_type())).collect(),
            valid: NullBufferBuilder::new(0),
        };
        match data_type {
            DataType::Boolean => Column::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Column::Int(Int32Builder::new()),
            DataType::Int64 => Column::Long(Int64Builder::new()),
            DataType::Float32 => Column::Float(Float32Builder::new()),
            DataType::Float64 => Column::Double(Float64Builder::new()),
            DataType::Utf8 => Column::Text(StringBuilder::new()),
            DataType::Date32 => Column::Date(Date32Builder::new()),
            DataType::Time32(_) => Column::TimeMs(Time32MillisecondBuilder::new()),
            DataType::Time64(_) => Column::TimeUs(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Column::TimestampUs(TimestampMicrosecondBuilder::new().with_timezone(UTC))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Column::TimestampNs(TimestampNanosecondBuilder::new().with_timezone(UTC))
            }
            DataType::Timestamp(..) => {
                Column::TimestampMs(TimestampMillisecondBuilder::new().with_timezone(UTC))
            }
            DataType::Decimal128(..) => {
                Column::Decimal(Decimal128Builder::new().with_data_type(data_type.clone()))
            }
            DataType::FixedSizeBinary(size) => Column::Fixed(FixedSizeBinaryBuilder::new(*size)),
            DataType::List(item) => many(std::slice::from_ref(item)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(pair) => many(&pair[..]),
                _ => many(&[]),
            },
            DataType::Struct(fields) => Column::Struct {
                columns: fields.iter().map(|field| Column::new(field.data_type())).collect(),
                valid: NullBufferBuilder::new(0),
            },
            _ => Column::Bytes(BinaryBuilder::new()),
        }
    }

    fn read(&mut self, step: &Step, input: &mut Input<'_>) -> Result<(), Wrong> {
        match (self, step) {
            (column, Step::Optional { null_branch, inner }) => match input.long()? {
                branch if branch == *null_branch => column.push_null(),
                0 | 1 => column.read(inner, input)?,
                branch => return Err(Wrong::from(format!("the union has no branch {branch}"))),
            },
            (Column::Long(column), _) => column.append_value(input.long()?),
            (Column::Double(column), _) => column.append_value(f64::from_le_bytes(input.array()?)),
            (Column::Text(column), Step::Enum(symbols)) => {
                let index = input.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                let symbol = symbol.ok_or_else(|| Wrong::from(format!("the enum has no symbol {index}")))?;
                column.append_value(symbol);
            }
            (Column::Text(column), _) => column.append_value(input.text()?),
            (Column::Int(column), _) => column.append_value(input.int()?),
            (Column::Boolean(column), _) => match input.take(1)?[0] {
                0 => column.append_value(false),
                1 => column.append_value(true),
                other => return Err(Wrong::from(format!("a boolean is 0 or 1, not {other}"))),
            },
            (Column::Float(column), _) => column.append_value(f32::from_le_bytes(input.array()?)),
            (Column::Bytes(column), _) => column.append_value(input.bytes()?),
            (Column::Date(column), _) => column.append_value(input.int()?),
            (Column::TimeMs(column), _) => column.append_value(input.int()?),
            (Column::TimestampMs(column), _) => column.append_value(input.long()?),
            (Column::TimestampUs(column), _) => column.append_value(input.long()?),
            (Column::TimestampNs(column), _) => column.append_value(input.long()?),
            (column, step) => column.read_other(step, input)?,
        }
        Ok(())
    }

    fn read_other(&mut self, step: &Step, input: &mut Input<'_>) -> Result<(), Wrong> {
        match (self, step) {
            (Column::TimeUs(column), _) => {
                let us = input.long()?;
                i32::try_from(us / 1_000).map_err(|_| Wrong::from("a time of day beyond the day"))?;
                column.append_value(us);
            }
            (Column::Decimal(column), Step::Decimal { size, .. }) => {
                let bytes = match size {
                    Some(size) => input.take(*size)?,
                    None => input.bytes()?,
                };
                column.append_value(unscaled(bytes).ok_or("a decimal of more than 128 bits")?);
            }
            (Column::Fixed(column), Step::Fixed(size)) => {
                column.append_value(input.take(*size)?).map_err(|error| Wrong::from(error.to_string()))?;
            }
            (Column::Many { ends, items, valid }, step) => {
                let mut count = 0;
                input.blocks(|input| {
                    count += 1;
                    match (&mut items[..], step) {
                        ([items], Step::Array(item)) => items.read(item, input),
                        ([key, items], Step::Map(value)) => {
                            key.read(&Step::String, input).and_then(|()| items.read(value, input))
                        }
                        ([keys, items], Step::Entries(key, value)) => {
                            keys.read(key, input).and_then(|()| items.read(value, input))
                        }
                        _ => Err(Wrong::from("it is no list")),
                    }
                })?;
                let end = ends.last().and_then(|last| last.checked_add(count));
                ends.push(end.ok_or("more items than a column can have")?);
                valid.append_non_null();
            }
            (Column::Struct { columns, valid }, step) => {
                fill(columns, step, input)?;
                valid.append_non_null();
            }
            _ => return Err(Wrong::from("it is of another type")),
        }
        Ok(())
    }

    fn push_null(&mut self) {
        match self {
            Column::Boolean(column) => column.append_null(),
            Column::Int(column) => column.append_null(),
            Column::Long(column) => column.append_null(),
            Column::Float(column) => column.append_null(),
            Column::Double(column) => column.append_null(),
            Column::Bytes(column) => column.append_null(),
            Column::Text(column) => column.append_null(),
            Column::Date(column) => column.append_null(),
            Column::TimeMs(column) => column.append_null(),
            Column::TimeUs(column) => column.append_null(),
            Column::TimestampMs(column) => column.append_null(),
            Column::TimestampUs(column) => column.append_null(),
            Column::TimestampNs(column) => column.append_null(),
            Column::Decimal(column) => column.append_null(),
            Column::Fixed(column) => column.append_null(),
            Column::Many { ends, valid, .. } => {
                ends.push(ends.last().copied().unwrap_or(0));
                valid.append_null();
            }
            Column::Struct { columns, valid } => {
                // Nobody looks at these.
                columns.iter_mut().for_each(Column::push_null);
                valid.append_null();
            }
        }
    }

    fn finish(self, field: &Field) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Column::Boolean(mut column) => ArrayBuilder::finish(&mut column),
            Column::Int(mut column) => ArrayBuilder::finish(&mut column),
            Column::Long(mut column) => ArrayBuilder::finish(&mut column),
            Column::Float(mut column) => ArrayBuilder::finish(&mut column),
            Column::Double(mut column) => ArrayBuilder::finish(&mut column),
            Column::Bytes(mut column) => ArrayBuilder::finish(&mut column),
            Column::Text(mut column) => ArrayBuilder::finish(&mut column),
            Column::Date(mut column) => ArrayBuilder::finish(&mut column),
            Column::TimeMs(mut column) => ArrayBuilder::finish(&mut column),
            Column::TimeUs(mut column) => ArrayBuilder::finish(&mut column),
            Column::TimestampMs(mut column) => ArrayBuilder::finish(&mut column),
            Column::TimestampUs(mut column) => ArrayBuilder::finish(&mut column),
            Column::TimestampNs(mut column) => ArrayBuilder::finish(&mut column),
            Column::Decimal(mut column) => ArrayBuilder::finish(&mut column),
            Column::Fixed(mut column) => ArrayBuilder::finish(&mut column),
            Column::Struct { columns, mut valid } => match field.data_type() {
                DataType::Struct(fields) => {
                    let arrays = finished(columns, fields)?;
                    Arc::new(StructArray::try_new(fields.clone(), arrays, valid.finish())?)
                }
                _ => return Err(mismatch(field)),
            },
            Column::Many { ends, items, mut valid } => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
                match field.data_type() {
                    DataType::List(item) => {
                        let mut arrays = finished(items, std::slice::from_ref(item))?;
                        let items = arrays.pop().ok_or_else(|| mismatch(field))?;
                        Arc::new(ListArray::try_new(item.clone(), ends, items, valid.finish())?)
                    }
                    DataType::Map(entries, is_sorted) => {
                        let DataType::Struct(pair) = entries.data_type() else { return Err(mismatch(field)) };
                        let pairs = StructArray::try_new(pair.clone(), finished(items, pair)?, None)?;
                        let entries = entries.clone();
                        Arc::new(MapArray::try_new(entries, ends, pairs, valid.finish(), *is_sorted)?)
                    }
                    _ => return Err(mismatch(field)),
                }
            }
        })
    }
}

fn finished(columns: Vec<Column>, fields: &[Arc<Field>]) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.into_iter().zip(fields).map(|(column, field)| column.finish(field)).collect()
}

fn mismatch(field: &Field) -> ArrowError {
    ArrowError::SchemaError(format!("the column {} was made for another type", field.name()))
}
