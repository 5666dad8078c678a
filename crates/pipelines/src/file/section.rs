//! One mapping of the file, read key by key: what is unknown or does not fit is refused with its place.

use project::TextFile;

use super::node::{Data, Entry, Node, Span};
use crate::Error;

/// A mapping and the path to it: `streams.planes.cursor`.
pub(crate) struct Section<'a> {
    pub(crate) file: &'a TextFile,
    pub(crate) path: String,
    pub(crate) span: Span,
    entries: &'a [Entry],
}

/// Below this Jaro-Winkler likeness a name is no suggestion, but a wild guess.
pub(crate) const LIKENESS_MIN: f64 = 0.75;

impl<'a> Section<'a> {
    /// # Errors
    /// `NotThat` where the node is no mapping, `UnknownKey` for the first key outside of `known`.
    pub(crate) fn of(
        file: &'a TextFile,
        path: &str,
        node: &'a Node,
        known: &[&'static str],
    ) -> Result<Self, Error> {
        let section = Self::open(file, path, node)?;
        for entry in section.entries {
            if !known.contains(&entry.key.as_str()) {
                return Err(section.unknown(entry, known));
            }
        }
        Ok(section)
    }

    /// A mapping whose keys are the user's own words.
    pub(crate) fn open(file: &'a TextFile, path: &str, node: &'a Node) -> Result<Self, Error> {
        let path = path.to_owned();
        match &node.data {
            Data::Map(entries) => Ok(Self { file, path, span: node.span, entries }),
            Data::Null => Ok(Self { file, path, span: node.span, entries: &[] }),
            _ => Err(refuse(file, &path, node, "a mapping of keys and values")),
        }
    }

    fn unknown(&self, entry: &Entry, known: &[&'static str]) -> Error {
        let likeness = |name: &str| strsim::jaro_winkler(name, &entry.key);
        let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        Error::UnknownKey {
            file: self.file.clone(),
            span: entry.key_span,
            key: self.key_path(&entry.key),
            nearest: best.filter(|name| likeness(name) >= LIKENESS_MIN).map(|name| (*name).to_owned()),
            known: known.join(", "),
        }
    }

    pub(crate) fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// `None` where the key is not there or has nothing behind it.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.value.data != Data::Null).then_some(&entry.value)
    }

    pub(crate) fn refuse(&self, key: &str, node: &Node, expected: &str) -> Error {
        refuse(self.file, &self.key_path(key), node, expected)
    }

    pub(crate) fn need(&self, key: &'static str, what: &'static str) -> Error {
        Error::MissingKey {
            file: self.file.clone(),
            span: (self.span.0, self.span.1.min(1)),
            key: self.key_path(key),
            what,
        }
    }

    pub(crate) fn section(&self, key: &str, known: &[&'static str]) -> Result<Option<Section<'a>>, Error> {
        self.get(key).map(|node| Section::of(self.file, &self.key_path(key), node, known)).transpose()
    }

    /// A word or a text; numbers as they are written.
    pub(crate) fn text(&self, key: &str) -> Result<Option<(String, Span)>, Error> {
        self.get(key)
            .map(|node| match scalar(node) {
                Some(text) => Ok((text, node.span)),
                None => Err(self.refuse(key, node, "a text")),
            })
            .transpose()
    }

    pub(crate) fn one_of<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let text = scalar(node).unwrap_or_default();
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(self.refuse(key, node, &words.join(", ")))
            }
        }
    }

    pub(crate) fn count(&self, key: &str) -> Result<Option<u64>, Error> {
        self.get(key)
            .map(|node| match &node.data {
                Data::Integer(number) if *number > 0 => Ok(*number as u64),
                _ => Err(self.refuse(key, node, "a whole number above 0")),
            })
            .transpose()
    }

    /// `64 MiB`, `1_000_000`.
    pub(crate) fn bytes(&self, key: &str) -> Result<Option<u64>, Error> {
        self.get(key)
            .map(|node| {
                let bytes = scalar(node).and_then(|text| project::bytes(&text)).filter(|bytes| *bytes > 0);
                let refuse = || self.refuse(key, node, "a number of bytes: 64 MiB, 1_000_000");
                bytes.map(|bytes| bytes as u64).ok_or_else(refuse)
            })
            .transpose()
    }

    /// One word or a list of them.
    pub(crate) fn words(&self, key: &str) -> Result<Vec<String>, Error> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let refuse = |node: &Node| self.refuse(key, node, "a name or a list of names");
        match &node.data {
            Data::List(items) => items.iter().map(|item| scalar(item).ok_or_else(|| refuse(item))).collect(),
            _ => Ok(vec![scalar(node).ok_or_else(|| refuse(node))?]),
        }
    }
}

pub(crate) fn refuse(file: &TextFile, key: &str, node: &Node, expected: &str) -> Error {
    Error::BadValue {
        file: file.clone(),
        span: node.span,
        key: key.to_owned(),
        expected: expected.to_owned(),
    }
}

/// The text of a scalar; `None` for lists, mappings and nothing.
pub(crate) fn scalar(node: &Node) -> Option<String> {
    match &node.data {
        Data::Boolean(value) => Some(value.to_string()),
        Data::Integer(value) => Some(value.to_string()),
        Data::Float(value) => Some(value.to_string()),
        Data::Text(text) => Some(text.clone()),
        Data::Null | Data::List(_) | Data::Map(_) => None,
    }
}
