//! What a pipeline asks for, in MongoDB's words: filter, projection, and the range of `_id` that a split is.

use base::Value;
use chrono::DateTime;
use mongodb::bson::{Bson, DateTime as BsonDate, Document, doc, oid::ObjectId};

use super::{Error, encode};
use crate::{CursorRange, Selection};

/// A selection that MongoDB understands.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    conditions: Vec<Document>,
    pub(super) projection: Option<Document>,
    /// Only what changed since an earlier run: few documents, and read best in one go.
    pub(super) is_incremental: bool,
}

/// The `_id`s of one split; open ends have no bound.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Range {
    /// In it.
    pub(super) from: Option<Bson>,
    /// Not in it.
    pub(super) below: Option<Bson>,
}

impl Query {
    /// # Errors
    /// `Query` where the filter is no JSON object, or the cursor's ends have nothing in common.
    pub(super) fn new(collection: &str, selection: &Selection) -> Result<Self, Error> {
        let refuse = |part: &'static str, source: base::BoxError| Error::Query {
            collection: collection.to_owned(),
            part,
            source,
        };
        let mut conditions = Vec::new();
        if let Some(filter) = &selection.filter {
            let parsed: Result<Document, _> = serde_json::from_str(filter);
            conditions.push(parsed.map_err(|error| refuse("filter", error.into()))?);
        }
        if let Some(cursor) = &selection.cursor {
            conditions.extend(range(cursor).map_err(|reason| refuse("cursor", reason.into()))?);
        }
        let mut projection: Document =
            selection.fields.iter().map(|name| (name.clone(), Bson::Int32(1))).collect();
        if !projection.is_empty() {
            projection.insert("_id", 1);
        }
        let projection = (!projection.is_empty()).then_some(projection);
        let is_incremental = selection.cursor.as_ref().is_some_and(|cursor| cursor.from.is_some());
        Ok(Self { conditions, projection, is_incremental })
    }

    /// Whether all documents are wanted, so that a range of the `_id` index says everything.
    pub(super) fn is_everything(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The filter of a split from behind `after` on.
    pub(super) fn filter(&self, range: &Range, after: Option<&Bson>) -> Document {
        let mut all = self.conditions.clone();
        // By `$expr`, since a plain `$gt` only sees values of the bound's own type.
        let bound =
            |operator: &str, id: &Bson| doc! { "$expr": { operator: ["$_id", { "$literal": id.clone() }] } };
        match (after, &range.from) {
            (Some(after), _) => all.push(bound("$gt", after)),
            (None, Some(from)) => all.push(bound("$gte", from)),
            (None, None) => {}
        }
        all.extend(range.below.as_ref().map(|id| bound("$lt", id)));
        match all.len() {
            0 => Document::new(),
            1 => all.swap_remove(0),
            _ => doc! { "$and": all },
        }
    }
}

/// A cursor's condition; `None` where it has none.
fn range(cursor: &CursorRange) -> Result<Option<Document>, String> {
    let field = cursor.field.as_str();
    let from_operator = if cursor.is_from_included { "$gte" } else { "$gt" };
    let ends = |value: &Option<Value>, operator: &str| match value {
        Some(value) => meanings(value, operator).map(Some),
        None => Ok(None),
    };
    let (from, to) = (ends(&cursor.from, from_operator)?, ends(&cursor.to, "$lt")?);
    let mut alternatives: Vec<Document> = Vec::new();
    for meaning in [Meaning::Own, Meaning::ObjectId, Meaning::Date] {
        let of = |values: &Vec<(Meaning, Bson)>| {
            values.iter().find(|(own, _)| *own == meaning).map(|(_, value)| value.clone())
        };
        let condition = match (&from, &to) {
            (Some(from), Some(to)) => match (of(from), of(to)) {
                (Some(from), Some(to)) => doc! { from_operator: from, "$lt": to },
                _ => continue,
            },
            (Some(from), None) => match of(from) {
                Some(from) => doc! { from_operator: from },
                None => continue,
            },
            (None, Some(to)) => match of(to) {
                Some(to) => doc! { "$lt": to },
                None => continue,
            },
            (None, None) => break,
        };
        alternatives.push(doc! { field: condition });
    }
    if from.is_none() && to.is_none() {
        return Ok((!cursor.takes_missing).then(|| doc! { field: { "$ne": Bson::Null } }));
    }
    if alternatives.is_empty() {
        return Err("its two ends are of different types".to_owned());
    }
    if cursor.takes_missing {
        alternatives.push(doc! { field: Bson::Null });
    }
    Ok(Some(match alternatives.len() {
        1 => alternatives.swap_remove(0),
        _ => doc! { "$or": alternatives },
    }))
}

/// MongoDB compares values of one type; a text may stand for what a pipeline keeps as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Numbers count as one type.
    Own,
    ObjectId,
    Date,
}

fn meanings(value: &Value, operator: &str) -> Result<Vec<(Meaning, Bson)>, String> {
    let date = |time_ms: i64| (Meaning::Date, Bson::DateTime(BsonDate::from_millis(time_ms)));
    Ok(match value {
        Value::String(text) => {
            let mut meanings = vec![(Meaning::Own, Bson::String(text.to_string()))];
            meanings.extend(ObjectId::parse_str(text).ok().map(|id| (Meaning::ObjectId, Bson::ObjectId(id))));
            let time = DateTime::parse_from_rfc3339(text).ok();
            meanings.extend(time.map(|time| date(milliseconds(time.timestamp_micros(), operator))));
            meanings
        }
        Value::TimestampUs(time_us) => vec![date(milliseconds(*time_us, operator))],
        other => match encode::bson(other)? {
            Bson::DateTime(time) => vec![date(time.timestamp_millis())],
            Bson::ObjectId(id) => vec![(Meaning::ObjectId, Bson::ObjectId(id))],
            Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined => {
                return Err(format!("a cursor cannot be compared with {}", other.kind_name()));
            }
            own => vec![(Meaning::Own, own)],
        },
    })
}

/// Dates have milliseconds: `$gt` of a part of one is `$gt` of the whole one before it, `$gte` and `$lt` of the next.
fn milliseconds(time_us: i64, operator: &str) -> i64 {
    let whole = time_us.div_euclid(1_000);
    if operator == "$gt" || time_us.rem_euclid(1_000) == 0 { whole } else { whole + 1 }
}
