//! The one trait of all encoders, what can be chosen, and the choice.

use std::{ops::Range, sync::Arc};

use base::{Batch, Contract, Rejects};

use crate::{
    AvroCodec, Error, JsonSettings, avro::AvroEncoder, compress::Compressed, csv::CsvEncoder,
    json::JsonEncoder, parquet::ParquetEncoder, raw::RawEncoder,
};

/// Turns rows into bytes that are appended to `out`, so that what is done can be sent while rows still arrive.
pub trait Encoder: Send {
    /// Rows that the format cannot hold come back as rejects and leave nothing in the output.
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error>;
    /// The last bytes. Nothing may be appended after it.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;
    /// Bytes that it holds and has not given out yet, roughly.
    fn held_bytes(&self) -> usize {
        0
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// One JSON document a line.
    Json(JsonSettings),
    /// Each value as it is, then the separator.
    Raw {
        separator: Arc<[u8]>,
    },
    /// An Avro object container file.
    Avro {
        codec: AvroCodec,
        is_enhanced: bool,
    },
    Parquet {
        codec: ParquetCodec,
    },
    /// A header line, then a line for each record.
    Csv {
        delimiter: u8,
    },
}

/// What raw bytes are when a format has to know: a JSON document, a text, or just bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RawAs {
    #[default]
    Json,
    /// JSON that [`compact_json`](crate::compact_json) has checked and rid of white space: copied as it is.
    CompactJson,
    Text,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParquetCodec {
    None,
    #[default]
    Snappy,
    Gzip,
    Zstd,
}

/// Compression of the whole object, for formats that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    #[default]
    None,
    /// `level` 0-9, or -1 for zlib's own choice.
    Gzip { level: i32 },
    /// `level` 1-22.
    Zstd { level: i32 },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub format: Format,
    pub compression: Compression,
}

impl Format {
    /// With its dot, as Confluent's sinks name objects; Parquet's tells its codec.
    pub fn extension(&self) -> &'static str {
        match self {
            Format::Json(_) => ".json",
            Format::Raw { .. } => ".bin",
            Format::Avro { .. } => ".avro",
            Format::Parquet { codec: ParquetCodec::None } => ".parquet",
            Format::Parquet { codec: ParquetCodec::Snappy } => ".snappy.parquet",
            Format::Parquet { codec: ParquetCodec::Gzip } => ".gz.parquet",
            Format::Parquet { codec: ParquetCodec::Zstd } => ".zstd.parquet",
            Format::Csv { .. } => ".csv",
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Format::Json(_) => "JSON",
            Format::Raw { .. } => "raw bytes",
            Format::Avro { .. } => "Avro",
            Format::Parquet { .. } => "Parquet",
            Format::Csv { .. } => "CSV",
        }
    }

    /// Whether records need a schema to be written at all.
    pub fn needs_schema(&self) -> bool {
        match self {
            Format::Json(_) | Format::Raw { .. } => false,
            Format::Avro { .. } | Format::Parquet { .. } | Format::Csv { .. } => true,
        }
    }

    pub(crate) fn compresses_itself(&self) -> bool {
        match self {
            Format::Json(_) | Format::Raw { .. } | Format::Csv { .. } => false,
            Format::Avro { .. } | Format::Parquet { .. } => true,
        }
    }
}

impl Settings {
    /// What an object's name ends in: `.json`, `.json.gz`, `.snappy.parquet`.
    pub fn extension(&self) -> String {
        let extension = self.format.extension();
        match self.compression {
            _ if self.format.compresses_itself() => extension.to_owned(),
            Compression::None => extension.to_owned(),
            Compression::Gzip { .. } => format!("{extension}.gz"),
            Compression::Zstd { .. } => format!("{extension}.zst"),
        }
    }
}

/// An encoder for one file. `contract` is that of all its records; formats with a schema in the file need one.
pub fn encoder(settings: &Settings, contract: Option<&Arc<Contract>>) -> Result<Box<dyn Encoder>, Error> {
    let schema = || match contract {
        Some(contract) => Ok(contract.schema.clone()),
        None => Err(Error::NoSchema { format: settings.format.name() }),
    };
    let inner: Box<dyn Encoder> = match &settings.format {
        Format::Json(json) => Box::new(JsonEncoder::new(json.clone())),
        Format::Raw { separator } => Box::new(RawEncoder::new(separator.clone())),
        Format::Avro { codec, is_enhanced } => Box::new(AvroEncoder::new(&schema()?, *codec, *is_enhanced)?),
        Format::Parquet { codec } => Box::new(ParquetEncoder::new(schema()?, *codec)?),
        Format::Csv { delimiter } => Box::new(CsvEncoder::new(schema()?, *delimiter)),
    };
    if settings.format.compresses_itself() {
        Ok(inner)
    } else {
        Compressed::around(inner, settings.compression)
    }
}

#[cfg(test)]
mod tests;
