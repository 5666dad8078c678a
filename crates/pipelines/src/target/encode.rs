//! Rows of one table into the bytes of one file: Parquet, JSON Lines or CSV, compressed.
//!
//! Gzip is libdeflate's level 1, in members (dlt takes Python's 9: an eighth smaller, over ten times slower), zstd at level 3.

use std::{io::Write, mem};

use formats::{GZIP_MEMBER_BYTES, gzip_members};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression as Codec, GzipLevel, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
    schema::types::ColumnPath,
};

use super::dictionary;
use crate::{
    TableRows, csv, csv_header,
    file::{Compression, Format},
    jsonl,
};

/// A row group is held in memory until it is written, with half as much again for the room that its pages were given: small
/// ones let many files be open at once. dlt writes one for each 5,000 rows, a third of what this is for rows of 60 bytes.
const ROW_GROUP_BYTES_MAX: usize = 1 << 20;
const ROW_GROUP_ROWS_COUNT_MAX: usize = 1 << 17;
/// A column whose distinct values take more is written plainly from there on: it is no column for a dictionary, and
/// each open file has one for each of its columns.
const DICTIONARY_BYTES_MAX: usize = 64 << 10;
const PAGE_BYTES_MAX: usize = 64 << 10;
const GZIP_LEVEL: i32 = 1;
const ZSTD_LEVEL: i32 = 3;

/// The encoder of one file.
pub(crate) enum TableEncoder {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Text { is_csv: bool, plain: Vec<u8>, packer: Packer },
}

pub(crate) enum Packer {
    None,
    Gzip,
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

/// What the files of a target end in.
pub(crate) fn extension(format: Format, compression: Compression) -> &'static str {
    match (format, compression) {
        (Format::Parquet, _) => "parquet",
        (Format::Jsonl, Compression::Gzip) => "jsonl.gz",
        (Format::Jsonl, Compression::Zstd) => "jsonl.zst",
        (Format::Jsonl, Compression::None | Compression::Snappy) => "jsonl",
        (Format::Csv, Compression::Gzip) => "csv.gz",
        (Format::Csv, Compression::Zstd) => "csv.zst",
        (Format::Csv, Compression::None | Compression::Snappy) => "csv",
    }
}

impl TableEncoder {
    /// `rows` are the first ones that come.
    pub(crate) fn new(
        format: Format,
        compression: Compression,
        rows: &TableRows,
    ) -> Result<Self, formats::Error> {
        match format {
            Format::Parquet => {
                parquet_writer(compression, rows).map(|writer| Self::Parquet(Box::new(writer)))
            }
            Format::Jsonl => {
                Ok(Self::Text { is_csv: false, plain: Vec::new(), packer: Packer::new(compression)? })
            }
            Format::Csv => {
                let mut plain = Vec::new();
                csv_header(&rows.table, &mut plain);
                Ok(Self::Text { is_csv: true, plain, packer: Packer::new(compression)? })
            }
        }
    }

    /// Whether rows with more columns than the file began with need another file.
    pub(crate) fn has_fixed_columns(&self) -> bool {
        match self {
            TableEncoder::Parquet(_) => true,
            TableEncoder::Text { is_csv, .. } => *is_csv,
        }
    }

    pub(crate) fn append(&mut self, rows: &TableRows, out: &mut Vec<u8>) -> Result<(), formats::Error> {
        match self {
            TableEncoder::Parquet(writer) => {
                let written = writer.write(&rows.columns).and_then(|()| match writer.in_progress_size() {
                    bytes if bytes >= ROW_GROUP_BYTES_MAX => behind(writer, out, ArrowWriter::flush),
                    _ => Ok(()),
                });
                written.map_err(|error| failed("Parquet", error.into()))
            }
            TableEncoder::Text { is_csv, plain, packer } => {
                if *is_csv {
                    csv(rows, plain);
                } else {
                    jsonl(rows, plain);
                }
                packer.pack(plain, out)
            }
        }
    }

    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<(), formats::Error> {
        match self {
            TableEncoder::Parquet(mut writer) => {
                let finished = behind(&mut writer, out, ArrowWriter::finish);
                finished.map(drop).map_err(|error| failed("Parquet", error.into()))
            }
            TableEncoder::Text { mut plain, mut packer, .. } => {
                packer.pack(&mut plain, out)?;
                packer.finish(&plain, out)
            }
        }
    }

    /// Bytes that it holds and has not given out yet, roughly.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            TableEncoder::Parquet(writer) => writer.memory_size(),
            TableEncoder::Text { plain, .. } => plain.capacity(),
        }
    }
}

/// Has the writer write behind what waits: a row group is copied once, into room that is there.
fn behind<T>(
    writer: &mut ArrowWriter<Vec<u8>>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut ArrowWriter<Vec<u8>>) -> parquet::errors::Result<T>,
) -> parquet::errors::Result<T> {
    out.append(writer.inner_mut());
    out.reserve(writer.in_progress_size());
    mem::swap(writer.inner_mut(), out);
    let written = write(writer);
    mem::swap(writer.inner_mut(), out);
    written
}

fn parquet_writer(
    compression: Compression,
    rows: &TableRows,
) -> Result<ArrowWriter<Vec<u8>>, formats::Error> {
    let mut properties = WriterProperties::builder();
    for (column, values) in rows.table.columns.iter().zip(rows.columns.columns()) {
        if is_distinct(&column.name) || dictionary::outgrows(values, DICTIONARY_BYTES_MAX) {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(&*column.name), false);
        }
    }
    let properties = properties
        // Readers skip by the bounds of a column in a row group; dlt writes none of single pages either.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_created_by("tidemill".to_owned())
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(match compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Snappy => Codec::SNAPPY,
            Compression::Gzip => Codec::GZIP(GzipLevel::default()),
            Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        })
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_COUNT_MAX))
        .build();
    ArrowWriter::try_new(Vec::new(), rows.table.arrow.clone(), Some(properties))
        .map_err(|error| failed("Parquet", error.into()))
}

/// Columns whose every value is another one, or nearly so.
fn is_distinct(column: &str) -> bool {
    matches!(column, "_dlt_id" | "_dlt_parent_id" | "_dlt_root_id" | "_id")
}

impl Packer {
    fn new(compression: Compression) -> Result<Self, formats::Error> {
        Ok(match compression {
            Compression::None | Compression::Snappy => Packer::None,
            Compression::Gzip => Packer::Gzip,
            Compression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL);
                Packer::Zstd(encoder.map_err(|error| failed("zstd", error.into()))?)
            }
        })
    }

    /// Moves `plain` on; what is no whole member yet stays.
    fn pack(&mut self, plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), formats::Error> {
        match self {
            Packer::None => out.append(plain),
            Packer::Gzip => {
                let whole = plain.len() / GZIP_MEMBER_BYTES * GZIP_MEMBER_BYTES;
                if whole > 0 {
                    gzip_members(&plain[..whole], GZIP_LEVEL, out)?;
                    plain.drain(..whole);
                }
                return Ok(());
            }
            Packer::Zstd(encoder) => {
                encoder.write_all(plain).map_err(|error| failed("zstd", error.into()))?;
                out.append(encoder.get_mut());
            }
        }
        plain.clear();
        Ok(())
    }

    /// `rest` is what stayed.
    fn finish(self, rest: &[u8], out: &mut Vec<u8>) -> Result<(), formats::Error> {
        match self {
            Packer::None => {}
            Packer::Gzip => gzip_members(rest, GZIP_LEVEL, out)?,
            Packer::Zstd(encoder) => {
                out.append(&mut encoder.finish().map_err(|error| failed("zstd", error.into()))?);
            }
        }
        Ok(())
    }
}

fn failed(format: &'static str, source: base::BoxError) -> formats::Error {
    formats::Error::Encoder { format, source }
}
