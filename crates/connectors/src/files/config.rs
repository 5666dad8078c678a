//! Keys and their defaults: text -> config, nothing else.

use std::{path::PathBuf, sync::Arc};

use encoding_rs::Encoding;

use super::{Error, input::Input, json::Path as JsonPath};
use crate::Settings;

#[derive(Debug, Clone)]
pub struct Config {
    /// What is read, in the order it is told.
    pub inputs: Vec<Input>,
    /// `None`: by each file's name, or by what it begins with.
    pub format: Option<Format>,
    /// What separates fields of CSV; `None`: a comma, a tab for `.tsv`.
    pub delimiter: Option<u8>,
    /// What CSV puts around a field; `None`: nothing.
    pub quote: Option<u8>,
    /// What takes the next byte its meaning, inside quotes and outside; `None`: a quote is doubled.
    pub escape: Option<u8>,
    /// Lines of CSV that begin so are no records.
    pub comment: Option<u8>,
    /// The first record of CSV has the columns' names.
    pub has_header: bool,
    /// Lines of text before anything else.
    pub skip_lines: u64,
    /// What texts are written in; `None`: UTF-8, or what a byte order mark says.
    pub encoding: Option<&'static Encoding>,
    /// Where the records stand in a JSON document.
    pub records: JsonPath,
    /// The sheet of an Excel file; `None`: the first.
    pub sheet: Option<String>,
    /// A record longer than this is an error, not memory.
    pub record_bytes_max: usize,
    /// Stops after so many records of each file.
    pub records_count_max: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    /// A value a line: JSON Lines, NDJSON.
    JsonLines,
    /// One array whose elements are the records, or one object whose entries are.
    Json,
    /// Avro's object container files.
    Avro,
    Parquet,
    /// `.xlsx`, `.xlsm`, `.xlsb`, `.xls`, `.ods`: a sheet of them.
    Excel,
}

/// How a stream of bytes is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
    Bzip2,
    /// Snappy's framing format.
    Snappy,
}

const RECORD_BYTES_MAX: usize = 16 << 20;

impl Config {
    /// For files and standard input (`-`).
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self::of(paths.into_iter().map(Input::file).collect())
    }

    pub fn of(inputs: Vec<Input>) -> Self {
        Self {
            inputs,
            format: None,
            delimiter: None,
            quote: Some(b'"'),
            escape: None,
            comment: None,
            has_header: true,
            skip_lines: 0,
            encoding: None,
            records: JsonPath::default(),
            sheet: None,
            record_bytes_max: RECORD_BYTES_MAX,
            records_count_max: None,
        }
    }

    /// `path` (several with commas), `format`, `delimiter`.
    pub fn read(settings: &Settings) -> Result<Self, Error> {
        let paths = settings.get("path").ok_or(Error::NoPath)?.split(',').map(PathBuf::from).collect();
        let mut config = Self::new(paths);
        if let Some(format) = settings.get("format") {
            config.format = Some(format.parse()?);
        }
        config.delimiter = settings.get("delimiter").and_then(|text| text.bytes().next());
        Ok(config)
    }
}

impl Format {
    /// By the ending of a name, below the one that says how it is packed.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let bare = Packing::of_name(&name).map_or(&*name, |_| &name[..name.rfind('.').unwrap_or(0)]);
        let (_, ending) = bare.rsplit_once('.')?;
        Some(match ending {
            "csv" | "tsv" => Format::Csv,
            "jsonl" | "ndjson" => Format::JsonLines,
            "json" => Format::Json,
            "avro" => Format::Avro,
            "parquet" => Format::Parquet,
            "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Format::Excel,
            _ => return None,
        })
    }

    /// By what it begins with. Text that is no JSON is CSV.
    pub fn of_content(head: &[u8]) -> Option<Self> {
        const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
        if head.starts_with(b"Obj\x01") {
            return Some(Format::Avro);
        }
        if head.starts_with(b"PAR1") {
            return Some(Format::Parquet);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(OLE) {
            return Some(Format::Excel);
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let is_utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
        match text.first() {
            None => None,
            Some(b'{' | b'[') => Some(Self::of_json(text)),
            Some(_) if head.contains(&0) && !is_utf16 => None,
            Some(_) => Some(Format::Csv),
        }
    }

    /// One document, or an object a line: told by what follows the first one.
    pub(super) fn of_json(text: &[u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
        if text.first() != Some(&b'{') {
            return Format::Json;
        }
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let rest = text[values.byte_offset()..].trim_ascii_start();
                if rest.is_empty() { Format::Json } else { Format::JsonLines }
            }
            _ => Format::Json,
        }
    }
}

impl Packing {
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        Some(match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Packing::Gzip,
            "zst" | "zstd" => Packing::Zstd,
            "bz2" => Packing::Bzip2,
            "sz" | "snappy" => Packing::Snappy,
            _ => return None,
        })
    }

    pub fn of_content(head: &[u8]) -> Option<Self> {
        const SNAPPY: &[u8] = b"\xff\x06\x00\x00sNaPpY";
        if head.starts_with(b"\x1f\x8b") {
            Some(Packing::Gzip)
        } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
            Some(Packing::Zstd)
        } else if matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..]) {
            Some(Packing::Bzip2)
        } else if head.starts_with(SNAPPY) {
            Some(Packing::Snappy)
        } else {
            None
        }
    }
}

impl std::str::FromStr for Format {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "csv" | "tsv" => Ok(Format::Csv),
            "jsonl" | "ndjson" => Ok(Format::JsonLines),
            "json" => Ok(Format::Json),
            "avro" => Ok(Format::Avro),
            "parquet" => Ok(Format::Parquet),
            "excel" | "xlsx" => Ok(Format::Excel),
            _ => Err(Error::UnknownFormat { path: Arc::from(text) }),
        }
    }
}
