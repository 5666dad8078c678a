//! Records to bytes and back: JSON Lines, raw bytes, CSV, Avro container files and Parquet, and text compression.
//!
//! Encoders are deterministic: the same records give the same bytes, however they were cut into batches, whenever it is.
//! It knows no store: what is encoded goes into a `Vec<u8>` that the caller sends where it likes.
//!
//! `encoder` the trait and the choice, then a file for each format; `gzip` compression of text; `reader` the way back.

mod avro;
mod columns;
mod csv;
mod encoder;
mod errors;
mod gzip;
mod json;
mod parquet;
mod raw;
mod reader;
mod reject;

pub use avro::{AvroCodec, avro_schema_text};
pub use encoder::{Compression, Encoder, Format, ParquetCodec, RawAs, Settings, encoder};
pub use errors::Error;
pub use json::{DecimalAs, JsonSettings, compact_json, json_value};
pub use reader::read_json_lines;
pub use reject::reject;
