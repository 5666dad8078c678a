//! What a record's fields say of its key, headers, timestamp and partition, and whether it is a delete.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use base::{Header, Headers, code};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use minijinja::{Value, value::Serde};
use serde_json::value::RawValue;

use super::{Error, expression::Expression};
use crate::record::{Refusal, Shape, malformed};

/// What of a record becomes what beside its value.
#[derive(Debug, Clone, Default)]
pub struct EnvelopePlan {
    pub key: Key,
    /// In their order.
    pub headers: Vec<(Arc<str>, HeaderText)>,
    /// The field with the record's time: milliseconds since 1970, or ISO 8601.
    pub timestamp: Option<String>,
    pub partition: Option<Expression>,
    pub tombstones: Option<Tombstones>,
}

/// What the record's key is.
#[derive(Debug, Clone, Default)]
pub enum Key {
    #[default]
    None,
    /// The text of a field.
    Field(String),
    /// A JSON object of these fields.
    Fields(Vec<String>),
    Expression(Expression),
}

#[derive(Debug, Clone)]
pub enum HeaderText {
    Text(Bytes),
    Field(String),
}

/// Which record is a delete: it has a key and no value.
#[derive(Debug, Clone)]
pub enum Tombstones {
    /// All fields but the key's have no value.
    Empty,
    /// This field says so: true, 1, yes, d or delete.
    Field(String),
}

const DELETES: [&str; 8] = ["true", "1", "yes", "y", "t", "d", "delete", "deleted"];

/// The plan for the records of one file.
#[derive(Debug)]
pub(super) struct Teller {
    plan: EnvelopePlan,
    /// Where each field that the plan names stands in a record of CSV.
    columns: HashMap<String, usize>,
    /// That of the key, where it is one field of CSV.
    key_column: Option<usize>,
    header: Vec<String>,
}

/// What one record says.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    pub(super) key: Option<Cow<'a, [u8]>>,
    pub(super) headers: Headers,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) partition: Option<i32>,
    pub(super) is_tombstone: bool,
}

/// The fields of a record.
pub(super) enum View<'a> {
    Csv { fields: &'a [Cow<'a, [u8]>], nulls: &'a [String] },
    Json(HashMap<Cow<'a, str>, &'a RawValue>),
}

impl EnvelopePlan {
    /// Every field that it names.
    fn fields(&self) -> impl Iterator<Item = &String> {
        let key = match &self.key {
            Key::Field(field) => std::slice::from_ref(field),
            Key::Fields(fields) => fields.as_slice(),
            Key::None | Key::Expression(_) => &[],
        };
        let headers = self.headers.iter().filter_map(|(_, text)| match text {
            HeaderText::Field(field) => Some(field),
            HeaderText::Text(_) => None,
        });
        let marker = match &self.tombstones {
            Some(Tombstones::Field(field)) => Some(field),
            Some(Tombstones::Empty) | None => None,
        };
        key.iter().chain(headers).chain(&self.timestamp).chain(marker)
    }
}

impl Teller {
    pub(super) fn new(plan: &EnvelopePlan, path: &str, shape: &Shape) -> Result<Self, Error> {
        if plan.tombstones.is_some() && matches!(plan.key, Key::None) {
            return Err(Error::KeylessTombstones);
        }
        let (mut columns, mut names) = (HashMap::new(), Vec::new());
        if let Shape::Csv { header, .. } = shape {
            for field in plan.fields() {
                let column = header.iter().position(|name| name == field);
                let missing = || Error::NoKeyColumn {
                    path: path.to_owned(),
                    key: field.clone(),
                    columns: header.join(", "),
                };
                columns.insert(field.clone(), column.ok_or_else(missing)?);
            }
            names.clone_from(header);
        }
        let key_column = match &plan.key {
            Key::Field(field) => columns.get(field).copied(),
            Key::None | Key::Fields(_) | Key::Expression(_) => None,
        };
        Ok(Self { plan: plan.clone(), columns, key_column, header: names })
    }

    /// Whether records say nothing beside their value.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.plan.key, Key::None) && !self.says_more_than_a_key()
    }

    pub(super) fn says_more_than_a_key(&self) -> bool {
        let EnvelopePlan { key: _, headers, timestamp, partition, tombstones } = &self.plan;
        !headers.is_empty() || timestamp.is_some() || partition.is_some() || tombstones.is_some()
    }

    pub(super) fn has_tombstones(&self) -> bool {
        self.plan.tombstones.is_some()
    }

    pub(super) fn tell<'a>(&self, view: &View<'a>) -> Result<Told<'a>, Refusal> {
        if let (false, Some(column), View::Csv { fields, nulls }) =
            (self.says_more_than_a_key(), self.key_column, view)
        {
            let key = fields.get(column).filter(|text| !is_null(text, nulls));
            return Ok(Told { key: key.map(|text| Cow::Borrowed(&**text)), ..Told::default() });
        }
        let values = match (&self.plan.key, &self.plan.partition) {
            (Key::Expression(_), _) | (_, Some(_)) => Some(self.values(view)?),
            _ => None,
        };
        let key = match (&self.plan.key, &values) {
            (Key::Field(field), _) => self.text(view, field)?,
            (Key::Fields(fields), _) => Some(Cow::Owned(self.object(view, fields)?)),
            (Key::Expression(expression), Some(values)) => {
                Some(Cow::Owned(expression.text_of(values)?.into_bytes()))
            }
            (Key::Expression(_), None) | (Key::None, _) => None,
        };
        let partition = match (&self.plan.partition, &values) {
            (Some(expression), Some(values)) => Some(expression.number_of(values)?),
            _ => None,
        };
        let is_tombstone = self.is_tombstone(view)?;
        if is_tombstone && key.is_none() {
            return Err(refusal("a delete has no key".to_owned()));
        }
        let timestamp_ms = match &self.plan.timestamp {
            Some(field) => self.text(view, field)?.map(|text| time_ms(field, &text)).transpose()?,
            None => None,
        };
        Ok(Told { key, headers: self.headers(view)?, timestamp_ms, partition, is_tombstone })
    }

    fn headers(&self, view: &View<'_>) -> Result<Headers, Refusal> {
        let header = |(name, text): &(Arc<str>, HeaderText)| {
            let value = match text {
                HeaderText::Text(text) => Some(text.clone()),
                HeaderText::Field(field) => {
                    self.text(view, field)?.map(|text| Bytes::from(text.into_owned()))
                }
            };
            Ok(Header { name: name.clone(), value })
        };
        self.plan.headers.iter().map(header).collect()
    }

    fn is_tombstone(&self, view: &View<'_>) -> Result<bool, Refusal> {
        match &self.plan.tombstones {
            None => Ok(false),
            Some(Tombstones::Field(field)) => Ok(self.text(view, field)?.is_some_and(|text| {
                let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
                DELETES.contains(&text.trim())
            })),
            Some(Tombstones::Empty) => {
                let is_key = |name: &str| match &self.plan.key {
                    Key::Field(field) => field == name,
                    Key::Fields(fields) => fields.iter().any(|field| field == name),
                    Key::None | Key::Expression(_) => false,
                };
                Ok(match view {
                    View::Csv { fields, nulls } => self
                        .header
                        .iter()
                        .zip(*fields)
                        .all(|(name, text)| is_key(name) || is_null(text, nulls)),
                    View::Json(fields) => {
                        fields.iter().all(|(name, raw)| is_key(name) || raw.get() == "null")
                    }
                })
            }
        }
    }

    /// The text of a field; `None` where it has no value.
    fn text<'a>(&self, view: &View<'a>, field: &str) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        match view {
            View::Csv { fields, nulls } => {
                let text = self.columns.get(field).and_then(|column| fields.get(*column));
                Ok(text.filter(|text| !is_null(text, nulls)).map(|text| Cow::Borrowed(&**text)))
            }
            View::Json(fields) => match fields.get(field) {
                Some(raw) => json_text(raw),
                None => deeper(fields, field),
            },
        }
    }

    /// A JSON object of some fields, in their order.
    fn object(&self, view: &View<'_>, names: &[String]) -> Result<Vec<u8>, Refusal> {
        let mut object = serde_json::Map::new();
        for name in names {
            let value = match view {
                View::Json(fields) if fields.contains_key(name.as_str()) => {
                    serde_json::from_str(fields[name.as_str()].get()).map_err(|error| malformed(&error))?
                }
                _ => self.text(view, name)?.map_or(serde_json::Value::Null, |text| {
                    String::from_utf8_lossy(&text).into_owned().into()
                }),
            };
            object.insert(name.clone(), value);
        }
        Ok(serde_json::Value::Object(object).to_string().into_bytes())
    }

    /// All fields, as expressions see them. A text of CSV that is a number's own spelling is that number.
    fn values(&self, view: &View<'_>) -> Result<Value, Refusal> {
        match view {
            View::Json(fields) => {
                let parsed = fields.iter().map(|(name, raw)| {
                    let value: serde_json::Value =
                        serde_json::from_str(raw.get()).map_err(|error| malformed(&error))?;
                    Ok((name.to_string(), Value::from(Serde(value))))
                });
                Ok(Value::from_pairs(parsed.collect::<Result<Vec<_>, Refusal>>()?))
            }
            View::Csv { fields, nulls } => {
                let value = |text: &Cow<'_, [u8]>| {
                    if is_null(text, nulls) {
                        return Value::from(());
                    }
                    let text = String::from_utf8_lossy(text);
                    match text.parse::<i64>() {
                        Ok(number) if number.to_string() == text => Value::from(number),
                        _ => Value::from(text.into_owned()),
                    }
                };
                let named = self.header.iter().zip(*fields).map(|(name, text)| (name.clone(), value(text)));
                Ok(Value::from_pairs(named))
            }
        }
    }
}

impl<'a> View<'a> {
    pub(super) fn of_json(record: &'a [u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(record).map(View::Json).map_err(|error| malformed(&error))
    }
}

fn is_null(text: &[u8], nulls: &[String]) -> bool {
    nulls.iter().any(|null| null.as_bytes() == text)
}

/// The text of a value; other JSON than a text as it is written.
fn json_text<'a>(raw: &&'a RawValue) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
    let raw: &'a RawValue = raw;
    match raw.get() {
        "null" => Ok(None),
        text if !text.starts_with('"') => Ok(Some(Cow::Borrowed(text.as_bytes()))),
        text => {
            let text: String = serde_json::from_str(text).map_err(|error| malformed(&error))?;
            Ok(Some(Cow::Owned(text.into_bytes())))
        }
    }
}

/// `user.address.city`: a field within fields.
fn deeper<'a>(
    fields: &HashMap<Cow<'a, str>, &'a RawValue>,
    path: &str,
) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
    let Some((first, rest)) = path.split_once('.') else { return Ok(None) };
    let Some(raw) = fields.get(first).copied().filter(|raw| raw.get().starts_with('{')) else {
        return Ok(None);
    };
    let inner: HashMap<Cow<'a, str>, &'a RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| malformed(&error))?;
    match inner.get(rest) {
        Some(raw) => json_text(raw),
        None => deeper(&inner, rest),
    }
}

fn refusal(reason: String) -> Refusal {
    Refusal { at: 0, code: code::TM1474, reason }
}

/// Milliseconds since 1970 from those, or from a moment in ISO 8601; without a zone it is one in UTC.
fn time_ms(field: &str, text: &[u8]) -> Result<i64, Refusal> {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    let time_ms = text.parse::<i64>().ok().or_else(|| {
        let zoned = DateTime::parse_from_rfc3339(text)
            .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
        let time = zoned.ok().map(|time| time.to_utc());
        let time = time.or_else(|| naive("%Y-%m-%dT%H:%M:%S%.f")).or_else(|| naive("%Y-%m-%d %H:%M:%S%.f"));
        time.or_else(|| day().map(|day| day.and_utc())).map(|time| time.timestamp_millis())
    });
    time_ms.filter(|time_ms| *time_ms >= 0).ok_or_else(|| {
        refusal(format!(
            "{field}: expected milliseconds since 1970 or a time like 2013-01-31T10:00:00Z, found {text:?}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1359626400000", Some(1_359_626_400_000)),
            ("2013-01-31T10:00:00Z", Some(1_359_626_400_000)),
            ("2013-01-31T11:00:00.250+01:00", Some(1_359_626_400_250)),
            ("2013-01-31T11:00:00+0100", Some(1_359_626_400_000)),
            ("2013-01-31 10:00:00", Some(1_359_626_400_000)),
            ("2013-01-31T10:00:00", Some(1_359_626_400_000)),
            ("2013-01-31", Some(1_359_590_400_000)),
            ("1969-12-31", None),
            ("-1", None),
            ("31.1.2013", None),
            ("", None),
        ] {
            assert_eq!(time_ms("at", text.as_bytes()).ok(), expected, "{text}");
        }
    }
}
