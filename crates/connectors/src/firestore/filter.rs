//! What a selection asks, as a structured query: the filter's small JSON form, the cursor's range, and the order that
//! makes a query's results a sequence one can go on from.
//!
//! A filter is `["age", ">=", 18]`, with the operators of Firestore's clients, or `{"and": […]}`, `{"or": […]}` over
//! filters. A value is plain JSON or, for what JSON has not, a value of Firestore's REST API: `{"timestampValue": "…"}`.

use base::Value;
use chrono::DateTime;
use googleapis_tonic_google_firestore_v1::google::firestore::v1::{
    self as pb,
    structured_query::{
        CompositeFilter, FieldFilter, FieldReference, Filter, UnaryFilter,
        composite_filter::Operator as Junction,
        field_filter::Operator,
        filter::FilterType,
        unary_filter::{OperandType, Operator as Unary},
    },
    value::ValueType,
};
use serde_json::Value as Json;

use super::types::{self, of};
use crate::CursorRange;

pub(super) const NAME: &str = "__name__";

/// A condition, and the fields by which a query with it has to be ordered first.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    pub(super) filters: Vec<Filter>,
    /// Paths with dots.
    pub(super) ordered_by: Vec<String>,
}

impl Condition {
    /// # Errors
    /// What is wrong with the text.
    pub(super) fn add_text(&mut self, text: &str) -> Result<(), String> {
        let json: Json = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let filter = self.filter(&json)?;
        self.filters.push(filter);
        Ok(())
    }

    /// The bounds that the store can keep; without bounds, only that there is a value.
    pub(super) fn add_range(&mut self, range: &CursorRange) -> Result<(), String> {
        let path = path(&range.field);
        let bound = |value: &Value, op| Ok::<_, String>(compare(&path, op, types::write(value, 0)?));
        if let Some(from) = &range.from {
            let op =
                if range.is_from_included { Operator::GreaterThanOrEqual } else { Operator::GreaterThan };
            self.filters.push(bound(from, op)?);
        }
        if let Some(to) = &range.to {
            self.filters.push(bound(to, Operator::LessThan)?);
        }
        if range.from.is_none() && range.to.is_none() {
            self.filters.push(unary(&path, Unary::IsNotNull));
        }
        self.order_by(&range.field);
        Ok(())
    }

    fn order_by(&mut self, field: &str) {
        if field != NAME && !self.ordered_by.iter().any(|known| known == field) {
            self.ordered_by.push(field.to_owned());
        }
    }

    fn filter(&mut self, json: &Json) -> Result<Filter, String> {
        match json {
            Json::Array(parts) => match &parts[..] {
                [Json::String(field), Json::String(op), value] => self.comparison(field, op, Some(value)),
                [Json::String(field), Json::String(op)] => self.comparison(field, op, None),
                _ => Err(format!("`{json}` is not [field, operator, value]")),
            },
            Json::Object(parts) => {
                let both = [("and", Junction::And), ("or", Junction::Or)];
                for (word, op) in both {
                    if let (Some(Json::Array(filters)), 1) = (parts.get(word), parts.len()) {
                        let filters = filters.iter().map(|filter| self.filter(filter));
                        return Ok(junction(op, filters.collect::<Result<_, _>>()?));
                    }
                }
                Err(format!("`{json}` is neither {{\"and\": […]}} nor {{\"or\": […]}}"))
            }
            _ => Err(format!("`{json}` is no condition")),
        }
    }

    fn comparison(&mut self, field: &str, op: &str, value: Option<&Json>) -> Result<Filter, String> {
        let path = path(field);
        let unary_op = match (op, value) {
            ("==", Some(Json::Null)) => Some(Unary::IsNull),
            ("!=", Some(Json::Null)) => Some(Unary::IsNotNull),
            ("is-nan", None) => Some(Unary::IsNan),
            ("is-not-nan", None) => Some(Unary::IsNotNan),
            _ => None,
        };
        if let Some(op) = unary_op {
            if matches!(op, Unary::IsNotNull | Unary::IsNotNan) {
                self.order_by(field);
            }
            return Ok(unary(&path, op));
        }
        let operator = operator(op)?;
        let value = value.ok_or_else(|| format!("`{op}` wants a value"))?;
        let bounds = [
            Operator::LessThan,
            Operator::LessThanOrEqual,
            Operator::GreaterThan,
            Operator::GreaterThanOrEqual,
            Operator::NotEqual,
            Operator::NotIn,
        ];
        if bounds.contains(&operator) {
            self.order_by(field);
        }
        Ok(compare(&path, operator, json_value(value)?))
    }
}

/// All of them at once.
pub(super) fn all(mut filters: Vec<Filter>) -> Option<Filter> {
    match filters.len() {
        0 => None,
        1 => filters.pop(),
        _ => Some(junction(Junction::And, filters)),
    }
}

fn operator(word: &str) -> Result<Operator, String> {
    Ok(match word {
        "<" => Operator::LessThan,
        "<=" => Operator::LessThanOrEqual,
        ">" => Operator::GreaterThan,
        ">=" => Operator::GreaterThanOrEqual,
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "array-contains" => Operator::ArrayContains,
        "array-contains-any" => Operator::ArrayContainsAny,
        "in" => Operator::In,
        "not-in" => Operator::NotIn,
        _ => {
            return Err(format!(
                "`{word}` is none of < <= > >= == != in not-in array-contains array-contains-any is-nan is-not-nan"
            ));
        }
    })
}

/// Plain JSON, or one of the REST API's values where plain JSON has no such thing.
fn json_value(json: &Json) -> Result<pb::Value, String> {
    if let Json::Object(parts) = json
        && let (1, Some((kind, inner))) = (parts.len(), parts.iter().next())
        && let Some(text) = inner.as_str()
    {
        match kind.as_str() {
            "timestampValue" => {
                let time =
                    DateTime::parse_from_rfc3339(text).map_err(|error| format!("`{text}`: {error}"))?;
                return types::write(&Value::TimestampUs(time.timestamp_micros()), 0);
            }
            "referenceValue" => return Ok(of(ValueType::ReferenceValue(text.to_owned()))),
            "doubleValue" => {
                let number = text.parse().map_err(|_| format!("`{text}` is no number"))?;
                return Ok(of(ValueType::DoubleValue(number)));
            }
            _ => {}
        }
    }
    super::json::value(json)
}

fn compare(path: &str, op: Operator, value: pb::Value) -> Filter {
    let field = Some(FieldReference { field_path: path.to_owned() });
    let filter = FieldFilter { field, op: op.into(), value: Some(value) };
    Filter { filter_type: Some(FilterType::FieldFilter(filter)) }
}

fn unary(path: &str, op: Unary) -> Filter {
    let field = FieldReference { field_path: path.to_owned() };
    let filter = UnaryFilter { op: op.into(), operand_type: Some(OperandType::Field(field)) };
    Filter { filter_type: Some(FilterType::UnaryFilter(filter)) }
}

fn junction(op: Junction, filters: Vec<Filter>) -> Filter {
    Filter { filter_type: Some(FilterType::CompositeFilter(CompositeFilter { op: op.into(), filters })) }
}

/// A name bound: `__name__ >= projects/…/documents/users/…`.
pub(super) fn name_bound(op: Operator, name: String) -> Filter {
    compare(NAME, op, of(ValueType::ReferenceValue(name)))
}

/// A path whose dots go down, as Firestore writes it: names that are no plain words stand in back quotes.
pub(super) fn path(dotted: &str) -> String {
    if dotted == NAME {
        return dotted.to_owned();
    }
    dotted.split('.').map(segment).collect::<Vec<_>>().join(".")
}

/// One field's name in a path.
pub(super) fn segment(name: &str) -> String {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_plain = name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit());
    if is_plain { name.to_owned() } else { format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`")) }
}
