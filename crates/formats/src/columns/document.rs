//! JSON documents into columns, a field at a time and without values between.
//!
//! It knows no errors: a document that is not as its columns are is left to those who tell what is wrong and where.

use std::{fmt, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray, RecordBatch, StructArray,
    builder::{ArrayBuilder, BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder},
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields, SchemaRef};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Cell;
use crate::json::{Name, Style, append_plain};

/// Documents that become one batch of columns.
pub struct DocumentColumns {
    schema: SchemaRef,
    record: Record,
}

impl DocumentColumns {
    /// `None`: a column that no JSON value is plainly one of.
    pub fn new(schema: &SchemaRef, rows_count: usize) -> Option<Self> {
        let record = Record::new(schema.fields(), rows_count)?;
        Some(Self { schema: schema.clone(), record })
    }

    /// `None`: the document is no record of these columns, and what was pushed before it is lost as well.
    pub fn push(&mut self, document: &[u8]) -> Option<()> {
        let mut input = serde_json::Deserializer::from_slice(document);
        let whole = Row(&mut self.record).deserialize(&mut input).and_then(|()| input.end());
        whole.ok()
    }

    /// # Errors
    /// Columns that do not belong together, which is a mistake of ours.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        let columns = self.record.columns.into_iter().map(|(_, column)| column.finish());
        RecordBatch::try_new(self.schema, columns.collect::<Result<_, _>>()?)
    }
}

/// The fields of one object.
struct Record {
    columns: Vec<(Arc<str>, Column)>,
    count: usize,
}

enum Column {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder),
    /// With the text of a value that is none.
    Text(StringBuilder, Vec<u8>),
    List {
        item: FieldRef,
        items: Box<Column>,
        lengths: Vec<usize>,
        valid: NullBufferBuilder,
    },
    Record {
        fields: Fields,
        record: Record,
        valid: NullBufferBuilder,
    },
}

/// A guess at a text's length, for the first allocation.
const TEXT_BYTES: usize = 12;

impl Record {
    fn new(fields: &Fields, rows_count: usize) -> Option<Self> {
        let column = |field: &FieldRef| {
            Some((field.name().as_str().into(), Column::new(field.data_type(), rows_count)?))
        };
        Some(Self { columns: fields.iter().map(column).collect::<Option<_>>()?, count: 0 })
    }

    fn push_null(&mut self) {
        self.count += 1;
        self.columns.iter_mut().for_each(|(_, column)| column.push_null());
    }
}

impl Column {
    fn new(kind: &DataType, rows_count: usize) -> Option<Self> {
        Some(match kind {
            DataType::Boolean => Column::Boolean(BooleanBuilder::with_capacity(rows_count)),
            DataType::Int64 => Column::Integer(Int64Builder::with_capacity(rows_count)),
            DataType::Float64 => Column::Float(Float64Builder::with_capacity(rows_count)),
            DataType::Decimal128(_, 0) => {
                Column::Decimal(Decimal128Builder::with_capacity(rows_count).with_data_type(kind.clone()))
            }
            DataType::Utf8 => {
                Column::Text(StringBuilder::with_capacity(rows_count, rows_count * TEXT_BYTES), Vec::new())
            }
            DataType::List(item) => Column::List {
                item: item.clone(),
                items: Box::new(Column::new(item.data_type(), rows_count)?),
                lengths: Vec::with_capacity(rows_count),
                valid: NullBufferBuilder::new(rows_count),
            },
            DataType::Struct(fields) => Column::Record {
                fields: fields.clone(),
                record: Record::new(fields, rows_count)?,
                valid: NullBufferBuilder::new(rows_count),
            },
            _ => return None,
        })
    }

    fn len(&self) -> usize {
        match self {
            Column::Boolean(column) => column.len(),
            Column::Integer(column) => column.len(),
            Column::Float(column) => column.len(),
            Column::Decimal(column) => column.len(),
            Column::Text(column, _) => column.len(),
            Column::List { lengths, .. } => lengths.len(),
            Column::Record { record, .. } => record.count,
        }
    }

    fn push_null(&mut self) {
        match self {
            Column::Boolean(column) => column.append_null(),
            Column::Integer(column) => column.append_null(),
            Column::Float(column) => column.append_null(),
            Column::Decimal(column) => column.append_null(),
            Column::Text(column, _) => column.append_null(),
            Column::List { lengths, valid, .. } => {
                lengths.push(0);
                valid.append_null();
            }
            Column::Record { record, valid, .. } => {
                record.push_null();
                valid.append_null();
            }
        }
    }

    fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Column::Boolean(mut column) => Arc::new(column.finish()),
            Column::Integer(mut column) => Arc::new(column.finish()),
            Column::Float(mut column) => Arc::new(column.finish()),
            Column::Decimal(mut column) => Arc::new(column.finish()),
            Column::Text(mut column, _) => Arc::new(column.finish()),
            Column::List { item, items, lengths, mut valid } => {
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::try_new(item, offsets, items.finish()?, valid.finish())?)
            }
            Column::Record { fields, record, mut valid } => {
                let columns = record.columns.into_iter().map(|(_, column)| column.finish());
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                Arc::new(StructArray::try_new(fields, columns, valid.finish())?)
            }
        })
    }

    fn push_cell<E: de::Error>(&mut self, cell: Cell<'_>) -> Result<(), E> {
        match (self, cell) {
            (column, Cell::Null) => column.push_null(),
            (Column::Boolean(column), Cell::Boolean(flag)) => column.append_value(flag),
            (Column::Integer(column), Cell::Int(number)) => column.append_value(number),
            (Column::Float(column), Cell::Float(number)) => column.append_value(number),
            (Column::Float(column), Cell::Int(number)) => column.append_value(number as f64),
            (Column::Float(column), Cell::Decimal { unscaled, .. }) => column.append_value(unscaled as f64),
            (Column::Decimal(column), Cell::Int(number)) => column.append_value(number.into()),
            (Column::Decimal(column), Cell::Decimal { unscaled, .. }) => column.append_value(unscaled),
            (Column::Text(column, _), Cell::Text(text)) => column.append_value(text),
            // Values of several types are their JSON texts.
            (Column::Text(column, text), other) => {
                text.clear();
                append_plain(other, Style::PLAIN, text);
                column.append_value(std::str::from_utf8(text).map_err(E::custom)?);
            }
            _ => return Err(E::custom("a value of another type")),
        }
        Ok(())
    }
}

/// One object as the next row of a record.
struct Row<'a>(&'a mut Record);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Row(Record { columns, count }) = self;
        let mut next = 0;
        // A name that no column has, and one that comes twice, are no plain things.
        while let Some(place) = entries.next_key_seed(Name(|name: &str| place_of(columns, next, name)))? {
            let column = &mut columns[place].1;
            if column.len() != *count {
                return Err(de::Error::custom("a name that comes twice"));
            }
            entries.next_value_seed(Value(column))?;
            next = place + 1;
        }
        for (_, column) in columns {
            if column.len() == *count {
                column.push_null();
            }
        }
        *count += 1;
        Ok(())
    }
}

/// The place of a column's name, most often behind the one before.
fn place_of(columns: &[(Arc<str>, Column)], next: usize, name: &str) -> Result<usize, &'static str> {
    if columns.get(next).is_some_and(|(known, _)| **known == *name) {
        return Ok(next);
    }
    columns.iter().position(|(known, _)| **known == *name).ok_or("a name that no column has")
}

/// One value as the next of a column.
struct Value<'a>(&'a mut Column);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the column's type")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.push_cell(Cell::Null)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<(), E> {
        self.0.push_cell(Cell::Boolean(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.0.push_cell(Cell::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.0.push_cell(match i64::try_from(number) {
            Ok(number) => Cell::Int(number),
            Err(_) => Cell::Decimal { unscaled: number.into(), scale: 0 },
        })
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        self.0.push_cell(Cell::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.0.push_cell(Cell::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Column::List { items, lengths, valid, .. } = self.0 else {
            return Err(de::Error::custom("a list"));
        };
        let mut length = 0;
        while list.next_element_seed(Value(items))?.is_some() {
            length += 1;
        }
        lengths.push(length);
        valid.append_non_null();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        let Column::Record { record, valid, .. } = self.0 else {
            return Err(de::Error::custom("an object"));
        };
        valid.append_non_null();
        Row(record).visit_map(entries)
    }
}

#[cfg(test)]
mod tests;
