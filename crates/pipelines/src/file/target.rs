//! `target:`: where the records go, and in which files.

use std::collections::BTreeMap;

use super::{node::Span, section::Section, source};
use crate::{Error, layout::Layout};

/// Where a pipeline writes.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSpec {
    /// The name of a connection of the project; with a url it only says as whom.
    pub connection: Option<String>,
    /// `s3://bucket/path`, `gs://bucket/path`, `file://…` or a path; `mongodb://…` and the like for a store of documents.
    pub url: Option<String>,
    /// The folder of the tables below the url, or the database of a store; the pipeline's name where it is not given.
    pub dataset: String,
    pub is_dataset_given: bool,
    pub format: Format,
    pub compression: Compression,
    pub layout: Layout,
    /// A file that reaches so many bytes is closed, and another one begun.
    pub file_bytes_max: u64,
    /// After so many records of a stream the files are closed, and all that was read is safe.
    pub file_records_max: u64,
    /// The settings of the connector, where the target is a store of documents.
    pub settings: BTreeMap<String, String>,
    /// Of `connection` or `url`.
    pub span: Span,
    pub url_span: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Jsonl,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Snappy,
}

const KEYS: &[&str] = &[
    "connection",
    "url",
    "dataset",
    "format",
    "compression",
    "layout",
    "file_bytes_max",
    "file_records_max",
    "settings",
];
const FILE_BYTES_DEFAULT: u64 = 256 << 20;
const FILE_RECORDS_DEFAULT: u64 = 500_000;

impl TargetSpec {
    pub(super) fn read(top: &Section<'_>, pipeline: &str) -> Result<Self, Error> {
        let target =
            top.section("target", KEYS)?.ok_or_else(|| top.need("target", "where the tables go: a url"))?;
        let (connection, url) = (target.text("connection")?, target.text("url")?);
        let Some((_, span)) = connection.as_ref().or(url.as_ref()) else {
            return Err(target.need("url", "an address such as s3://lake/warehouse, or a folder"));
        };
        let span = *span;
        let formats = [("parquet", Format::Parquet), ("jsonl", Format::Jsonl), ("csv", Format::Csv)];
        let format = target.one_of("format", &formats)?.unwrap_or(Format::Jsonl);
        let dataset = match target.text("dataset")? {
            Some((text, span))
                if text.is_empty() || text.split('/').any(|part| matches!(part, "" | "." | "..")) =>
            {
                let expected = "a name without empty parts".to_owned();
                let key = "target.dataset".to_owned();
                return Err(Error::BadValue { file: top.file.clone(), span, key, expected });
            }
            Some((text, _)) => text,
            None => pipeline.to_owned(),
        };
        Ok(Self {
            url_span: url.as_ref().map(|(_, span)| *span),
            connection: connection.map(|(text, _)| text),
            url: url.map(|(text, _)| text),
            dataset,
            is_dataset_given: target.get("dataset").is_some(),
            format,
            compression: compression(&target, format)?,
            layout: layout(&target)?,
            file_bytes_max: target.bytes("file_bytes_max")?.unwrap_or(FILE_BYTES_DEFAULT),
            file_records_max: target.count("file_records_max")?.unwrap_or(FILE_RECORDS_DEFAULT),
            settings: source::settings(&target)?,
            span,
        })
    }
}

/// What the format takes; its usual one where none is given: snappy for Parquet, gzip for text, as dlt has them.
fn compression(target: &Section<'_>, format: Format) -> Result<Compression, Error> {
    let words = [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("zstd", Compression::Zstd),
        ("snappy", Compression::Snappy),
    ];
    let given = target.one_of("compression", &words)?;
    match (format, given, target.get("compression")) {
        (Format::Parquet, given, _) => Ok(given.unwrap_or(Compression::Snappy)),
        (Format::Jsonl | Format::Csv, Some(Compression::Snappy), Some(node)) => {
            Err(target.refuse("compression", node, "none, gzip, zstd: snappy is for Parquet"))
        }
        (Format::Jsonl | Format::Csv, given, _) => Ok(given.unwrap_or(Compression::Gzip)),
    }
}

fn layout(target: &Section<'_>) -> Result<Layout, Error> {
    let Some((text, span)) = target.text("layout")? else { return Ok(Layout::default()) };
    Layout::parse(&text).map_err(|reason| Error::Layout { file: target.file.clone(), span, reason })
}
