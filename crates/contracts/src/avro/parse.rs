//! JSON text to Avro nodes, by the Avro 1.12 specification, "Schema Declaration"; an error names the place.

use std::collections::HashMap;

use base::ContractKind;
use serde_json::{Map, Value as Json};

use super::{Avro, AvroField, Name, Node, NodeId, Shape};
use crate::{Error, Referenced, place, read_json};

/// Deeper nesting than any schema of use; it bounds the recursion below.
const DEPTH_MAX: usize = 64;
/// Types in one schema.
const NODES_COUNT_MAX: usize = 100_000;
const SCHEMA_WORDS: [&str; 9] =
    ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type"];
const FIELD_WORDS: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

/// What is wrong, and the pointer to it.
struct Fail {
    at: Vec<String>,
    reason: String,
}

struct Parser {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
    at: Vec<String>,
}

impl Avro {
    /// Parses and checks; `path` is what an error calls the text.
    pub fn parse(path: &str, text: &str) -> Result<Self, Error> {
        Self::parse_with(path, text, &[])
    }

    /// The same for a schema that uses the named types of others, each of which comes after those that it needs.
    pub fn parse_with(path: &str, text: &str, references: &[Referenced]) -> Result<Self, Error> {
        let mut parser = Parser { nodes: Vec::new(), names: HashMap::new(), at: Vec::new() };
        for reference in references {
            parser.root(&reference.name, &reference.text)?;
        }
        let own_from = parser.nodes.len();
        let root = parser.root(path, text)?;
        Ok(Avro { nodes: parser.nodes, root, own_from })
    }
}

impl Parser {
    fn root(&mut self, path: &str, text: &str) -> Result<NodeId, Error> {
        // A bare word is what people write for a primitive, and what Java prints and takes.
        let bare = text.trim();
        let json = match bare.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !bare.is_empty() {
            true => Json::String(bare.to_owned()),
            false => read_json(path, text)?,
        };
        self.node(&json, None).map_err(|Fail { at, reason }| Error::Invalid {
            kind: ContractKind::Avro,
            path: path.into(),
            spot: Box::new(place::spot(path, text, &at, "here")),
            reason,
        })
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, Fail> {
        Err(Fail { at: self.at.clone(), reason: reason.into() })
    }

    /// Runs `read` with `steps` added to the place.
    fn within<T>(
        &mut self,
        steps: &[&str],
        read: impl FnOnce(&mut Self) -> Result<T, Fail>,
    ) -> Result<T, Fail> {
        let depth = self.at.len();
        self.at.extend(steps.iter().map(|step| (*step).to_owned()));
        let result = read(self);
        self.at.truncate(depth);
        result
    }

    fn add(&mut self, shape: Shape, attributes: Map<String, Json>) -> Result<NodeId, Fail> {
        if self.nodes.len() >= NODES_COUNT_MAX {
            return self.fail(format!("more than {NODES_COUNT_MAX} types"));
        }
        self.nodes.push(Node { shape, attributes });
        Ok(self.nodes.len() - 1)
    }

    fn node(&mut self, json: &Json, space: Option<&str>) -> Result<NodeId, Fail> {
        if self.at.len() > DEPTH_MAX * 3 {
            return self.fail(format!("nested deeper than {DEPTH_MAX} types"));
        }
        match json {
            Json::String(word) => self.word(word, space, Map::new()),
            Json::Array(branches) => self.union(branches, space),
            Json::Object(object) => self.object(object, space),
            _ => self.fail("expected a type: a name, an object or an array of types"),
        }
    }

    fn word(
        &mut self,
        word: &str,
        space: Option<&str>,
        attributes: Map<String, Json>,
    ) -> Result<NodeId, Fail> {
        if let Some(shape) = primitive(word) {
            return self.add(shape, attributes);
        }
        let qualified = match (word.contains('.'), space) {
            (false, Some(space)) => format!("{space}.{word}"),
            _ => word.to_owned(),
        };
        match self.names.get(&qualified).or_else(|| self.names.get(word)) {
            Some(id) => Ok(*id),
            None => {
                let reason = match strange_word(word) {
                    Some(meant) => format!("no type is named {word:?}; Avro calls it {meant:?}"),
                    None => format!("no type is named {word:?}"),
                };
                self.fail(reason)
            }
        }
    }

    fn union(&mut self, branches: &[Json], space: Option<&str>) -> Result<NodeId, Fail> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let id = self.within(&[&index.to_string()], |parser| {
                let id = parser.node(branch, space)?;
                let shape = &parser.nodes[id].shape;
                if matches!(shape, Shape::Union(_)) {
                    return parser.fail("a union may not hold another union");
                }
                let word = shape.name().map_or_else(|| shape.word().to_owned(), Name::full);
                if seen.contains(&word) {
                    return parser.fail(format!("the union holds {word} twice"));
                }
                seen.push(word);
                Ok(id)
            })?;
            ids.push(id);
        }
        self.add(Shape::Union(ids), Map::new())
    }

    fn object(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<NodeId, Fail> {
        let attributes = |named: bool, is_enum: bool| -> Map<String, Json> {
            let reserved = |key: &str| {
                SCHEMA_WORDS.contains(&key) || (named && key == "aliases") || (is_enum && key == "default")
            };
            object
                .iter()
                .filter(|(key, _)| !reserved(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        match object.get("type") {
            Some(Json::String(word)) => match word.as_str() {
                "record" | "error" => self.record(object, space, attributes(true, false), word == "error"),
                "enum" => self.enumeration(object, space, attributes(true, true)),
                "fixed" => self.fixed(object, space, attributes(true, false)),
                "array" => {
                    let Some(items) = object.get("items") else {
                        return self.fail("an array needs \"items\"");
                    };
                    let items = self.within(&["items"], |parser| parser.node(items, space))?;
                    self.add(Shape::Array(items), attributes(false, false))
                }
                "map" => {
                    let Some(values) = object.get("values") else {
                        return self.fail("a map needs \"values\"");
                    };
                    let values = self.within(&["values"], |parser| parser.node(values, space))?;
                    self.add(Shape::Map(values), attributes(false, false))
                }
                word => self.within(&["type"], |parser| parser.word(word, space, attributes(false, false))),
            },
            Some(nested @ (Json::Object(_) | Json::Array(_))) => {
                self.within(&["type"], |parser| parser.node(nested, space))
            }
            Some(_) => {
                self.within(&["type"], |parser| parser.fail("expected a type: a name, an object or an array"))
            }
            None => self.fail("an object without \"type\" is no type"),
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Json>,
        space: Option<&str>,
        attributes: Map<String, Json>,
        is_error: bool,
    ) -> Result<NodeId, Fail> {
        let name = self.name(object, space)?;
        let (doc, aliases) = (text(object, "doc"), self.aliases(object)?);
        let inner = name.space.clone();
        let shape = Shape::Record { name: name.clone(), doc, aliases, fields: Vec::new(), is_error };
        // Its name is known before its fields are read: they may refer to it.
        let id = self.declare(&name, shape, attributes)?;
        let Some(Json::Array(list)) = object.get("fields") else {
            return self.fail("a record needs \"fields\": an array");
        };
        let mut read: Vec<AvroField> = Vec::with_capacity(list.len());
        for (index, field) in list.iter().enumerate() {
            let field = self.within(&["fields", &index.to_string()], |parser| {
                let field = parser.field(field, inner.as_deref())?;
                if read.iter().any(|earlier| earlier.name == field.name) {
                    return parser.fail(format!("the record has two fields named {:?}", field.name));
                }
                Ok(field)
            })?;
            read.push(field);
        }
        if let Shape::Record { fields, .. } = &mut self.nodes[id].shape {
            *fields = read;
        }
        Ok(id)
    }

    fn field(&mut self, json: &Json, space: Option<&str>) -> Result<AvroField, Fail> {
        let Json::Object(object) = json else {
            return self.fail("a field is an object with \"name\" and \"type\"");
        };
        let Some(name) = text(object, "name") else { return self.fail("a field needs a \"name\"") };
        if !is_name(&name) {
            return self.within(&["name"], |parser| parser.fail(bad_name(&name)));
        }
        let Some(kind) = object.get("type") else {
            return self.fail(format!("field {name:?} needs a \"type\""));
        };
        let node = self.within(&["type"], |parser| parser.node(kind, space))?;
        let default = object.get("default").cloned();
        if let Some(default) = &default
            && !self.fits(node, default, 0)
        {
            let word = self.nodes[node].shape.word();
            let reason = format!("the default of field {name:?} is no {word}");
            return self.within(&["default"], |parser| parser.fail(reason));
        }
        let attributes = object.iter().filter(|(key, _)| !FIELD_WORDS.contains(&key.as_str()));
        Ok(AvroField {
            node,
            default,
            doc: text(object, "doc"),
            order: text(object, "order").map(|order| order.to_ascii_lowercase()),
            aliases: self.aliases(object)?,
            attributes: attributes.map(|(key, value)| (key.clone(), value.clone())).collect(),
            name,
        })
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Json>,
        space: Option<&str>,
        attributes: Map<String, Json>,
    ) -> Result<NodeId, Fail> {
        let name = self.name(object, space)?;
        let Some(Json::Array(list)) = object.get("symbols") else {
            return self.fail("an enum needs \"symbols\": an array of names");
        };
        let mut symbols = Vec::with_capacity(list.len());
        for (index, symbol) in list.iter().enumerate() {
            let symbol = symbol.as_str().unwrap_or_default().to_owned();
            let twice = symbols.contains(&symbol);
            if !is_name(&symbol) || twice {
                let reason = if twice { format!("symbol {symbol:?} comes twice") } else { bad_name(&symbol) };
                return self.within(&["symbols", &index.to_string()], |parser| parser.fail(reason));
            }
            symbols.push(symbol);
        }
        let default = text(object, "default");
        if let Some(default) = &default
            && !symbols.contains(default)
        {
            let reason = format!("the default {default:?} is none of the symbols");
            return self.within(&["default"], |parser| parser.fail(reason));
        }
        let (doc, aliases) = (text(object, "doc"), self.aliases(object)?);
        self.declare(&name.clone(), Shape::Enum { name, doc, aliases, symbols, default }, attributes)
    }

    fn fixed(
        &mut self,
        object: &Map<String, Json>,
        space: Option<&str>,
        attributes: Map<String, Json>,
    ) -> Result<NodeId, Fail> {
        let name = self.name(object, space)?;
        let size = object.get("size").and_then(Json::as_u64).filter(|size| *size <= i32::MAX as u64);
        let Some(size) = size else { return self.fail("a fixed needs a \"size\": bytes, a whole number") };
        let (doc, aliases) = (text(object, "doc"), self.aliases(object)?);
        self.declare(&name.clone(), Shape::Fixed { name, doc, aliases, size: size as usize }, attributes)
    }

    fn declare(&mut self, name: &Name, shape: Shape, attributes: Map<String, Json>) -> Result<NodeId, Fail> {
        if self.names.contains_key(&name.full()) {
            return self
                .within(&["name"], |parser| parser.fail(format!("{} is declared twice", name.full())));
        }
        let id = self.add(shape, attributes)?;
        self.names.insert(name.full(), id);
        Ok(id)
    }

    fn name(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<Name, Fail> {
        let Some(given) = text(object, "name") else {
            return self.fail("a record, enum or fixed needs a \"name\"");
        };
        let (space, name) = match given.rsplit_once('.') {
            Some((space, name)) => (Some(space.to_owned()), name.to_owned()),
            None => (text(object, "namespace").or_else(|| space.map(str::to_owned)), given.clone()),
        };
        let space = space.filter(|space| !space.is_empty());
        let bad = !is_name(&name) || space.as_deref().is_some_and(|space| !space.split('.').all(is_name));
        if bad || primitive(&name).is_some() {
            return self.within(&["name"], |parser| parser.fail(bad_name(&given)));
        }
        Ok(Name { name, space })
    }

    fn aliases(&mut self, object: &Map<String, Json>) -> Result<Vec<String>, Fail> {
        match object.get("aliases") {
            None => Ok(Vec::new()),
            Some(Json::Array(list)) if list.iter().all(Json::is_string) => {
                Ok(list.iter().filter_map(|alias| alias.as_str().map(str::to_owned)).collect())
            }
            Some(_) => self.within(&["aliases"], |parser| parser.fail("aliases are an array of names")),
        }
    }

    /// Whether a default may stand for the type. A union's default may be of any branch (Avro 1.12).
    fn fits(&self, id: NodeId, value: &Json, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        let whole = |min: i64, max: i64| value.as_i64().is_some_and(|number| (min..=max).contains(&number));
        match &self.nodes[id].shape {
            Shape::Null => value.is_null(),
            Shape::Boolean => value.is_boolean(),
            Shape::Int => whole(i32::MIN.into(), i32::MAX.into()),
            Shape::Long => whole(i64::MIN, i64::MAX),
            Shape::Float | Shape::Double => value.is_number(),
            Shape::Bytes | Shape::String | Shape::Fixed { .. } => value.is_string(),
            Shape::Enum { symbols, .. } => {
                value.as_str().is_some_and(|text| symbols.iter().any(|s| s == text))
            }
            Shape::Array(items) => value
                .as_array()
                .is_some_and(|list| list.iter().all(|item| self.fits(*items, item, depth + 1))),
            Shape::Map(values) => value
                .as_object()
                .is_some_and(|map| map.values().all(|item| self.fits(*values, item, depth + 1))),
            Shape::Union(branches) => branches.iter().any(|branch| self.fits(*branch, value, depth + 1)),
            Shape::Record { fields, .. } => value.as_object().is_some_and(|object| {
                fields.iter().all(|field| {
                    let given = object.get(&field.name).or(field.default.as_ref());
                    given.is_some_and(|given| self.fits(field.node, given, depth + 1))
                })
            }),
        }
    }
}

fn text(object: &Map<String, Json>, key: &str) -> Option<String> {
    object.get(key).and_then(Json::as_str).map(str::to_owned)
}

pub(crate) fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
}

fn bad_name(name: &str) -> String {
    format!("{name:?} is no name: letters, digits and _ only, no digit first, and no primitive's")
}

pub(super) fn primitive(word: &str) -> Option<Shape> {
    Some(match word {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}

/// What people write for a primitive when they come from JSON Schema, SQL or Java.
fn strange_word(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "integer" | "int32" => "int",
        "int64" | "bigint" => "long",
        "bool" => "boolean",
        "str" | "text" | "varchar" => "string",
        "number" | "float64" => "double",
        "float32" => "float",
        "object" | "struct" => "record",
        _ => return None,
    })
}
