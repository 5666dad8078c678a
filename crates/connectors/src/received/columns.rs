//! The columns of a record of CSV, or of a sheet, which it does not say itself: they go along with it as a header, so that it can be read
//! again when its file is gone.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use base::{Extent, Fault, Header, Kind, Place, Rejects, Split};
use engine::DeadLetters;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::TYPES;
use crate::{
    files::Dialect,
    mapping::{Cells, Error, Mapping, Type},
    record::Shape,
};

/// The header with what [`Columns`] says.
pub const COLUMNS: &str = "tidemill.columns";

/// How the records of one file are taken apart, and what their fields are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// As the file calls them.
    names: Vec<String>,
    /// What was found out of the columns that are loaded, in the words of `--types`; nothing where it did not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<String>,
    delimiter: char,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quote: Option<char>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    escape: Option<char>,
    /// Texts stand in quotes, and numbers do not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_sheet: bool,
}

impl Columns {
    /// Those of a file, `kinds`: of its columns where they were found out. `None`: its records say themselves what they are.
    pub fn of(shape: &Shape, kinds: &[Kind]) -> Option<Self> {
        let Shape::Csv { cells, .. } = shape else { return None };
        let dialect = cells.dialect();
        Some(Self {
            names: cells.header().to_vec(),
            types: kinds.iter().map(word).collect(),
            delimiter: char::from(dialect.delimiter),
            quote: dialect.quote.map(char::from),
            escape: dialect.escape.map(char::from),
            is_sheet: cells.is_sheet,
        })
    }

    pub fn header(&self) -> Header {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Header { name: COLUMNS.into(), value: Some(text.into()) }
    }

    /// # Errors
    /// Why the text is none of a header of ours.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The file's shape again, with what the arguments make of its columns.
    ///
    /// # Errors
    /// A mapping that does not fit the columns.
    pub fn shape(&self, mapping: &Mapping, path: &str, has_header: bool) -> Result<Shape, Error> {
        let byte = |character: char| u8::try_from(character).unwrap_or(b',');
        let dialect = Dialect {
            delimiter: byte(self.delimiter),
            quote: self.quote.map(byte),
            escape: self.escape.map(byte),
            comment: None,
        };
        let (header, mut cells) = Cells::new(mapping, dialect, path, &self.names, has_header)?;
        cells.is_sheet = self.is_sheet;
        Ok(Shape::Csv { header, cells: Arc::new(cells) })
    }

    /// The kinds of the columns that are loaded; a text where it is not known.
    pub fn kinds(&self, count: usize) -> Vec<Kind> {
        let kind = |word: &String| word.parse().map_or(Kind::String, Type::kind);
        let mut kinds: Vec<Kind> = self.types.iter().map(kind).collect();
        kinds.resize(count, Kind::String);
        kinds
    }
}

/// A kind that a column of texts can be found to be, as `--types` has it.
fn word(kind: &Kind) -> String {
    match kind {
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => "int".to_owned(),
        Kind::Float32 | Kind::Float64 => "float".to_owned(),
        Kind::Decimal { scale } => format!("decimal({scale})"),
        Kind::Boolean => "bool".to_owned(),
        Kind::Date => "date".to_owned(),
        Kind::TimestampMs => "timestamp".to_owned(),
        Kind::String | Kind::Bytes | Kind::TimeMs | Kind::Array(_) | Kind::Map { .. } | Kind::Struct(_) => {
            "text".to_owned()
        }
    }
}

/// Says what the columns of a file are; may have to look into the file.
pub type Find = dyn Fn(&str) -> Option<Columns> + Send + Sync;

/// Dead letters whose records of CSV have the columns of their files with them.
pub struct WithColumns {
    inner: Arc<dyn DeadLetters>,
    find: Arc<Find>,
    known: Mutex<HashMap<Arc<str>, Option<Header>>>,
}

impl WithColumns {
    pub fn new(
        inner: Arc<dyn DeadLetters>,
        find: impl Fn(&str) -> Option<Columns> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, find: Arc::new(find), known: Mutex::default() }
    }

    async fn header(&self, path: &Arc<str>) -> Option<Header> {
        if let Some(known) = self.known.lock().get(path) {
            return known.clone();
        }
        let (find, asked) = (self.find.clone(), path.clone());
        let found = tokio::task::spawn_blocking(move || find(&asked)).await.ok().flatten();
        let header = found.map(|columns| columns.header());
        self.known.lock().insert(path.clone(), header.clone());
        header
    }
}

#[async_trait]
impl DeadLetters for WithColumns {
    async fn put(&self, split: &Split, mut rejects: Rejects) -> Result<(), Fault> {
        for reject in &mut rejects.0 {
            let Place::File { path } = &*reject.origin.place else { continue };
            // What became a row on its way is JSON, which says its names itself.
            let is_told = reject.headers.iter().any(|header| &*header.name == TYPES);
            let is_json = |value: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(value).is_ok();
            match &reject.value {
                None => {}
                Some(value) if is_told && is_json(value) => {}
                Some(_) => reject.headers.extend(self.header(path).await),
            }
        }
        self.inner.put(split, rejects).await
    }

    async fn flush(&self, extent: &Extent) -> Result<(), Fault> {
        self.inner.flush(extent).await
    }

    async fn discard(&self, split: &Split) {
        self.inner.discard(split).await;
    }
}
