//! What is asked of a table as DynamoDB's expressions: projection, filter, key condition, with every name and value behind
//! a placeholder, so that no word is reserved.
//!
//! A filter is written with its values in it: `carrier = 'UA' AND delay >= 15 AND attribute_exists(gate)`.

use std::sync::Arc;

use base::Value;

use super::{Error, SourceConfig, tables::Keys, types};
use crate::{CursorRange, Selection};

/// DynamoDB's own words in a condition; all others are attributes.
const WORDS: [&str; 5] = ["AND", "OR", "NOT", "BETWEEN", "IN"];
const FUNCTIONS: [&str; 6] =
    ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"];

/// The parts of a Scan's or Query's body that are the same for each of its pages.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Members of a JSON object, each after a comma.
    pub(super) members: String,
    /// The filter tells one partition key, so that a Query reads only it.
    pub(super) is_query: bool,
    /// Rows in which this attribute has one of these values are left out: bounds that `BETWEEN` includes and the range
    /// does not.
    pub(super) excluded: Option<(Arc<str>, Vec<Value>)>,
}

/// Placeholders and what they stand for.
#[derive(Default)]
struct Placeholders {
    names: Vec<String>,
    values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// An attribute's path: `customer.address.city`, `tags[2]`.
    Path(String),
    Literal(Value),
    /// A word of DynamoDB's, an operator, a bracket, a comma.
    Sign(String),
}

/// A condition on the sort key, as a Query takes one.
#[derive(Default)]
struct Sort {
    condition: Option<String>,
    excluded: Option<(Arc<str>, Vec<Value>)>,
}

impl Placeholders {
    fn path(&mut self, path: &str) -> String {
        let steps = path.split('.').map(|step| {
            let (name, index) = step.find('[').map_or((step, ""), |at| step.split_at(at));
            format!("{}{index}", self.name(name))
        });
        steps.collect::<Vec<String>>().join(".")
    }

    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#n{place}")
    }

    fn value(&mut self, value: &Value) -> Result<String, Error> {
        let mut json = Vec::new();
        types::write_attribute(value, &mut json)
            .map_err(|unfit| Error::setting("filter", value.kind_name(), &unfit.to_string()))?;
        self.values.push(String::from_utf8_lossy(&json).into_owned());
        Ok(format!(":v{}", self.values.len() - 1))
    }

    fn tokens(&mut self, tokens: &[Token]) -> Result<String, Error> {
        let mut text = String::new();
        for token in tokens {
            if !text.is_empty() {
                text.push(' ');
            }
            match token {
                Token::Path(path) => text += &self.path(path),
                Token::Literal(value) => text += &self.value(value)?,
                Token::Sign(sign) => text += sign,
            }
        }
        Ok(text)
    }

    fn members(&self) -> String {
        let mut text = String::new();
        let mut object = |member: &str, sign: &str, values: &[String]| {
            if !values.is_empty() {
                let members =
                    values.iter().enumerate().map(|(place, value)| format!("\"{sign}{place}\":{value}"));
                text += &format!(",\"{member}\":{{{}}}", members.collect::<Vec<_>>().join(","));
            }
        };
        let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
        object("ExpressionAttributeNames", "#n", &names);
        object("ExpressionAttributeValues", ":v", &self.values);
        text
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `keys` are those of the table or index that is read, `kept` the table's own, which come along in any case.
pub(super) fn expressions(
    config: &SourceConfig,
    selection: &Selection,
    keys: &Keys,
    kept: &Keys,
) -> Result<Expressions, Error> {
    let mut placeholders = Placeholders::default();
    let mut members = String::new();
    let mut member = |name: &str, json: String| members += &format!(",\"{name}\":{json}");
    if let Some(index) = &config.index {
        member("IndexName", quoted(index));
    }
    if config.is_consistent {
        member("ConsistentRead", "true".to_owned());
    }
    if !selection.fields.is_empty() {
        let own = kept.all().map(|key| &*key.name);
        let asked = selection.fields.iter().map(String::as_str);
        let mut names: Vec<String> = own.chain(asked).map(|name| placeholders.name(name)).collect();
        names.sort_unstable();
        names.dedup();
        member("ProjectionExpression", quoted(&names.join(", ")));
    }
    let tokens = selection.filter.as_deref().map(tokens).transpose()?.unwrap_or_default();
    let mut conditions = conjuncts(&tokens);
    let mut sort = Sort::default();
    let partition = query(&conditions, keys, selection.cursor.as_ref());
    if let Some(place) = partition {
        let mut condition = placeholders.tokens(conditions.remove(place))?;
        sort = Sort::take(&mut conditions, keys, selection.cursor.as_ref(), &mut placeholders)?;
        if let Some(more) = &sort.condition {
            condition += &format!(" AND {more}");
        }
        member("KeyConditionExpression", quoted(&condition));
    }
    let mut filter: Vec<String> = Vec::new();
    for condition in conditions {
        filter.push(format!("({})", placeholders.tokens(condition)?));
    }
    let on_sort = |cursor: &&CursorRange| partition.is_some() && is_sort(keys, &cursor.field);
    if let Some(cursor) = selection.cursor.as_ref().filter(|cursor| !on_sort(cursor)) {
        filter.extend(range(cursor, &mut placeholders)?);
    }
    if !filter.is_empty() {
        member("FilterExpression", quoted(&filter.join(" AND ")));
    }
    members += &placeholders.members();
    Ok(Expressions { members, is_query: partition.is_some(), excluded: sort.excluded })
}

fn is_sort(keys: &Keys, name: &str) -> bool {
    keys.sort.as_ref().is_some_and(|sort| &*sort.name == name)
}

/// Where the condition `partition key = value` stands, if a Query can do all the rest: no other condition may name a key,
/// but one that a Query takes for the sort key.
fn query(conditions: &[&[Token]], keys: &Keys, cursor: Option<&CursorRange>) -> Option<usize> {
    let partition = &*keys.partition.name;
    let is_it = |condition: &&[Token]| match condition {
        [Token::Path(path), Token::Sign(sign), Token::Literal(_)] => path == partition && sign == "=",
        _ => false,
    };
    let place = conditions.iter().position(is_it)?;
    let names = |condition: &&[Token], name: &str| {
        condition
            .iter()
            .any(|token| matches!(token, Token::Path(path) if path.split(['.', '[']).next() == Some(name)))
    };
    let others =
        || conditions.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, condition)| condition);
    let on_sort: Vec<&&[Token]> = match &keys.sort {
        Some(sort) => others().filter(|condition| names(condition, &sort.name)).collect(),
        None => Vec::new(),
    };
    let by_cursor = cursor.is_some_and(|cursor| is_sort(keys, &cursor.field));
    let is_possible = !others().any(|condition| names(condition, partition))
        && cursor.is_none_or(|cursor| cursor.field != partition)
        && on_sort.len() + usize::from(by_cursor) <= 1
        && on_sort.iter().all(|condition| is_sort_condition(condition));
    is_possible.then_some(place)
}

/// `sort = v`, `<`, `<=`, `>`, `>=`, `sort BETWEEN a AND b`, `begins_with(sort, v)`.
fn is_sort_condition(condition: &[Token]) -> bool {
    use Token::{Literal, Path, Sign};
    match condition {
        [Path(_), Sign(sign), Literal(_)] => sign != "<>",
        [Path(_), Sign(between), Literal(_), Sign(_), Literal(_)] => between == "BETWEEN",
        [Sign(function), Sign(_), Path(_), Sign(_), Literal(_), Sign(_)] => function == "begins_with",
        _ => false,
    }
}

impl Sort {
    fn take(
        conditions: &mut Vec<&[Token]>,
        keys: &Keys,
        cursor: Option<&CursorRange>,
        placeholders: &mut Placeholders,
    ) -> Result<Self, Error> {
        let Some(sort) = &keys.sort else { return Ok(Self::default()) };
        let on_sort = |condition: &&[Token]| {
            condition.iter().any(|token| matches!(token, Token::Path(path) if *path == *sort.name))
        };
        if let Some(place) = conditions.iter().position(on_sort) {
            let condition = placeholders.tokens(conditions.remove(place))?;
            return Ok(Self { condition: Some(condition), excluded: None });
        }
        let Some(cursor) = cursor.filter(|cursor| cursor.field == *sort.name) else {
            return Ok(Self::default());
        };
        if cursor.from.is_none() && cursor.to.is_none() {
            return Ok(Self::default());
        }
        let name = placeholders.name(&sort.name);
        match (&cursor.from, &cursor.to) {
            (Some(from), Some(to)) => {
                let (low, high) = (placeholders.value(from)?, placeholders.value(to)?);
                let condition = Some(format!("{name} BETWEEN {low} AND {high}"));
                let from = (!cursor.is_from_included).then_some(from);
                let values = from.into_iter().chain([to]).map(types::as_read).collect();
                Ok(Self { condition, excluded: Some((sort.name.clone(), values)) })
            }
            _ => Ok(Self {
                condition: Some(bounds(cursor, &name, placeholders)?.join(" AND ")),
                excluded: None,
            }),
        }
    }
}

fn bounds(cursor: &CursorRange, path: &str, placeholders: &mut Placeholders) -> Result<Vec<String>, Error> {
    let mut bounds = Vec::new();
    if let Some(from) = &cursor.from {
        let sign = if cursor.is_from_included { ">=" } else { ">" };
        bounds.push(format!("{path} {sign} {}", placeholders.value(from)?));
    }
    if let Some(to) = &cursor.to {
        bounds.push(format!("{path} < {}", placeholders.value(to)?));
    }
    Ok(bounds)
}

/// `None`: the range takes every record. A null or a missing attribute is in no comparison.
fn range(cursor: &CursorRange, placeholders: &mut Placeholders) -> Result<Option<String>, Error> {
    if cursor.from.is_none() && cursor.to.is_none() && cursor.takes_missing {
        return Ok(None);
    }
    let path = placeholders.path(&cursor.field);
    let bounds = bounds(cursor, &path, placeholders)?;
    if !bounds.is_empty() && !cursor.takes_missing {
        return Ok(Some(bounds.join(" AND ")));
    }
    let null = placeholders.value(&Value::string("NULL"))?;
    Ok(Some(match bounds.is_empty() {
        true => format!("attribute_exists({path}) AND NOT attribute_type({path}, {null})"),
        false => format!(
            "(attribute_not_exists({path}) OR attribute_type({path}, {null}) OR ({}))",
            bounds.join(" AND ")
        ),
    }))
}

/// The conditions that all have to hold: what stands between the `AND`s outside of brackets. An `OR` or `NOT` there makes
/// all of it one condition.
fn conjuncts(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth, mut in_between) = (Vec::new(), 0, 0, false);
    for (at, token) in tokens.iter().enumerate() {
        let Token::Sign(sign) = token else { continue };
        match sign.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            "OR" | "NOT" if depth == 0 => return vec![tokens],
            "BETWEEN" if depth == 0 => in_between = true,
            "AND" if depth == 0 && in_between => in_between = false,
            "AND" if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let refuse = |rest: &str, reason: &str| Error::Filter {
        text: text.to_owned(),
        rest: rest.chars().take(20).collect(),
        reason: reason.to_owned(),
    };
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\'' | '"' => {
                let end = rest[1..].find(first).ok_or_else(|| refuse(rest, "the text is never closed"))?;
                (Token::Literal(Value::string(&rest[1..=end])), end + 2)
            }
            '(' | ')' | ',' => (Token::Sign(first.to_string()), 1),
            '<' | '>' | '=' => {
                let length = if matches!(rest.get(..2), Some("<=" | ">=" | "<>")) { 2 } else { 1 };
                (Token::Sign(rest[..length].to_owned()), length)
            }
            '#' | ':' => return Err(refuse(rest, "write names and values themselves, not placeholders")),
            '0'..='9' | '-' | '+' | '.' => {
                let length =
                    rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || "+-.".contains(letter)));
                let digits = &rest[..length.unwrap_or(rest.len())];
                match types::number(digits) {
                    Value::Tagged { .. } => return Err(refuse(rest, "this is no number")),
                    number => (Token::Literal(number), digits.len()),
                }
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let length =
                    rest.find(|letter: char| !(letter.is_alphanumeric() || "_-.[]".contains(letter)));
                let (word, behind) = rest.split_at(length.unwrap_or(rest.len()));
                (word_token(word, behind.trim_start().starts_with('(')), word.len())
            }
            _ => return Err(refuse(rest, "nothing of a condition begins so")),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// A function's name is an attribute's where no bracket follows.
fn word_token(word: &str, is_called: bool) -> Token {
    let upper = word.to_ascii_uppercase();
    match upper.as_str() {
        "TRUE" => Token::Literal(Value::Boolean(true)),
        "FALSE" => Token::Literal(Value::Boolean(false)),
        "NULL" => Token::Literal(Value::Null),
        _ if WORDS.contains(&upper.as_str()) => Token::Sign(upper),
        _ if is_called && FUNCTIONS.contains(&word) => Token::Sign(word.to_owned()),
        _ => Token::Path(word.to_owned()),
    }
}
