//! Avro's JSON encoding, there and back: the value of a union stands under its branch's name, bytes are letters of their
//! numbers, and a logical type is the plain one below it. Confluent's REST proxy shows records so.
//!
//! Source: Avro 1.12 specification, "JSON Encoding". What is missing in a record takes its default.

use serde_json::{Map, Value as Json};

use super::{
    Avro, AvroField, NodeId, Shape,
    decode::{Input, Wrong, decoded},
    encode::long,
};
use crate::{Error, Violation, errors::shorten};

/// A schema may refer to itself, and then only the bytes say how deep it goes.
const DEPTH_MAX: usize = 128;

/// How unions are told: with the name of the branch, or, in defaults, without.
#[derive(Clone, Copy, PartialEq)]
enum Unions {
    Named,
    Bare,
}

impl Avro {
    /// Appends the record's bytes; on a violation `out` is as before.
    pub fn write_json(&self, json: &Json, out: &mut Vec<u8>) -> Result<(), Violation> {
        let before = out.len();
        self.write(self.root, json, Unions::Named, out).inspect_err(|_| out.truncate(before))
    }

    /// A record's bytes as JSON; all of them must be used.
    pub fn read_json(&self, bytes: &[u8]) -> Result<Json, Error> {
        decoded(bytes, |input| self.read(self.root, input, 0))
    }

    /// The name of the record that it describes, in full; the word of any other type.
    pub fn record_name(&self) -> String {
        let shape = self.shape(self.root);
        shape.name().map_or_else(|| shape.word().to_owned(), super::Name::full)
    }

    /// What a union calls a branch.
    fn branch(&self, id: NodeId) -> String {
        let shape = self.shape(id);
        shape.name().map_or_else(|| shape.word().to_owned(), super::Name::full)
    }

    fn write(&self, id: NodeId, json: &Json, unions: Unions, out: &mut Vec<u8>) -> Result<(), Violation> {
        let shape = self.shape(id);
        let refused = || refuse(&self.expected(shape), json);
        match (shape, json) {
            (Shape::Null, Json::Null) => {}
            (Shape::Boolean, Json::Bool(flag)) => out.push((*flag).into()),
            (Shape::Int, Json::Number(number)) => {
                let number = number.as_i64().and_then(|number| i32::try_from(number).ok());
                long(number.ok_or_else(refused)?.into(), out);
            }
            (Shape::Long, Json::Number(number)) => long(number.as_i64().ok_or_else(refused)?, out),
            (Shape::Float, json) => {
                out.extend_from_slice(&(float(json).ok_or_else(refused)? as f32).to_le_bytes());
            }
            (Shape::Double, json) => out.extend_from_slice(&float(json).ok_or_else(refused)?.to_le_bytes()),
            (Shape::String, Json::String(text)) => sized(text.as_bytes(), out),
            (Shape::Bytes, Json::String(text)) => sized(&letters(text).ok_or_else(refused)?, out),
            (Shape::Fixed { size, .. }, Json::String(text)) => {
                let bytes = letters(text).filter(|bytes| bytes.len() == *size);
                out.extend_from_slice(&bytes.ok_or_else(refused)?);
            }
            (Shape::Enum { symbols, .. }, Json::String(text)) => {
                let index = symbols.iter().position(|symbol| symbol == text).ok_or_else(refused)?;
                long(index as i64, out);
            }
            (Shape::Array(items), Json::Array(list)) => {
                block(list.len(), out);
                for (index, item) in list.iter().enumerate() {
                    let written = self.write(*items, item, unions, out);
                    written.map_err(|violation| within(&format!("[{index}]"), violation))?;
                }
                out.push(0);
            }
            (Shape::Map(values), Json::Object(members)) => {
                block(members.len(), out);
                for (key, value) in members {
                    sized(key.as_bytes(), out);
                    let written = self.write(*values, value, unions, out);
                    written.map_err(|violation| within(key, violation))?;
                }
                out.push(0);
            }
            (Shape::Record { fields, .. }, Json::Object(members)) => {
                self.write_record(fields, members, unions, out)?;
            }
            (Shape::Union(branches), json) => self.write_union(branches, json, unions, out)?,
            _ => return Err(refused()),
        }
        Ok(())
    }

    fn write_record(
        &self,
        fields: &[AvroField],
        members: &Map<String, Json>,
        unions: Unions,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        for field in fields {
            let written = match (members.get(&field.name), &field.default) {
                (Some(json), _) => self.write(field.node, json, unions, out),
                (None, Some(default)) => self.write(field.node, default, Unions::Bare, out),
                (None, None) => {
                    let expected = self.expected(self.shape(field.node));
                    Err(Violation { field: String::new(), expected, found: "nothing".to_owned() })
                }
            };
            written.map_err(|violation| within(&field.name, violation))?;
        }
        match members.keys().find(|key| !fields.iter().any(|field| field.name == **key)) {
            Some(unknown) => {
                let expected = "no field of that name".to_owned();
                let found = shorten(&members[unknown].to_string(), 60);
                Err(Violation { field: unknown.clone(), expected, found })
            }
            None => Ok(()),
        }
    }

    fn write_union(
        &self,
        branches: &[NodeId],
        json: &Json,
        unions: Unions,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let refused = || refuse(&self.expected(&Shape::Union(branches.to_vec())), json);
        if unions == Unions::Bare {
            let before = out.len();
            for (index, branch) in branches.iter().enumerate() {
                long(index as i64, out);
                if self.write(*branch, json, unions, out).is_ok() {
                    return Ok(());
                }
                out.truncate(before);
            }
            return Err(refused());
        }
        let (name, inner) = match json {
            Json::Null => ("null", json),
            Json::Object(members) if members.len() == 1 => {
                let (name, inner) = members.iter().next().ok_or_else(refused)?;
                (name.as_str(), inner)
            }
            _ => return Err(refused()),
        };
        let index = branches.iter().position(|branch| self.branch(*branch) == name).ok_or_else(refused)?;
        long(index as i64, out);
        self.write(branches[index], inner, unions, out).map_err(|violation| within(name, violation))
    }

    fn expected(&self, shape: &Shape) -> String {
        match shape {
            Shape::Fixed { size, .. } => format!("a text of {size} letters below 256"),
            Shape::Bytes => "a text of letters below 256".to_owned(),
            Shape::Enum { symbols, .. } => format!("one of {}", shorten(&symbols.join(", "), 120)),
            Shape::Array(_) => "an array".to_owned(),
            Shape::Map(_) | Shape::Record { .. } => format!("an object ({})", shape.word()),
            Shape::Union(branches) => {
                let names = branches.iter().map(|branch| match self.branch(*branch) {
                    name if name == "null" => name,
                    name => format!("{{\"{name}\": …}}"),
                });
                shorten(&names.collect::<Vec<_>>().join(" or "), 160)
            }
            other => other.word().to_owned(),
        }
    }

    fn read(&self, id: NodeId, input: &mut Input<'_>, depth: usize) -> Result<Json, Wrong> {
        if depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels").into());
        }
        Ok(match self.shape(id) {
            Shape::Null => Json::Null,
            Shape::Boolean => match input.take(1)?[0] {
                0 => Json::Bool(false),
                1 => Json::Bool(true),
                other => return Err(format!("a boolean is 0 or 1, not {other}").into()),
            },
            Shape::Int => input.int()?.into(),
            Shape::Long => input.long()?.into(),
            Shape::Float => {
                let number = f32::from_le_bytes(input.array()?);
                // As short as a float is told, not as long as the double next to it.
                told(number.to_string().parse().unwrap_or(f64::from(number)))
            }
            Shape::Double => told(f64::from_le_bytes(input.array()?)),
            Shape::Bytes => text_of(input.bytes()?),
            Shape::Fixed { size, .. } => text_of(input.take(*size)?),
            Shape::String => input.text()?.into(),
            Shape::Enum { symbols, .. } => {
                let index = input.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                symbol.ok_or_else(|| format!("the enum has no symbol {index}"))?.as_str().into()
            }
            Shape::Array(items) => {
                let mut list = Vec::new();
                input.blocks(|input| {
                    list.push(self.read(*items, input, depth + 1)?);
                    Ok(())
                })?;
                Json::Array(list)
            }
            Shape::Map(values) => {
                let mut members = Map::new();
                input.blocks(|input| {
                    let key = input.text()?.to_owned();
                    members.insert(key, self.read(*values, input, depth + 1)?);
                    Ok(())
                })?;
                Json::Object(members)
            }
            Shape::Record { fields, .. } => {
                let mut members = Map::new();
                for field in fields {
                    let value = self.read(field.node, input, depth + 1);
                    members.insert(field.name.clone(), value.map_err(|wrong| wrong.within(&field.name))?);
                }
                Json::Object(members)
            }
            Shape::Union(branches) => {
                let index = input.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index));
                let branch = *branch.ok_or_else(|| format!("the union has no branch {index}"))?;
                match self.read(branch, input, depth + 1)? {
                    Json::Null if *self.shape(branch) == Shape::Null => Json::Null,
                    value => Json::Object(Map::from_iter([(self.branch(branch), value)])),
                }
            }
        })
    }
}

fn refuse(expected: &str, json: &Json) -> Violation {
    let found = shorten(&json.to_string(), 60);
    Violation { field: String::new(), expected: expected.to_owned(), found }
}

fn within(step: &str, violation: Violation) -> Violation {
    let field = match violation.field.as_str() {
        "" => step.to_owned(),
        rest => format!("{step}.{rest}"),
    };
    Violation { field, ..violation }
}

/// JSON has no word for what is no number: Java writes it as a text.
fn float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn told(number: f64) -> Json {
    match serde_json::Number::from_f64(number) {
        Some(number) => Json::Number(number),
        None if number.is_nan() => "NaN".into(),
        None => if number > 0.0 { "Infinity" } else { "-Infinity" }.into(),
    }
}

fn letters(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

fn text_of(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into()
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Items come in one block, none in no block at all; an empty block is the end.
fn block(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        long(count as i64, out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{"type": "record", "name": "Flight", "namespace": "a.b", "fields": [
        {"name": "number", "type": "int"}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "tail", "type": ["null", "string"], "default": null},
        {"name": "ratio", "type": "float", "default": 0.5}, {"name": "raw", "type": "bytes", "default": ""},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, "default": "B"},
        {"name": "stops", "type": {"type": "array", "items": ["string", {"type": "map", "values": "double"}]}, "default": []},
        {"name": "next", "type": ["null", "Flight"], "default": null}]}"#;

    fn avro() -> Avro {
        Avro::parse("flights", SCHEMA).unwrap()
    }

    #[test]
    fn records_come_back_with_their_defaults() {
        let avro = avro();
        let given = json!({ "number": 7, "at": 1_700_000_000_000i64, "tail": { "string": "N1" }, "raw": "\u{0}ÿ",
            "stops": [{ "string": "x" }, { "map": { "y": 2.5 } }],
            "next": { "a.b.Flight": { "number": -8, "at": 0 } } });
        let mut bytes = Vec::new();
        avro.write_json(&given, &mut bytes).unwrap();
        let next = json!({ "number": -8, "at": 0, "tail": null, "ratio": 0.5, "raw": "", "kind": "B", "stops": [],
            "next": null });
        let mut expected = given.clone();
        expected["ratio"] = json!(0.5);
        expected["kind"] = json!("B");
        expected["next"]["a.b.Flight"] = next;
        assert_eq!(avro.read_json(&bytes).unwrap(), expected);
        assert_eq!(avro.record_name(), "a.b.Flight");
        // The same bytes as our other reader takes them.
        let plain = Avro::parse(
            "p",
            r#"{"type":"record","name":"P","fields":[{"name":"a","type":["null","long"]}]}"#,
        );
        let mut bytes = Vec::new();
        plain.unwrap().write_json(&json!({ "a": { "long": 5 } }), &mut bytes).unwrap();
        assert_eq!(bytes, [2, 10]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let avro = avro();
        for (json, expected) in [
            (json!({ "at": 0 }), "number: expected int, found nothing"),
            (json!({ "number": 1.5, "at": 0 }), "number: expected int, found 1.5"),
            (
                json!({ "number": 1, "at": 0, "tail": "N1" }),
                "tail: expected null or {\"string\": …}, found \"N1\"",
            ),
            (json!({ "number": 1, "at": 0, "extra": 1 }), "extra: expected no field of that name, found 1"),
            (
                json!({ "number": 1, "at": 0, "next": { "a.b.Flight": { "number": true } } }),
                "next.a.b.Flight.number: expected int, found true",
            ),
            (json!({ "number": 1, "at": 0, "kind": "C" }), "kind: expected one of A, B, found \"C\""),
        ] {
            let mut bytes = vec![9];
            assert_eq!(avro.write_json(&json, &mut bytes).unwrap_err().to_string(), expected);
            assert_eq!(bytes, [9]);
        }
    }

    #[test]
    fn bytes_that_mean_nothing_are_refused() {
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        let avro = Avro::parse("list", list).unwrap();
        let deep = vec![2; 10_000];
        let text = avro.read_json(&deep).unwrap_err().to_string();
        assert!(text.contains("nested deeper"), "{text}");
        assert!(avro.read_json(&[0, 0]).is_err());
        assert!(avro.read_json(&[4]).is_err());
        assert_eq!(avro.read_json(&[2, 0]).unwrap(), json!({ "next": { "L": { "next": null } } }));
    }
}
