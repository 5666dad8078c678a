//! A YAML or JSON document as values, each with the bytes it stands at; for files that hold connections and variables.
//!
//! Plain words mean what they mean to Airflow's YAML reader (YAML 1.1): `yes` is true. A number keeps the text it was typed as.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::Value;

use crate::{origin::TextFile, yaml::Offsets};

pub(crate) struct Node {
    pub span: (usize, usize),
    pub data: Data,
}

pub(crate) enum Data {
    Null,
    Boolean(bool),
    Number { number: serde_json::Number, typed: String },
    Text(String),
    List(Vec<Node>),
    Map(Vec<Field>),
}

pub(crate) struct Field {
    pub name: String,
    pub name_span: (usize, usize),
    pub value: Node,
}

/// Where a document breaks its format, and how.
pub(crate) struct Broken {
    pub start: usize,
    pub reason: String,
}

/// Far deeper than what people write, far less than what ends a thread's stack.
const DEPTH_MAX: usize = 64;

/// The one document of a YAML file; `None` where it is empty.
pub(crate) fn yaml(file: &TextFile) -> Result<Option<Node>, Broken> {
    let offsets = Offsets::of(&file.text);
    let documents = MarkedYaml::load_from_str(&file.text).map_err(|error| Broken {
        start: offsets.byte(error.marker().index()),
        reason: error.info().to_owned(),
    })?;
    if let Some(second) = documents.get(1) {
        let start = offsets.byte(second.span.start.index());
        return Err(Broken { start, reason: "a second document".to_owned() });
    }
    let walk = Walk { text: &file.text, offsets: &offsets };
    documents.first().map(|document| walk.node(document, 0)).transpose()
}

/// A JSON file: serde's values, with the places that the YAML reader sees, as JSON is YAML. Where the two do not agree,
/// values have no place of their own.
pub(crate) fn json(file: &TextFile) -> Result<Node, Broken> {
    let value: Value = serde_json::from_str(&file.text).map_err(|error| {
        let lines = file.text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let start = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let reason = error.to_string();
        Broken { start, reason: reason.split(" at line ").next().unwrap_or(&reason).to_owned() }
    })?;
    let places = yaml(file).ok().flatten();
    Ok(Node::of(value, places.as_ref()))
}

impl Node {
    fn of(value: Value, place: Option<&Node>) -> Node {
        let span = place.map_or((0, 1), |node| node.span);
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Boolean(value),
            Value::Number(number) => Data::Number { typed: number.to_string(), number },
            Value::String(text) => Data::Text(text),
            Value::Array(items) => {
                let places = match place.map(|node| &node.data) {
                    Some(Data::List(nodes)) => nodes.as_slice(),
                    _ => &[],
                };
                let of = |(row, item)| Node::of(item, places.get(row));
                Data::List(items.into_iter().enumerate().map(of).collect())
            }
            Value::Object(entries) => {
                let places = match place.map(|node| &node.data) {
                    Some(Data::Map(fields)) => fields.as_slice(),
                    _ => &[],
                };
                let of = |(name, value)| {
                    let place = places.iter().find(|field| field.name == name);
                    let name_span = place.map_or((0, 1), |field| field.name_span);
                    Field { value: Node::of(value, place.map(|field| &field.value)), name, name_span }
                };
                Data::Map(entries.into_iter().map(of).collect())
            }
        };
        Node { span, data }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Boolean(value) => Value::Bool(*value),
            Data::Number { number, .. } => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Data::Map(fields) => Value::Object(
                fields.iter().map(|field| (field.name.clone(), field.value.to_json())).collect(),
            ),
        }
    }
}

struct Walk<'a> {
    text: &'a str,
    offsets: &'a Offsets,
}

impl Walk<'_> {
    fn node(&self, node: &MarkedYaml<'_>, depth: usize) -> Result<Node, Broken> {
        let span = self.span(node);
        if depth >= DEPTH_MAX {
            return Err(Broken { start: span.0, reason: "nested too deeply".to_owned() });
        }
        let data = match &node.data {
            YamlData::Value(scalar) => self.scalar(scalar, span),
            YamlData::Sequence(items) => {
                Data::List(items.iter().map(|item| self.node(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(map) => {
                let mut fields = Vec::with_capacity(map.len());
                for (name, value) in map {
                    let name_span = self.span(name);
                    let name = match self.node(name, depth + 1)?.data {
                        Data::Text(text) | Data::Number { typed: text, .. } => text,
                        Data::Null | Data::Boolean(_) | Data::List(_) | Data::Map(_) => {
                            let reason = "a key is a plain word".to_owned();
                            return Err(Broken { start: name_span.0, reason });
                        }
                    };
                    fields.push(Field { name, name_span, value: self.node(value, depth + 1)? });
                }
                Data::Map(fields)
            }
            _ => return Err(Broken { start: span.0, reason: "tags and aliases are not taken".to_owned() }),
        };
        Ok(Node { span, data })
    }

    fn scalar(&self, scalar: &Scalar<'_>, (start, length): (usize, usize)) -> Data {
        let typed = self.text.get(start..start + length).unwrap_or_default().trim();
        match scalar {
            Scalar::Null => Data::Null,
            Scalar::Boolean(value) => Data::Boolean(*value),
            Scalar::Integer(value) => Data::Number { number: (*value).into(), typed: typed.to_owned() },
            Scalar::FloatingPoint(value) => match serde_json::Number::from_f64(value.into_inner()) {
                Some(number) => Data::Number { number, typed: typed.to_owned() },
                None => Data::Text(typed.to_owned()),
            },
            Scalar::String(text) if text == typed => match typed {
                "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Data::Boolean(true),
                "no" | "No" | "NO" | "off" | "Off" | "OFF" => Data::Boolean(false),
                _ => Data::Text(text.to_string()),
            },
            Scalar::String(text) => Data::Text(text.to_string()),
        }
    }

    fn span(&self, node: &MarkedYaml<'_>) -> (usize, usize) {
        let start = self.offsets.byte(node.span.start.index());
        let end = self.offsets.byte(node.span.end.index());
        (start, end.saturating_sub(start))
    }
}
