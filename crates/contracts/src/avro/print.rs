//! Avro nodes to text, in the order in which Java's `Schema.toString()` prints them, which is the registry's identity.
//!
//! Two texts that differ in spaces or in the order of words print the same; `normalize` also sorts the free attributes.

use std::{collections::HashSet, fmt::Write};

use serde_json::{Map, Value as Json};

use super::{Avro, AvroField, Name, NodeId, Shape, parse::primitive};

impl Avro {
    /// The text that the registry keeps and compares; free attributes stay in their order.
    pub fn canonical(&self) -> String {
        self.print(false, true)
    }

    /// The same with free attributes sorted by name: Confluent's `normalize=true`.
    pub fn normalized(&self) -> String {
        self.print(true, true)
    }

    /// The whole schema, with the types of other schemas where they are first used.
    pub fn resolved(&self) -> String {
        self.print(false, false)
    }

    fn print(&self, sorted: bool, by_name: bool) -> String {
        let known = if by_name { (0..self.own_from).collect() } else { HashSet::new() };
        let mut printer = Printer { avro: self, out: String::new(), known, sorted };
        printer.node(self.root, None);
        printer.out
    }
}

struct Printer<'a> {
    avro: &'a Avro,
    out: String,
    /// Named types printed so far: from then on the name stands for them.
    known: HashSet<NodeId>,
    sorted: bool,
}

impl Printer<'_> {
    fn node(&mut self, id: NodeId, space: Option<&str>) {
        let avro = self.avro;
        let node = &avro.nodes[id];
        if let Some(name) = node.shape.name()
            && !self.known.insert(id)
        {
            self.quoted(&reference(name, space));
            return;
        }
        match &node.shape {
            Shape::Union(branches) => {
                self.list('[', ']', branches, |printer, branch| printer.node(*branch, space));
            }
            Shape::Array(items) => {
                self.out.push_str(r#"{"type":"array","items":"#);
                self.node(*items, space);
                self.attributes(&node.attributes);
                self.out.push('}');
            }
            Shape::Map(values) => {
                self.out.push_str(r#"{"type":"map","values":"#);
                self.node(*values, space);
                self.attributes(&node.attributes);
                self.out.push('}');
            }
            Shape::Record { name, doc, aliases, fields, is_error } => {
                self.head(if *is_error { "error" } else { "record" }, name, space, doc.as_deref());
                self.out.push_str(r#","fields":"#);
                self.list('[', ']', fields, |printer, field| printer.field(field, name.space.as_deref()));
                self.tail(&node.attributes, aliases);
            }
            Shape::Enum { name, doc, aliases, symbols, default } => {
                self.head("enum", name, space, doc.as_deref());
                self.out.push_str(r#","symbols":"#);
                self.list('[', ']', symbols, |printer, symbol| printer.quoted(symbol));
                if let Some(default) = default {
                    self.out.push_str(r#","default":"#);
                    self.quoted(default);
                }
                self.tail(&node.attributes, aliases);
            }
            Shape::Fixed { name, doc, aliases, size } => {
                self.head("fixed", name, space, doc.as_deref());
                write!(self.out, r#","size":{size}"#).expect("a String takes everything");
                self.tail(&node.attributes, aliases);
            }
            word if node.attributes.is_empty() => self.quoted(word.word()),
            word => {
                self.out.push_str(r#"{"type":"#);
                self.quoted(word.word());
                self.attributes(&node.attributes);
                self.out.push('}');
            }
        }
    }

    fn field(&mut self, field: &AvroField, space: Option<&str>) {
        self.out.push_str(r#"{"name":"#);
        self.quoted(&field.name);
        self.out.push_str(r#","type":"#);
        self.node(field.node, space);
        if let Some(doc) = &field.doc {
            self.out.push_str(r#","doc":"#);
            self.quoted(doc);
        }
        if let Some(default) = &field.default {
            write!(self.out, r#","default":{default}"#).expect("a String takes everything");
        }
        if let Some(order) = field.order.as_deref().filter(|order| *order != "ascending") {
            self.out.push_str(r#","order":"#);
            self.quoted(order);
        }
        if !field.aliases.is_empty() {
            self.out.push_str(r#","aliases":"#);
            self.list('[', ']', &field.aliases, |printer, alias| printer.quoted(alias));
        }
        self.attributes(&field.attributes);
        self.out.push('}');
    }

    fn head(&mut self, word: &str, name: &Name, space: Option<&str>, doc: Option<&str>) {
        self.out.push_str(r#"{"type":"#);
        self.quoted(word);
        self.out.push_str(r#","name":"#);
        self.quoted(&name.name);
        if name.space.as_deref() != space {
            self.out.push_str(r#","namespace":"#);
            self.quoted(name.space.as_deref().unwrap_or(""));
        }
        if let Some(doc) = doc {
            self.out.push_str(r#","doc":"#);
            self.quoted(doc);
        }
    }

    fn tail(&mut self, attributes: &Map<String, Json>, aliases: &[String]) {
        self.attributes(attributes);
        if !aliases.is_empty() {
            self.out.push_str(r#","aliases":"#);
            self.list('[', ']', aliases, |printer, alias| printer.quoted(alias));
        }
        self.out.push('}');
    }

    fn attributes(&mut self, attributes: &Map<String, Json>) {
        let mut entries: Vec<_> = attributes.iter().collect();
        if self.sorted {
            entries.sort_by_key(|(key, _)| key.as_str());
        }
        for (key, value) in entries {
            self.out.push(',');
            self.quoted(key);
            write!(self.out, ":{value}").expect("a String takes everything");
        }
    }

    fn list<T>(&mut self, open: char, close: char, items: &[T], print: impl Fn(&mut Self, &T)) {
        self.out.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            print(self, item);
        }
        self.out.push(close);
    }

    fn quoted(&mut self, text: &str) {
        let quoted = serde_json::to_string(text).expect("a text is always JSON");
        self.out.push_str(&quoted);
    }
}

/// A known type's name as seen from `space`: short where that says the same.
fn reference(name: &Name, space: Option<&str>) -> String {
    let short = name.space.as_deref() == space && primitive(&name.name).is_none();
    if short { name.name.clone() } else { name.full() }
}
