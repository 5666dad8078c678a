//! YAML as a flat list of keys and texts, each with the bytes it stands at.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use crate::{Error, origin::TextFile};

/// One leaf of a mapping: its dotted key, its text, and where key and value stand in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: String,
    /// `None`: there is a key but nothing behind it.
    pub text: Option<String>,
    pub key_span: (usize, usize),
    pub span: (usize, usize),
    /// An empty map `{}`.
    pub empty_map: bool,
}

/// Bounds of a settings file: what a person writes is far smaller.
const DEPTH_MAX: usize = 8;
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// The leaves in their order. Lists of scalars are joined with commas; a second document is refused.
pub(crate) fn entries(file: &TextFile) -> Result<Vec<Entry>, Error> {
    let offsets = Offsets::of(&file.text);
    let documents = MarkedYaml::load_from_str(&file.text).map_err(|error| {
        let start = offsets.byte(error.marker().index());
        Error::Yaml { file: file.clone(), start, reason: error.info().to_owned() }
    })?;
    let mut entries = Vec::new();
    let Some(document) = documents.first() else { return Ok(entries) };
    if let Some(second) = documents.get(1) {
        let start = offsets.byte(second.span.start.index());
        return Err(Error::Yaml { file: file.clone(), start, reason: "a second document".to_owned() });
    }
    let walk = Walk { file, offsets: &offsets };
    match &document.data {
        YamlData::Value(Scalar::Null) => {}
        YamlData::Mapping(_) => walk.mapping(document, "", 0, &mut entries)?,
        _ => return Err(walk.refuse(document, "settings are a mapping of sections")),
    }
    Ok(entries)
}

struct Walk<'a> {
    file: &'a TextFile,
    offsets: &'a Offsets,
}

impl Walk<'_> {
    fn mapping(
        &self,
        node: &MarkedYaml<'_>,
        prefix: &str,
        depth: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Error> {
        let YamlData::Mapping(map) = &node.data else { return Ok(()) };
        if depth >= DEPTH_MAX {
            return Err(self.refuse(node, "nested too deeply for settings"));
        }
        for (name_node, value) in map {
            let Some(name) = scalar_text(&name_node.data) else {
                return Err(self.refuse(name_node, "a key is a plain word"));
            };
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            let mut entry = Entry {
                key,
                text: None,
                key_span: self.span(name_node),
                span: self.span(value),
                empty_map: false,
            };
            match &value.data {
                YamlData::Mapping(inner) if !inner.is_empty() => {
                    self.mapping(value, &entry.key, depth + 1, entries)?;
                    continue;
                }
                YamlData::Mapping(_) => entry.empty_map = true,
                YamlData::Sequence(items) => entry.text = Some(self.list(items)?),
                data => {
                    let text = scalar_text(data)
                        .ok_or_else(|| self.refuse(value, "tags and aliases are not taken"))?;
                    let is_null = matches!(data, YamlData::Value(Scalar::Null));
                    entry.text = (!is_null).then_some(self.as_typed(data, entry.span).unwrap_or(text));
                }
            }
            entries.push(entry);
        }
        Ok(())
    }

    fn list(&self, items: &[MarkedYaml<'_>]) -> Result<String, Error> {
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            texts.push(scalar_text(&item.data).ok_or_else(|| self.refuse(item, "a list holds plain words"))?);
        }
        Ok(texts.join(", "))
    }

    /// Numbers keep the form they were typed in: `1_000`, `0.10`.
    fn as_typed<'a>(
        &self,
        data: &YamlData<'a, MarkedYaml<'a>>,
        (start, length): (usize, usize),
    ) -> Option<String> {
        match data {
            YamlData::Value(Scalar::FloatingPoint(_)) => {
                self.file.text.get(start..start + length).map(|text| text.trim().to_owned())
            }
            _ => None,
        }
    }

    fn span(&self, node: &MarkedYaml<'_>) -> (usize, usize) {
        let start = self.offsets.byte(node.span.start.index());
        let end = self.offsets.byte(node.span.end.index());
        (start, end.saturating_sub(start))
    }

    fn refuse(&self, node: &MarkedYaml<'_>, reason: &str) -> Error {
        Error::Yaml { file: self.file.clone(), start: self.span(node).0, reason: reason.to_owned() }
    }
}

fn scalar_text<'a>(data: &YamlData<'a, MarkedYaml<'a>>) -> Option<String> {
    match data {
        YamlData::Value(scalar) => Some(match scalar {
            Scalar::Null => String::new(),
            Scalar::Boolean(value) => value.to_string(),
            Scalar::Integer(value) => value.to_string(),
            Scalar::FloatingPoint(value) => value.to_string(),
            Scalar::String(text) => text.to_string(),
        }),
        _ => None,
    }
}

/// Character positions, which the parser counts, as bytes, which everything else does.
pub(crate) struct Offsets(Vec<usize>);

impl Offsets {
    pub(crate) fn of(text: &str) -> Self {
        let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(text.len());
        Self(bytes)
    }

    pub(crate) fn byte(&self, character: usize) -> usize {
        self.0[character.min(self.0.len() - 1)]
    }
}
