//! Avro as a recipe: records as the JSON that a load reads, a union's value without its branch's name, moments as their numbers.
//!
//! The text has been parsed before and is known to be good: here it is only read once more, by the names of its types.

use std::collections::HashMap;

use contracts::Referenced;
use serde_json::{Map, Value as Json};

use super::{
    names,
    number::{Decimal, Expected, NumberWish},
    recipe::{Field, List, Node, NodeId, Object, Shape},
    text::{Format, Make, Text, moments_s},
};

const NULL_WEIGHT: u32 = 1;
const WEIGHT: u32 = 8;
/// Entries of a map are named by words.
const ENTRIES_COUNT: usize = 8;
/// Digits behind the point, and digits in all, that JSON's numbers hold without a loss.
const SCALE_MAX: u32 = 15;
const DIGITS_MAX: u32 = 15;

pub(super) struct Reader {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
}

/// The nodes, and which is the whole.
pub(super) fn compile(text: &str, references: &[Referenced]) -> (Vec<Node>, NodeId) {
    let mut reader = Reader { nodes: Vec::new(), names: HashMap::new() };
    for reference in references {
        reader.node(&read(&reference.text), None, "!", "");
    }
    let root = reader.node(&read(text), None, "", "");
    (reader.nodes, root)
}

/// A bare word is a type too.
fn read(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.trim().to_owned()))
}

impl Reader {
    fn add(&mut self, shape: Shape, at: &str) -> NodeId {
        self.nodes.push(Node { shape, at: at.into() });
        self.nodes.len() - 1
    }

    fn node(&mut self, json: &Json, space: Option<&str>, at: &str, name: &str) -> NodeId {
        match json {
            Json::String(word) => self.word(word, &Map::new(), space, at, name),
            Json::Array(branches) => {
                let of = branches.iter().enumerate().map(|(place, branch)| {
                    let is_null = branch.as_str() == Some("null");
                    let node = self.node(branch, space, &format!("{at}/{place}"), name);
                    (if is_null { NULL_WEIGHT } else { WEIGHT }, node)
                });
                let of = of.collect();
                self.add(Shape::Choice(of), at)
            }
            Json::Object(members) => match members.get("type") {
                Some(Json::String(word)) => self.word(word, members, space, at, name),
                Some(inner) => self.node(inner, space, &format!("{at}/type"), name),
                None => self.add(Shape::Impossible("it has no type".to_owned()), at),
            },
            _ => self.add(Shape::Impossible("it is no type".to_owned()), at),
        }
    }

    fn word(
        &mut self,
        word: &str,
        members: &Map<String, Json>,
        space: Option<&str>,
        at: &str,
        name: &str,
    ) -> NodeId {
        let shape = match word {
            "record" | "error" | "enum" | "fixed" => return self.named(word, members, space, at, name),
            "array" => {
                let rest = members
                    .get("items")
                    .map(|items| self.node(items, space, &format!("{at}/items"), singular(name)));
                Shape::List(List::of(rest))
            }
            "map" => {
                let values = members.get("values").unwrap_or(&Json::Null);
                let node = self.node(values, space, &format!("{at}/values"), singular(name));
                map(node, &names::THINGS[..ENTRIES_COUNT])
            }
            primitive => match primitive_shape(primitive, members, name) {
                Some(shape) => shape,
                None => {
                    let known = full_name(word, space);
                    let known = self.names.get(&known).or_else(|| self.names.get(word)).copied();
                    return known.unwrap_or_else(|| {
                        self.add(Shape::Impossible(format!("there is no type {word}")), at)
                    });
                }
            },
        };
        self.add(shape, at)
    }

    /// A type with a name of its own, which what lies in it may refer to.
    fn named(
        &mut self,
        word: &str,
        members: &Map<String, Json>,
        space: Option<&str>,
        at: &str,
        name: &str,
    ) -> NodeId {
        let given = members.get("name").and_then(Json::as_str).unwrap_or("");
        let own = members.get("namespace").and_then(Json::as_str).or(space).filter(|space| !space.is_empty());
        let full = full_name(given, own);
        let inner = full.rsplit_once('.').map(|(space, _)| space.to_owned());
        let node = self.add(Shape::Open, at);
        self.names.insert(full, node);
        let shape = match word {
            "enum" => {
                let symbols = members.get("symbols").and_then(Json::as_array);
                Shape::Known(
                    symbols.into_iter().flatten().map(|one| one.to_string().into_bytes().into()).collect(),
                )
            }
            "fixed" => {
                let size =
                    members.get("size").and_then(Json::as_u64).and_then(|size| usize::try_from(size).ok());
                let decimal = is_logical(members, "decimal").then(|| decimal(members, size, name));
                decimal.unwrap_or_else(|| Shape::Text(Box::new(Text::of(Make::Exactly(size.unwrap_or(0))))))
            }
            _ => {
                let fields = members.get("fields").and_then(Json::as_array).into_iter().flatten().enumerate();
                let fields = fields.map(|(place, field)| {
                    let name = field.get("name").and_then(Json::as_str).unwrap_or("");
                    let kind = field.get("type").unwrap_or(&Json::Null);
                    // Some write a logical type beside the type and not within it; it means nothing there.
                    let at = format!("{at}/fields/{place}/type");
                    Field::new(name, self.node(kind, inner.as_deref(), &at, name), true)
                });
                let fields = fields.collect();
                Shape::Object(Object {
                    fields,
                    extras: Vec::new(),
                    is_map: false,
                    count_min: 0,
                    count_max: usize::MAX,
                    needs: Vec::new(),
                })
            }
        };
        self.nodes[node].shape = shape;
        node
    }
}

/// An object whose entries are all alike.
pub(super) fn map(node: NodeId, names: &[&str]) -> Shape {
    let extras = names.iter().map(|name| Field::new(name, node, false)).collect();
    Shape::Object(Object {
        fields: Vec::new(),
        extras,
        is_map: true,
        count_min: 0,
        count_max: usize::MAX,
        needs: Vec::new(),
    })
}

fn singular(name: &str) -> &str {
    name.strip_suffix('s').unwrap_or(name)
}

fn full_name(name: &str, space: Option<&str>) -> String {
    match space {
        Some(space) if !name.contains('.') && !space.is_empty() => format!("{space}.{name}"),
        _ => name.to_owned(),
    }
}

fn is_logical(members: &Map<String, Json>, name: &str) -> bool {
    members.get("logicalType").and_then(Json::as_str) == Some(name)
}

fn primitive_shape(word: &str, members: &Map<String, Json>, name: &str) -> Option<Shape> {
    let logical = members.get("logicalType").and_then(Json::as_str);
    let (first_s, last_s) = moments_s();
    let moments = |per_second: i64| whole(first_s * per_second, last_s * per_second);
    Some(match (word, logical) {
        ("null", _) => Shape::Known(vec![b"null".to_vec().into()]),
        ("boolean", _) => Shape::Boolean,
        ("int", Some("date")) => whole(first_s / 86_400, last_s / 86_400),
        ("int", Some("time-millis")) => whole(0, 86_399_999),
        ("long", Some("time-micros")) => whole(0, 86_399_999_999),
        ("long", Some("timestamp-millis" | "local-timestamp-millis")) => moments(1_000),
        ("long", Some("timestamp-micros" | "local-timestamp-micros")) => moments(1_000_000),
        ("long", Some("timestamp-nanos" | "local-timestamp-nanos")) => moments(1_000_000_000),
        ("int", _) => integer(name, i32::MIN.into(), i32::MAX.into()),
        ("long", _) => integer(name, i64::MIN, i64::MAX),
        ("float" | "double", _) => number(&NumberWish::default(), names::expected(name, false)),
        ("string", Some("uuid")) => Shape::Text(Box::new(Text::of(Make::Format(Format::Uuid)))),
        ("string", _) => word_text(name),
        ("bytes", Some("decimal")) => decimal(members, None, name),
        ("bytes", _) => Shape::Text(Box::new(Text::of(Make::Letters))),
        _ => return None,
    })
}

pub(super) fn word_text(name: &str) -> Shape {
    Shape::Text(Box::new(Text::of(names::word(name).map_or(Make::Letters, Make::Word))))
}

pub(super) fn number(wish: &NumberWish, expected: Expected) -> Shape {
    match wish.number(expected) {
        Ok(number) => Shape::Number(number),
        Err(reason) => Shape::Impossible(reason),
    }
}

fn whole(first: i64, last: i64) -> Shape {
    let mut wish = NumberWish { is_whole: true, ..NumberWish::default() };
    wish.at_least(Decimal::whole(first.into()), false);
    wish.at_most(Decimal::whole(last.into()), false);
    number(&wish, Expected::Nothing)
}

/// A whole number of so many bits: as its name says, as far as that fits.
pub(super) fn integer(name: &str, min: i64, max: i64) -> Shape {
    let mut wish = NumberWish { is_whole: true, ..NumberWish::default() };
    let expected = match names::expected(name, true) {
        Expected::Between(first, last, _) if first < min || last > max => Expected::Nothing,
        Expected::Counted => {
            wish.at_most(Decimal::whole(max.into()), false);
            wish.at_least(Decimal::whole(0), false);
            Expected::Counted
        }
        expected => expected,
    };
    number(&wish, expected)
}

/// As a number, of so few digits that JSON holds it as it is.
fn decimal(members: &Map<String, Json>, size: Option<usize>, name: &str) -> Shape {
    let digits =
        |word: &str| members.get(word).and_then(Json::as_u64).and_then(|count| u32::try_from(count).ok());
    let scale = digits("scale").unwrap_or(0);
    // Two's complement of so many bytes holds at least so many digits.
    let room = size.map_or(DIGITS_MAX, |bytes| {
        u32::try_from(bytes.saturating_mul(8).saturating_sub(1) * 3 / 10).unwrap_or(DIGITS_MAX)
    });
    let precision = digits("precision").unwrap_or(DIGITS_MAX).min(DIGITS_MAX).min(room);
    if scale > SCALE_MAX {
        return Shape::Unsupported(format!(
            "a decimal of scale {scale} has more digits than JSON's numbers hold"
        ));
    }
    let step = Decimal { units: 1, scale };
    let most = Decimal { units: 10i128.pow(precision) - 1, scale };
    let mut wish = NumberWish { is_whole: scale == 0, steps: vec![step], ..NumberWish::default() };
    wish.at_most(most, false);
    number(&wish, names::expected(name, scale == 0))
}
