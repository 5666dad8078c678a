//! What a file is: told by its name, or by the arguments beside it.

use formats::{AvroCodec, Compression, Format, JsonSettings, ParquetCodec, Settings};

use super::Error;

/// The formats, by the words for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    JsonLines,
    /// One array.
    Json,
    Csv,
    Tsv,
    Parquet,
    Avro,
}

/// A format with its compression.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFormat {
    pub word: Word,
    pub settings: Settings,
}

/// Logs and tables take a sixth more bytes than at 6, in a third of the time.
const GZIP_LEVEL: i32 = 1;
const ZSTD_LEVEL: i32 = 3;

impl Word {
    pub fn name(self) -> &'static str {
        match self {
            Word::JsonLines => "JSON Lines",
            Word::Json => "JSON",
            Word::Csv => "CSV",
            Word::Tsv => "TSV",
            Word::Parquet => "Parquet",
            Word::Avro => "Avro",
        }
    }

    /// `jsonl`, `ndjson`, `json`, `csv`, `tsv`, `parquet`, `avro`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "jsonl" | "ndjson" => Word::JsonLines,
            "json" => Word::Json,
            "csv" => Word::Csv,
            "tsv" => Word::Tsv,
            "parquet" => Word::Parquet,
            "avro" => Word::Avro,
            _ => return None,
        })
    }

    /// By the end of a name, with the compression that stands behind it.
    pub fn of_name(name: &str) -> Option<(Self, Option<&'static str>)> {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let (bare, compression) = match (name.strip_suffix(".gz"), name.strip_suffix(".zst")) {
            (Some(bare), _) => (bare, Some("gzip")),
            (_, Some(bare)) => (bare, Some("zstd")),
            (None, None) => (name.as_str(), None),
        };
        let (_, extension) = bare.rsplit_once('.')?;
        let word = Self::parse(extension)?;
        // `.parquet.gz` would be a file that nobody reads.
        (compression.is_none() || !matches!(word, Word::Parquet | Word::Avro)).then_some((word, compression))
    }

    /// Whether records need columns.
    pub fn needs_columns(self) -> bool {
        !matches!(self, Word::JsonLines | Word::Json)
    }
}

impl FileFormat {
    /// Of the name, where it tells; what is given beside it wins.
    ///
    /// # Errors
    /// `NoFormat`, `Compression`, `Level`.
    pub fn new(
        name: &str,
        word: Option<Word>,
        compression: Option<&str>,
        level: Option<i32>,
        delimiter: Option<u8>,
    ) -> Result<Self, Error> {
        let of_name = Word::of_name(name);
        let word = word.or(of_name.map(|(word, _)| word));
        let word = word.ok_or_else(|| Error::NoFormat { name: name.to_owned() })?;
        let compression = compression.or(of_name.and_then(|(_, compression)| compression));
        let refuse =
            || Error::Compression { format: word.name(), given: compression.unwrap_or_default().to_owned() };
        let json = || Format::Json(JsonSettings::plain());
        let format = match word {
            Word::JsonLines | Word::Json => json(),
            Word::Csv => Format::Csv { delimiter: delimiter.unwrap_or(b',') },
            Word::Tsv => Format::Csv { delimiter: delimiter.unwrap_or(b'\t') },
            Word::Parquet => Format::Parquet {
                codec: match compression {
                    None | Some("snappy") => ParquetCodec::Snappy,
                    Some("none") => ParquetCodec::None,
                    Some("gzip") => ParquetCodec::Gzip,
                    Some("zstd") => ParquetCodec::Zstd,
                    Some(_) => return Err(refuse()),
                },
            },
            Word::Avro => Format::Avro {
                codec: match compression {
                    None | Some("none") => AvroCodec::Null,
                    Some("snappy") => AvroCodec::Snappy,
                    Some("deflate" | "gzip") => AvroCodec::Deflate,
                    Some("zstd") => AvroCodec::Zstandard,
                    Some(_) => return Err(refuse()),
                },
                is_enhanced: false,
            },
        };
        let compression = match (word, compression) {
            (Word::Parquet | Word::Avro, _) | (_, None | Some("none")) => Compression::None,
            (_, Some("gzip")) => Compression::Gzip { level: within(level, GZIP_LEVEL, 0, 9, "gzip")? },
            (_, Some("zstd")) => Compression::Zstd { level: within(level, ZSTD_LEVEL, 1, 22, "zstd")? },
            (_, Some(_)) => return Err(refuse()),
        };
        Ok(Self { word, settings: Settings { format, compression } })
    }

    /// What the name of a file of it ends in, with its dot.
    pub fn extension(&self) -> String {
        let extension = match self.word {
            Word::JsonLines => ".jsonl",
            Word::Json => ".json",
            Word::Csv => ".csv",
            Word::Tsv => ".tsv",
            Word::Parquet => ".parquet",
            Word::Avro => ".avro",
        };
        match self.settings.compression {
            Compression::None => extension.to_owned(),
            Compression::Gzip { .. } => format!("{extension}.gz"),
            Compression::Zstd { .. } => format!("{extension}.zst"),
        }
    }
}

fn within(
    level: Option<i32>,
    default: i32,
    min: i32,
    max: i32,
    compression: &'static str,
) -> Result<i32, Error> {
    match level {
        None => Ok(default),
        Some(level) if (min..=max).contains(&level) => Ok(level),
        Some(given) => Err(Error::Level { given, compression }),
    }
}
