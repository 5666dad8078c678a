//! The columns of records that no contract describes: what the values seen so far have in common.
//!
//! Numbers that are whole and others are numbers; a date beside moments is a moment; what has no common type is JSON text. Every
//! column may be empty. Memory is bounded by the fields, not the records.

mod document;

use std::{cmp::Ordering, sync::Arc};

use base::{Field, Kind, Schema, Value};
use formats::{DecimalAs, json_value};
use indexmap::IndexMap;

/// What has been seen of one field, or of a record.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    count: u64,
    booleans: u64,
    integers: u64,
    floats: u64,
    decimals: u64,
    scale_max: i32,
    texts: u64,
    bytes: u64,
    dates: u64,
    times: u64,
    moments: u64,
    lists: u64,
    items: Option<Box<Seen>>,
    maps: u64,
    structs: u64,
    fields: IndexMap<Arc<str>, Seen>,
}

const MS_PER_DAY: i64 = 86_400_000;

impl Seen {
    pub fn add(&mut self, value: &Value) {
        let value = value.plain();
        if !matches!(value, Value::Null) {
            self.count += 1;
        }
        match value {
            Value::Null => {}
            Value::Boolean(_) => self.booleans += 1,
            Value::Int(_) => self.integers += 1,
            Value::Float(_) => self.floats += 1,
            Value::Decimal { scale, .. } => {
                self.decimals += 1;
                self.scale_max = self.scale_max.max(*scale);
            }
            Value::String(_) => self.texts += 1,
            Value::Bytes(_) => self.bytes += 1,
            Value::Date(_) => self.dates += 1,
            Value::TimeMs(_) => self.times += 1,
            Value::TimestampMs(_) | Value::TimestampUs(_) => self.moments += 1,
            Value::List(items) => {
                self.lists += 1;
                let seen = self.items.get_or_insert_default();
                items.iter().for_each(|item| seen.add(item));
            }
            Value::Map(entries) => {
                self.maps += 1;
                let seen = self.items.get_or_insert_default();
                entries.iter().for_each(|(_, value)| seen.add(value));
            }
            Value::Struct(fields) => {
                self.structs += 1;
                for (name, value) in fields {
                    match self.fields.get_mut(&**name) {
                        Some(seen) => seen.add(value),
                        None => self.fields.entry(name.clone()).or_default().add(value),
                    }
                }
            }
            Value::Tagged { .. } => unreachable!("a plain value has no tag"),
        }
    }

    /// A column whose kind is known without having been seen: a CSV file's.
    pub fn add_column(&mut self, name: &str, kind: &Kind) {
        self.count += 1;
        self.structs += 1;
        let seen = self.fields.entry(name.into()).or_default();
        let sample = match kind {
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => Value::Int(0),
            Kind::Float32 | Kind::Float64 => Value::Float(0.0),
            Kind::Boolean => Value::Boolean(false),
            Kind::Date => Value::Date(0),
            Kind::TimeMs => Value::TimeMs(0),
            Kind::TimestampMs => Value::TimestampMs(0),
            Kind::Decimal { scale } => Value::Decimal { unscaled: 0, scale: *scale },
            Kind::Bytes => Value::Bytes(bytes::Bytes::new()),
            Kind::String | Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => Value::string(""),
        };
        seen.add(&sample);
    }

    /// The columns; `None` where no record has a field.
    pub fn schema(&self) -> Option<Schema> {
        let is_record = self.structs > 0 && !self.fields.is_empty();
        is_record.then(|| Schema::of(self.struct_kind()).named("row"))
    }

    fn struct_kind(&self) -> Kind {
        let field = |(name, seen): (&Arc<str>, &Seen)| Field {
            name: name.clone(),
            schema: Arc::new(Schema::optional(seen.kind())),
        };
        Kind::Struct(self.fields.iter().map(field).collect())
    }

    fn kind(&self) -> Kind {
        let all = |count: u64| count == self.count && count > 0;
        let items = || Arc::new(Schema::optional(self.items.as_deref().map_or(Kind::String, Seen::kind)));
        match () {
            () if all(self.booleans) => Kind::Boolean,
            () if all(self.integers) => Kind::Int64,
            () if all(self.integers + self.decimals) => Kind::Decimal { scale: self.scale_max },
            () if all(self.integers + self.floats + self.decimals) => Kind::Float64,
            () if all(self.bytes) => Kind::Bytes,
            () if all(self.dates) => Kind::Date,
            () if all(self.times) => Kind::TimeMs,
            () if all(self.moments + self.dates) => Kind::TimestampMs,
            () if all(self.lists) => Kind::Array(items()),
            () if all(self.maps) => Kind::Map { key: Arc::new(Schema::of(Kind::String)), value: items() },
            () if all(self.structs) && !self.fields.is_empty() => self.struct_kind(),
            () => Kind::String,
        }
    }
}

/// A value as its column takes it, in place.
///
/// # Errors
/// Why the column does not take it, with the field's path.
pub(super) fn fit(value: &mut Value, schema: &Schema) -> Result<(), String> {
    while let Value::Tagged { value: inner, .. } = value {
        *value = std::mem::take(&mut **inner);
    }
    match (&schema.kind, &mut *value) {
        (_, Value::Null) => {}
        (Kind::Struct(fields), Value::Struct(given)) => fit_struct(given, fields)?,
        (Kind::Array(item), Value::List(items)) => {
            items.iter_mut().try_for_each(|value| fit(value, item))?;
        }
        (Kind::Map { value: schema, .. }, Value::Map(entries)) => {
            for (key, value) in entries {
                if !matches!(key, Value::String(_)) {
                    *key = Value::string(json_value(key, None, DecimalAs::Number));
                }
                fit(value, schema)?;
            }
        }
        (Kind::String, Value::String(_)) => {}
        (Kind::String, other) => *other = Value::string(text_of(other)),
        (Kind::Float64, Value::Int(number)) => *value = Value::Float(*number as f64),
        (Kind::Float64, Value::Decimal { unscaled, scale }) => {
            *value = Value::Float(*unscaled as f64 / 10f64.powi(*scale));
        }
        (Kind::Decimal { scale }, Value::Int(number)) => {
            let given = Value::Decimal { unscaled: i128::from(*number), scale: 0 };
            *value = rescaled(&given, *scale)?;
        }
        (Kind::Decimal { scale }, given @ Value::Decimal { .. }) => *given = rescaled(given, *scale)?,
        (Kind::TimestampMs, Value::Date(days)) => {
            *value = Value::TimestampMs(i64::from(*days) * MS_PER_DAY);
        }
        _ => {}
    }
    Ok(())
}

/// Fields in the schema's order; one that no column has is an error, as it would be lost.
fn fit_struct(given: &mut Vec<(Arc<str>, Value)>, fields: &[Field]) -> Result<(), String> {
    let is_in_order = given.len() == fields.len()
        && given.iter().zip(fields).all(|((name, _), field)| **name == *field.name);
    if !is_in_order {
        if let Some((name, _)) =
            given.iter().find(|(name, _)| !fields.iter().any(|field| *field.name == **name))
        {
            return Err(format!("there is no column for {name}: none of the records that decided had it"));
        }
        let place = |name: &str| fields.iter().position(|field| *field.name == *name);
        given.sort_by_key(|(name, _)| place(name));
    }
    for (name, value) in given {
        let field = fields.iter().find(|field| *field.name == **name);
        if let Some(field) = field {
            fit(value, &field.schema).map_err(|reason| format!("{name}: {reason}"))?;
        }
    }
    Ok(())
}

/// A text as it is in a file of texts; all else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::Date(_) | Value::TimeMs(_) | Value::TimestampMs(_) | Value::TimestampUs(_) => {
            formats::time_text(value)
        }
        other => json_value(other, None, DecimalAs::Number),
    }
}

fn rescaled(value: &Value, wanted: i32) -> Result<Value, String> {
    let Value::Decimal { unscaled, scale } = value else { return Ok(value.clone()) };
    let by = u32::try_from(wanted - scale).unwrap_or(0);
    let grown = match wanted.cmp(scale) {
        Ordering::Equal => Some(*unscaled),
        Ordering::Greater => 10i128.checked_pow(by).and_then(|factor| unscaled.checked_mul(factor)),
        Ordering::Less => {
            let factor = 10i128.checked_pow(u32::try_from(scale - wanted).unwrap_or(u32::MAX));
            factor.filter(|factor| unscaled % factor == 0).map(|factor| unscaled / factor)
        }
    };
    match grown {
        Some(unscaled) => Ok(Value::Decimal { unscaled, scale: wanted }),
        None => Err(format!("a decimal of scale {scale} does not fit the scale {wanted} of its column")),
    }
}
