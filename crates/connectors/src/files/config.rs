//! Keys and their defaults: text -> config, nothing else.

use std::path::{Path, PathBuf};

use super::Error;
use crate::Settings;

#[derive(Debug, Clone)]
pub struct Config {
    /// Files in the order they are told; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// `None`: by each file's extension.
    pub format: Option<Format>,
    /// What separates fields in CSV.
    pub delimiter: u8,
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
    /// One array whose elements are the records.
    Json,
}

const RECORD_BYTES_MAX: usize = 16 << 20;

impl Config {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            format: None,
            delimiter: b',',
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
        if let Some(delimiter) = settings.get("delimiter").and_then(|text| text.bytes().next()) {
            config.delimiter = delimiter;
        }
        Ok(config)
    }

    /// By the extension below `.gz` or `.zst`; standard input has to be told.
    pub fn format_of(&self, path: &Path) -> Result<Format, Error> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let name = path.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match name.rsplit('.').next() {
            Some("csv") => Ok(Format::Csv),
            Some("tsv") => Ok(Format::Csv),
            Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
            Some("json") => Ok(Format::Json),
            _ => Err(Error::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// A tab for `.tsv`, unless another one was given.
    pub fn delimiter_of(&self, path: &Path) -> u8 {
        let name = path.to_string_lossy().to_ascii_lowercase();
        if self.delimiter == b',' && name.contains(".tsv") { b'\t' } else { self.delimiter }
    }
}

impl std::str::FromStr for Format {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "csv" | "tsv" => Ok(Format::Csv),
            "jsonl" | "ndjson" => Ok(Format::JsonLines),
            "json" => Ok(Format::Json),
            _ => Err(Error::UnknownFormat { path: PathBuf::from(text) }),
        }
    }
}
