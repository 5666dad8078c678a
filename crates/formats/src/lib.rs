//! Records to bytes and back: JSON Lines, raw bytes, CSV, Avro container files and Parquet, and text compression.
//!
//! Encoders are deterministic: the same records give the same bytes, however they were cut into batches, whenever it is.
//! It knows no store: what is encoded goes into a `Vec<u8>` that the caller sends where it likes.
//!
//! `encoder` the trait and the choice, then a file for each format; `compress` compression of text; `parts` files that several
//! threads write together; `columns` rows to Arrow columns and back; `reader` the way back.

mod avro;
mod columns;
mod compress;
mod csv;
mod encoder;
mod errors;
mod gzip;
mod json;
mod parquet;
mod parts;
mod raw;
mod reader;
mod reject;

pub use avro::{AvroCodec, avro_schema_text};
pub use columns::{DocumentColumns, arrow_schema, schema_of_columns, values};
pub use encoder::{Compression, Encoder, Format, ParquetCodec, RawAs, Settings, encoder};
pub use errors::Error;
pub use gzip::{GZIP_MEMBER_BYTES, gzip_members};
pub use json::{DecimalAs, JsonSettings, Name, TimesAs, compact_json, json_value, time_text};
pub use parts::{Joiner, Part, Parts};
pub use reader::read_json_lines;
pub use reject::reject;
