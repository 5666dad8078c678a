//! `streams:`: what is read, how much of it, and what becomes of it. A key that stands at the top of the file is the
//! default of all streams.

use super::{
    node::{Data, Entry, Node, Span},
    section::{Section, scalar},
};
use crate::{
    ColumnHint, DataType, Error, MergeStrategy, Mode, Nested, SchemaContract, Shape, WriteDisposition,
    incremental::{CursorValue, scalar_value},
};

/// One stream: a collection of the source and the root table it becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSpec {
    /// The root table's name before it is normalised.
    pub name: String,
    /// Collection, table or path in the source; the stream's name where it is not given.
    pub collection: String,
    /// How its documents become tables: key, hints, nesting, contract, disposition.
    pub shape: Shape,
    pub cursor: Option<CursorSpec>,
    pub fields: Vec<String>,
    pub filter: Option<String>,
    /// Of the stream's name.
    pub span: Span,
    /// Of the disposition, for what the target cannot do.
    pub disposition_span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CursorSpec {
    /// Dots go down.
    pub field: String,
    pub initial_value: Option<CursorValue>,
    pub end_value: Option<CursorValue>,
    /// Seconds of a timestamp, days of a date, else in the field's own numbers.
    pub lag: Option<f64>,
    pub on_missing: OnMissing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    Raise,
    Include,
    Exclude,
}

const KEYS: &[&str] = &[
    "collection",
    "write_disposition",
    "primary_key",
    "cursor",
    "columns",
    "nested",
    "max_nesting",
    "schema_contract",
    "fields",
    "filter",
];
const CURSOR_KEYS: &[&str] = &["field", "initial_value", "end_value", "lag", "on_missing"];
const COLUMN_KEYS: &[&str] = &["data_type", "nullable", "precision", "scale", "exclude", "rename"];
const MODES: [(&str, Mode); 4] = [
    ("evolve", Mode::Evolve),
    ("freeze", Mode::Freeze),
    ("discard_row", Mode::DiscardRow),
    ("discard_value", Mode::DiscardValue),
];
const DISPOSITIONS: [(&str, WriteDisposition); 3] = [
    ("append", WriteDisposition::Append),
    ("replace", WriteDisposition::Replace),
    ("merge", WriteDisposition::Merge(MergeStrategy::Upsert)),
];

pub(super) fn read_all(top: &Section<'_>) -> Result<Vec<StreamSpec>, Error> {
    let node =
        top.get("streams").ok_or_else(|| top.need("streams", "what is read: a name for each stream"))?;
    let all = Section::open(top.file, "streams", node)?;
    if all.entries().is_empty() {
        return Err(top.need("streams", "what is read: a name for each stream"));
    }
    let mut streams = Vec::new();
    for entry in all.entries() {
        let own = Section::of(top.file, &format!("streams.{}", entry.key), &entry.value, KEYS)?;
        streams.push(Read { own, top }.stream(&entry.key, entry.key_span)?);
    }
    Ok(streams)
}

/// A stream's own keys over the defaults at the top of the file.
struct Read<'a> {
    own: Section<'a>,
    top: &'a Section<'a>,
}

impl<'a> Read<'a> {
    /// Where a key is given: by the stream, else at the top.
    fn place(&self, key: &str) -> &Section<'a> {
        if self.own.get(key).is_some() { &self.own } else { self.top }
    }

    fn stream(&self, name: &str, span: Span) -> Result<StreamSpec, Error> {
        let place = self.place("write_disposition");
        let disposition = place.one_of("write_disposition", &DISPOSITIONS)?.unwrap_or_default();
        let disposition_span = place.get("write_disposition").map_or(span, |node| node.span);
        let primary_key = self.place("primary_key").words("primary_key")?;
        if matches!(disposition, WriteDisposition::Merge(_)) && primary_key.is_empty() {
            return Err(self.own.need("primary_key", "the fields by which merge finds a row again"));
        }
        let cursor = self.cursor()?;
        let shape = Shape {
            table: name.to_owned(),
            primary_key,
            cursor: cursor.as_ref().map(|cursor| cursor.field.clone()),
            columns: self.columns()?,
            nested: self.nested()?,
            contract: self.schema_contract()?,
            write_disposition: disposition,
        };
        Ok(StreamSpec {
            name: name.to_owned(),
            collection: self.own.text("collection")?.map_or_else(|| name.to_owned(), |(text, _)| text),
            shape,
            cursor,
            fields: self.place("fields").words("fields")?,
            filter: self.place("filter").text("filter")?.map(|(text, _)| text),
            span,
            disposition_span,
        })
    }

    fn nested(&self) -> Result<Nested, Error> {
        let place = self.place("max_nesting");
        let levels = place.get("max_nesting").map(|node| match node.data {
            Data::Integer(levels @ 0..=1_000) => Ok(levels as u32),
            _ => Err(place.refuse("max_nesting", node, "a number of levels, 0 or more")),
        });
        let max_nesting = levels.transpose()?;
        let kinds = [("flatten", Nested::Flatten { max_nesting }), ("keep", Nested::Keep)];
        Ok(self.place("nested").one_of("nested", &kinds)?.unwrap_or(Nested::Flatten { max_nesting }))
    }

    /// `cursor: updated_at`, or a mapping.
    fn cursor(&self) -> Result<Option<CursorSpec>, Error> {
        let place = self.place("cursor");
        let Some(node) = place.get("cursor") else { return Ok(None) };
        if let Some(field) = scalar(node) {
            let (initial_value, end_value, lag) = (None, None, None);
            return Ok(Some(CursorSpec {
                field,
                initial_value,
                end_value,
                lag,
                on_missing: OnMissing::Raise,
            }));
        }
        let cursor = Section::of(place.file, &place.key_path("cursor"), node, CURSOR_KEYS)?;
        let (field, _) = cursor
            .text("field")?
            .ok_or_else(|| cursor.need("field", "the field that rises with each change"))?;
        let lag = match cursor.get("lag").map(|node| (node, &node.data)) {
            None => None,
            Some((_, Data::Integer(number))) if *number >= 0 => Some(*number as f64),
            Some((_, Data::Float(number))) if *number >= 0.0 => Some(*number),
            Some((node, _)) => return Err(cursor.refuse("lag", node, "a number, 0 or more")),
        };
        let missing =
            [("raise", OnMissing::Raise), ("include", OnMissing::Include), ("exclude", OnMissing::Exclude)];
        Ok(Some(CursorSpec {
            field,
            initial_value: value(&cursor, "initial_value")?,
            end_value: value(&cursor, "end_value")?,
            lag,
            on_missing: cursor.one_of("on_missing", &missing)?.unwrap_or(OnMissing::Raise),
        }))
    }

    fn columns(&self) -> Result<Vec<ColumnHint>, Error> {
        let place = self.place("columns");
        let Some(node) = place.get("columns") else { return Ok(Vec::new()) };
        let all = Section::open(place.file, &place.key_path("columns"), node)?;
        all.entries().iter().map(|entry| column(&all, entry)).collect()
    }

    fn schema_contract(&self) -> Result<SchemaContract, Error> {
        let place = self.place("schema_contract");
        let Some(node) = place.get("schema_contract") else { return Ok(SchemaContract::default()) };
        if scalar(node).is_some() {
            let mode = place.one_of("schema_contract", &MODES)?.unwrap_or_default();
            return Ok(SchemaContract::all(mode));
        }
        let keys = &["tables", "columns", "data_type"];
        let own = Section::of(place.file, &place.key_path("schema_contract"), node, keys)?;
        let mode = |key: &str| Ok::<_, Error>(own.one_of(key, &MODES)?.unwrap_or_default());
        Ok(SchemaContract {
            tables: mode("tables")?,
            columns: mode("columns")?,
            data_type: mode("data_type")?,
        })
    }
}

/// `tailnum: text` is short for its type.
fn column(all: &Section<'_>, entry: &Entry) -> Result<ColumnHint, Error> {
    let types: Vec<(&str, DataType)> = DataType::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    let mut hint = ColumnHint { name: entry.key.clone(), ..ColumnHint::default() };
    if scalar(&entry.value).is_some() {
        hint.data_type = all.one_of(&entry.key, &types)?;
        return Ok(hint);
    }
    let own = Section::of(all.file, &all.key_path(&entry.key), &entry.value, COLUMN_KEYS)?;
    let flags = [("true", true), ("false", false)];
    hint.data_type = own.one_of("data_type", &types)?;
    hint.is_nullable = own.one_of("nullable", &flags)?;
    hint.precision = own.count("precision")?.map(|count| count as u32);
    hint.scale = own.count("scale")?.map(|count| count as u32);
    hint.is_excluded = own.one_of("exclude", &flags)?.unwrap_or(false);
    hint.rename = own.text("rename")?.map(|(text, _)| text);
    Ok(hint)
}

/// A number, a text, or, where it is not quoted, a timestamp or a date as YAML writes them.
fn value(section: &Section<'_>, key: &str) -> Result<Option<CursorValue>, Error> {
    let Some(node) = section.get(key) else { return Ok(None) };
    let is_quoted = section.file.text[node.span.0..].starts_with(['"', '\'']);
    typed(node, is_quoted)
        .map(Some)
        .ok_or_else(|| section.refuse(key, node, "a number, a text or a timestamp"))
}

fn typed(node: &Node, is_quoted: bool) -> Option<CursorValue> {
    match &node.data {
        Data::Integer(number) => Some(CursorValue::Int(*number)),
        Data::Float(number) => Some(CursorValue::Float(*number)),
        Data::Text(text) if is_quoted => Some(CursorValue::Text(text.clone())),
        Data::Text(text) => Some(scalar_value(text)),
        Data::Null | Data::Boolean(_) | Data::List(_) | Data::Map(_) => None,
    }
}
