//! JSON and typed records as rows of the fields that are wanted, called and typed as was asked for.

use std::{collections::HashMap, sync::Arc};

use arrow_array::Array;
use base::{Batch, Body, Envelope, Fault, Place, Rejects, Shared, Value, code};
use contracts::validate::{cast_text, write_json};
use engine::Stage;

use super::{Mapping, Reading, Type, cells::natural_decimal};
use crate::{
    names::Names,
    record::{Refusal, Shape, find_field, malformed},
    rows::json,
};

/// The stage; records of CSV pass it as they are.
pub struct Mapped {
    mapping: Mapping,
    columns: Vec<Arc<str>>,
    rename: HashMap<Arc<str>, Arc<str>>,
    types: HashMap<Arc<str>, (Type, Option<Reading>)>,
    shapes: HashMap<Arc<str>, Shape>,
}

impl Mapped {
    pub fn new(mapping: Mapping, shapes: &[(Arc<str>, Shape)]) -> Self {
        let types =
            mapping.types.iter().map(|(name, kind)| (name.as_str().into(), (*kind, mapping.reading(*kind))));
        Self {
            columns: mapping.columns.iter().map(|name| name.as_str().into()).collect(),
            rename: mapping
                .rename
                .iter()
                .map(|(from, to)| (from.as_str().into(), to.as_str().into()))
                .collect(),
            types: types.collect(),
            shapes: shapes.iter().cloned().collect(),
            mapping,
        }
    }

    fn row(&self, row: Value, record: &[u8]) -> Result<Value, Refusal> {
        let Value::Struct(mut fields) = row else {
            let reason = format!("a row is an object, not {}", row.kind_name());
            return Err(Refusal { at: 0, code: code::TM0773, reason });
        };
        if !self.columns.is_empty() {
            let take = |name: &Arc<str>| {
                let place = |wanted: &str| fields.iter().position(|(field, _)| **field == *wanted);
                // What a later stage refused, and is sent again, has its new name already.
                let place = place(name).or_else(|| place(self.rename.get(name)?))?;
                let (name, value) = &mut fields[place];
                Some((name.clone(), std::mem::take(value)))
            };
            fields = self.columns.iter().filter_map(take).collect();
        }
        for (name, value) in &mut fields {
            let new = self.rename.get(name);
            let typed = new.and_then(|new| self.types.get(new)).or_else(|| self.types.get(name));
            if let Some((kind, reading)) = typed {
                let given = std::mem::take(value);
                *value = self.typed(*kind, reading.as_ref(), given).map_err(|found| {
                    let at = find_field(record, name);
                    let called = new.unwrap_or(name);
                    Refusal {
                        at,
                        code: code::TM1430,
                        reason: format!("{called}: expected {kind}, found {found}"),
                    }
                })?;
            }
            if let Some(new) = new {
                *name = new.clone();
            }
        }
        Ok(Value::Struct(fields))
    }

    /// The value as one of this type, or what it is.
    fn typed(&self, kind: Type, reading: Option<&Reading>, value: Value) -> Result<Value, String> {
        let is_so = matches!(
            (kind, &value),
            (_, Value::Null)
                | (Type::Int, Value::Int(_))
                | (Type::Float, Value::Float(_))
                | (Type::Bool, Value::Boolean(_))
                | (Type::Text, Value::String(_))
                | (Type::Date, Value::Date(_))
                | (Type::Timestamp, Value::TimestampMs(_) | Value::TimestampUs(_))
                | (Type::Decimal(None), Value::Decimal { .. })
        );
        if is_so {
            return Ok(value);
        }
        let mut json = Vec::new();
        let (text, reading): (&[u8], _) = match value.plain() {
            Value::String(text)
                if kind != Type::Text && self.mapping.nulls.iter().any(|null| **null == **text) =>
            {
                return Ok(Value::Null);
            }
            Value::String(text) => (text.as_bytes(), reading),
            Value::Int(_) | Value::Float(_) | Value::Boolean(_) | Value::Decimal { .. } => {
                write_json(&value, &mut json);
                // A number has no mark and no groups.
                (&json, reading.filter(|_| kind == Type::Bool))
            }
            other => return Err(format!("a {}", other.kind_name())),
        };
        let found = || format!("{:?}", contracts::shorten(&String::from_utf8_lossy(text), 60));
        let read = match reading {
            Some(reading) => reading.read(text).ok_or_else(found)?,
            None => text.into(),
        };
        let cast = match kind {
            Type::Decimal(None) => natural_decimal(&read),
            _ => cast_text(&kind.kind(), &read),
        };
        cast.ok_or_else(found)
    }
}

impl Stage for Mapped {
    fn apply(&self, batch: Batch) -> Result<(Vec<Batch>, Rejects), Fault> {
        let (Place::File { path } | Place::Made { name: path }) = &*batch.place else {
            return Ok((vec![batch], Rejects::default()));
        };
        let Some(shape) = self.shapes.get(path).filter(|shape| !matches!(shape, Shape::Csv { .. })) else {
            return Ok((vec![batch], Rejects::default()));
        };
        let (names, mut rejects) = (Names::default(), Rejects::default());
        let (mut rows, mut kept) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut take = |number: usize, row: Result<Value, Refusal>, record: &[u8]| match row {
            Ok(row) => {
                rows.push(row);
                kept.push(number);
            }
            Err(refusal) => rejects.0.push(refusal.reject(&batch, number, record, shape)),
        };
        match &batch.body {
            Body::Raw(records) => {
                for number in 0..records.len() {
                    let record = records.value(number);
                    let row = json::read(record, &names).map_err(|error| malformed(&error));
                    take(number, row.and_then(|row| self.row(row, record)), record);
                }
            }
            Body::Rows(given) => {
                for (number, row) in given.iter().enumerate() {
                    let mapped = self.row(row.clone(), b"");
                    let mut record = Vec::new();
                    if mapped.is_err() {
                        write_json(row, &mut record);
                    }
                    take(number, mapped, &record);
                }
            }
            Body::Columns(_) => return Ok((vec![batch], Rejects::default())),
        }
        let marks = batch.envelope.marks.as_ref().map(|marks| kept.iter().map(|row| marks[*row]).collect());
        let envelope = Envelope { marks, ..Envelope::default() };
        Ok((vec![Batch { body: Body::Rows(Shared::from(rows)), envelope, ..batch }], rejects))
    }

    fn growth(&self) -> u64 {
        16
    }
}
