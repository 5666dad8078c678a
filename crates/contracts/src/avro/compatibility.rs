//! Whether one Avro schema reads data of another: the specification's "Schema Resolution", with the names and places that
//! Java's `SchemaCompatibility` gives.

use std::collections::HashSet;

use super::{Avro, AvroField, NodeId, Shape};
use crate::compatibility::Incompatibility;

/// What keeps `reader` from reading data of `writer`.
pub fn can_read(reader: &Avro, writer: &Avro) -> Vec<Incompatibility> {
    let mut check = Check { reader, writer, open: HashSet::new(), at: Vec::new(), found: Vec::new() };
    check.compare(reader.root, writer.root);
    check.found
}

struct Check<'a> {
    reader: &'a Avro,
    writer: &'a Avro,
    /// Pairs being compared: met again, a type that holds itself fits if the rest does.
    open: HashSet<(NodeId, NodeId)>,
    at: Vec<String>,
    found: Vec<Incompatibility>,
}

impl Check<'_> {
    fn add(&mut self, kind: &'static str, steps: &[&str], text: &str, detail: String) {
        let mut path =
            self.at.iter().map(String::as_str).chain(steps.iter().copied()).collect::<Vec<_>>().join("/");
        path.insert(0, '/');
        let text = text.replace("{path}", &path);
        self.found.push(Incompatibility { kind, path, text, detail });
    }

    fn within(&mut self, steps: &[&str], compare: impl FnOnce(&mut Self)) {
        let depth = self.at.len();
        self.at.extend(steps.iter().map(|step| (*step).to_owned()));
        compare(self);
        self.at.truncate(depth);
    }

    fn compare(&mut self, reader: NodeId, writer: NodeId) {
        if !self.open.insert((reader, writer)) {
            return;
        }
        let (read, write) = (self.reader.shape(reader), self.writer.shape(writer));
        match (read, write) {
            (Shape::Union(_), Shape::Union(branches)) => {
                // Every branch that may have been written needs one that reads it.
                for (index, branch) in branches.iter().enumerate() {
                    self.within(&[&index.to_string()], |check| check.compare_branch(reader, *branch));
                }
            }
            (_, Shape::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    self.within(&[&index.to_string()], |check| check.compare(reader, *branch));
                }
            }
            (Shape::Union(_), _) => self.compare_branch(reader, writer),
            (Shape::Array(read), Shape::Array(write)) => {
                let (read, write) = (*read, *write);
                self.within(&["items"], |check| check.compare(read, write));
            }
            (Shape::Map(read), Shape::Map(write)) => {
                let (read, write) = (*read, *write);
                self.within(&["values"], |check| check.compare(read, write));
            }
            (Shape::Fixed { size: read, .. }, Shape::Fixed { size: write, .. }) => {
                let (read, write) = (*read, *write);
                self.same_name(reader, writer);
                if read != write {
                    let text = "The size of FIXED type field at path '{path}' in the {reader} schema does not match \
                                with the {writer} schema";
                    self.add(
                        "FIXED_SIZE_MISMATCH",
                        &["size"],
                        text,
                        format!("expected: {write}, found: {read}"),
                    );
                }
            }
            (Shape::Enum { .. }, Shape::Enum { .. }) => self.compare_enums(reader, writer),
            (Shape::Record { .. }, Shape::Record { .. }) => self.compare_records(reader, writer),
            (read, write) => {
                if !promotes(read, write) {
                    let text = "The type (path '{path}') of a field in the {reader} schema does not match with the \
                                {writer} schema";
                    let detail = format!(
                        "reader type: {} not compatible with writer type: {}",
                        upper(read),
                        upper(write)
                    );
                    self.add("TYPE_MISMATCH", &[], text, detail);
                }
            }
        }
        self.open.remove(&(reader, writer));
    }

    /// A union that reads one type: any of its branches will do.
    fn compare_branch(&mut self, union: NodeId, writer: NodeId) {
        let Shape::Union(branches) = self.reader.shape(union) else { return };
        let fits = branches.iter().any(|branch| {
            let mut trial = Check {
                reader: self.reader,
                writer: self.writer,
                open: self.open.clone(),
                at: Vec::new(),
                found: Vec::new(),
            };
            trial.compare(*branch, writer);
            trial.found.is_empty()
        });
        if !fits {
            let word = upper(self.writer.shape(writer));
            let text = "The {reader} schema is missing a type inside a union field at path '{path}' in the {writer} schema";
            self.add("MISSING_UNION_BRANCH", &[], text, format!("reader union lacking writer type: {word}"));
        }
    }

    fn same_name(&mut self, reader: NodeId, writer: NodeId) {
        let (read, write) = (self.reader.shape(reader), self.writer.shape(writer));
        let (Some(name), Some(other)) = (read.name(), write.name()) else { return };
        // Unqualified names decide, and an alias of the reader, by its full name, may stand for its name.
        let alias = read.aliases().iter().any(|alias| match &name.space {
            Some(space) if !alias.contains('.') => format!("{space}.{alias}") == other.full(),
            _ => *alias == other.full(),
        });
        let same = name.name == other.name || alias;
        if !same {
            let text = "The name of the schema has changed (path '{path}')";
            let detail = format!("expected: {}", other.full());
            self.add("NAME_MISMATCH", &["name"], text, detail);
        }
    }

    fn compare_enums(&mut self, reader: NodeId, writer: NodeId) {
        self.same_name(reader, writer);
        let (Shape::Enum { symbols: read, default, .. }, Shape::Enum { symbols: write, .. }) =
            (self.reader.shape(reader), self.writer.shape(writer))
        else {
            return;
        };
        let missing: Vec<&str> =
            write.iter().filter(|symbol| !read.contains(symbol)).map(String::as_str).collect();
        if !missing.is_empty() && default.is_none() {
            let text = "The {reader} schema is missing enum symbols '{missing}' at path '{path}' in the {writer} schema";
            let missing = format!("[{}]", missing.join(", "));
            self.add("MISSING_ENUM_SYMBOLS", &["symbols"], &text.replace("{missing}", &missing), missing);
        }
    }

    fn compare_records(&mut self, reader: NodeId, writer: NodeId) {
        self.same_name(reader, writer);
        let (Shape::Record { fields: read, .. }, Shape::Record { fields: write, .. }) =
            (self.reader.shape(reader), self.writer.shape(writer))
        else {
            return;
        };
        for (index, field) in read.iter().enumerate() {
            let step = index.to_string();
            match find(write, field) {
                Some(other) => {
                    let (node, other) = (field.node, other.node);
                    self.within(&["fields", &step, "type"], |check| check.compare(node, other));
                }
                None if field.default.is_some() => {}
                // The enum's own default is none for the field: Java compares it with the record, which never fits.
                None if has_default(self.reader.shape(field.node)) => {
                    let node = field.node;
                    self.within(&["fields", &step, "type"], |check| check.compare(node, writer));
                }
                None => {
                    let text = "The field '{field}' at path '{path}' in the {reader} schema has no default value and is \
                                missing in the {writer} schema";
                    let text = text.replace("{field}", &field.name);
                    self.add(
                        "READER_FIELD_MISSING_DEFAULT_VALUE",
                        &["fields", &step],
                        &text,
                        field.name.clone(),
                    );
                }
            }
        }
    }
}

fn has_default(shape: &Shape) -> bool {
    matches!(shape, Shape::Enum { default: Some(_), .. })
}

fn find<'a>(fields: &'a [AvroField], reader: &AvroField) -> Option<&'a AvroField> {
    let named = fields.iter().find(|field| field.name == reader.name);
    named.or_else(|| fields.iter().find(|field| reader.aliases.contains(&field.name)))
}

/// Whether data of `write` may be read as `read` though the types differ.
fn promotes(read: &Shape, write: &Shape) -> bool {
    match (read, write) {
        (Shape::Long, Shape::Int)
        | (Shape::Float, Shape::Int | Shape::Long)
        | (Shape::Double, Shape::Int | Shape::Long | Shape::Float)
        | (Shape::Bytes, Shape::String)
        | (Shape::String, Shape::Bytes) => true,
        (read, write) => std::mem::discriminant(read) == std::mem::discriminant(write),
    }
}

fn upper(shape: &Shape) -> String {
    shape.word().to_ascii_uppercase()
}
