//! YAML as a tree whose every key and value knows the bytes it stands at.

use project::{Error as ProjectError, TextFile};
use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

/// Bytes `start..start + length` of the file.
pub(crate) type Span = (usize, usize);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What a person writes is far flatter.
const DEPTH_MAX: usize = 12;

/// The one document of a file.
///
/// # Errors
/// `project::Error::Yaml`, with the place.
pub(crate) fn parse(file: &TextFile) -> Result<Node, ProjectError> {
    let walk = Walk { file, offsets: offsets(&file.text) };
    let documents = MarkedYaml::load_from_str(&file.text)
        .map_err(|error| walk.refuse(walk.byte(error.marker().index()), error.info()))?;
    if let Some(second) = documents.get(1) {
        return Err(walk.refuse(walk.byte(second.span.start.index()), "a second document"));
    }
    match documents.first() {
        Some(document) => walk.node(document, 0),
        None => Ok(Node { span: (0, 0), data: Data::Null }),
    }
}

struct Walk<'a> {
    file: &'a TextFile,
    /// Character positions, which the parser counts, as bytes, which everything else does.
    offsets: Vec<usize>,
}

fn offsets(text: &str) -> Vec<usize> {
    let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
    bytes.push(text.len());
    bytes
}

impl Walk<'_> {
    fn byte(&self, character: usize) -> usize {
        self.offsets[character.min(self.offsets.len() - 1)]
    }

    fn span(&self, node: &MarkedYaml<'_>) -> Span {
        let (start, end) = (self.byte(node.span.start.index()), self.byte(node.span.end.index()));
        (start, end.saturating_sub(start))
    }

    fn refuse(&self, start: usize, reason: &str) -> ProjectError {
        ProjectError::Yaml { file: self.file.clone(), start, reason: reason.to_owned() }
    }

    fn node(&self, node: &MarkedYaml<'_>, depth: usize) -> Result<Node, ProjectError> {
        let span = self.span(node);
        if depth > DEPTH_MAX {
            return Err(self.refuse(span.0, "nested too deeply"));
        }
        let data = match &node.data {
            YamlData::Value(Scalar::Null) => Data::Null,
            YamlData::Value(Scalar::Boolean(value)) => Data::Boolean(*value),
            YamlData::Value(Scalar::Integer(value)) => Data::Integer(*value),
            YamlData::Value(Scalar::FloatingPoint(value)) => Data::Float(value.into_inner()),
            YamlData::Value(Scalar::String(text)) => Data::Text(text.to_string()),
            YamlData::Sequence(items) => {
                Data::List(items.iter().map(|item| self.node(item, depth + 1)).collect::<Result<_, _>>()?)
            }
            YamlData::Mapping(map) => {
                let mut entries = Vec::with_capacity(map.len());
                for (name, value) in map {
                    let key = match &name.data {
                        YamlData::Value(Scalar::String(text)) => text.to_string(),
                        YamlData::Value(Scalar::Integer(number)) => number.to_string(),
                        YamlData::Value(Scalar::Boolean(value)) => value.to_string(),
                        _ => return Err(self.refuse(self.span(name).0, "a key is a plain word")),
                    };
                    let value = self.node(value, depth + 1)?;
                    entries.push(Entry { key, key_span: self.span(name), value });
                }
                Data::Map(entries)
            }
            _ => return Err(self.refuse(span.0, "tags and aliases are not taken")),
        };
        Ok(Node { span, data })
    }
}
