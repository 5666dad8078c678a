//! Avro object container files (Avro 1.12, "Object Container Files"), written from values by their schema.
//!
//! The sync marker is made from the schema and not by chance, and blocks end by size alone: the same records give the same
//! file. Reading is in `reader.rs`, with a library that shares no code with this.

mod encode;
mod schema;

use std::{ops::Range, sync::Arc};

use base::{Batch, Body, Rejects, Schema, code};
use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::{Encoder, Error, columns::views, reject};

pub(crate) use encode::kind_name;
pub use schema::avro_schema_text;

/// A block is closed by the record that reaches so many bytes: Avro's own default, 16,000 rounded up.
const BLOCK_BYTES: usize = 16 << 10;
const MAGIC: &[u8; 4] = b"Obj\x01";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AvroCodec {
    #[default]
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl AvroCodec {
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "null" => Ok(AvroCodec::Null),
            "deflate" => Ok(AvroCodec::Deflate),
            "snappy" => Ok(AvroCodec::Snappy),
            "zstandard" => Ok(AvroCodec::Zstandard),
            _ => Err(Error::Unknown {
                given: text.to_owned(),
                what: "Avro codec",
                known: "null, deflate, snappy, zstandard",
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            AvroCodec::Null => "null",
            AvroCodec::Deflate => "deflate",
            AvroCodec::Snappy => "snappy",
            AvroCodec::Zstandard => "zstandard",
        }
    }
}

pub(crate) struct AvroEncoder {
    schema: Arc<Schema>,
    codec: AvroCodec,
    header: Option<Vec<u8>>,
    sync: [u8; 16],
    block: Vec<u8>,
    block_records_count: i64,
}

impl AvroEncoder {
    pub(crate) fn new(schema: &Arc<Schema>, codec: AvroCodec, is_enhanced: bool) -> Result<Self, Error> {
        let text = avro_schema_text(schema, is_enhanced)?;
        let sync = sync_marker(text.as_bytes());
        let mut header = MAGIC.to_vec();
        encode::append_long(2, &mut header);
        for (name, value) in [("avro.schema", text.as_str()), ("avro.codec", codec.name())] {
            encode::append_bytes(name.as_bytes(), &mut header);
            encode::append_bytes(value.as_bytes(), &mut header);
        }
        header.push(0);
        header.extend_from_slice(&sync);
        Ok(Self {
            schema: schema.clone(),
            codec,
            header: Some(header),
            sync,
            block: Vec::new(),
            block_records_count: 0,
        })
    }

    /// Of a file whose blocks are made beside each other: the header is taken out, and stands before all of them.
    pub(crate) fn take_header(&mut self) -> Vec<u8> {
        self.header.take().unwrap_or_default()
    }

    /// What `encode` appends is one record, unless it refuses.
    fn append_record(
        &mut self,
        encode: impl FnOnce(&Schema, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<(), String> {
        let start = self.block.len();
        let encoded = encode(&self.schema, &mut self.block);
        match encoded {
            Ok(()) => self.block_records_count += 1,
            Err(_) => self.block.truncate(start),
        }
        encoded
    }

    fn close_block(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
        }
        if self.block_records_count == 0 {
            return Ok(());
        }
        let failed = |source| Error::Encoder { format: "Avro", source };
        let packed = compress(self.codec, &self.block).map_err(failed)?;
        encode::append_long(self.block_records_count, out);
        encode::append_bytes(packed.as_deref().unwrap_or(&self.block), out);
        out.extend_from_slice(&self.sync);
        self.block.clear();
        self.block_records_count = 0;
        Ok(())
    }
}

impl Encoder for AvroEncoder {
    fn append(&mut self, batch: &Batch, rows: Range<usize>, out: &mut Vec<u8>) -> Result<Rejects, Error> {
        let views = match &batch.body {
            Body::Columns(columns) => views(columns)?,
            Body::Rows(_) => Vec::new(),
            Body::Raw(_) => return Err(Error::Form { format: "Avro", form: "raw bytes" }),
        };
        let mut rejects = Rejects::default();
        for row in rows {
            let written = self.append_record(|schema, block| match &batch.body {
                Body::Rows(values) => encode::append(&values[row], schema, block),
                Body::Columns(_) | Body::Raw(_) => {
                    encode::append_record(views.iter().map(|view| view.cell(row)), schema, block)
                }
            });
            if let Err(reason) = written {
                rejects.0.push(reject(batch, row, code::TM0601, "TASK_PUT", reason));
            }
            if self.block.len() >= BLOCK_BYTES {
                self.close_block(out)?;
            }
        }
        Ok(rejects)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.close_block(out)
    }

    fn held_bytes(&self) -> usize {
        self.block.len()
    }
}

/// `None`: as it is.
fn compress(codec: AvroCodec, block: &[u8]) -> Result<Option<Vec<u8>>, base::BoxError> {
    match codec {
        AvroCodec::Null => Ok(None),
        AvroCodec::Deflate => {
            let mut packed = Vec::with_capacity(block.len() + 64);
            let mut deflate = Compress::new(Compression::default(), false);
            // Grows until everything fits: incompressible data takes a few bytes more than it had.
            while deflate.compress_vec(
                &block[deflate.total_in() as usize..],
                &mut packed,
                FlushCompress::Finish,
            )? != flate2::Status::StreamEnd
            {
                packed.reserve(packed.len().max(64));
            }
            Ok(Some(packed))
        }
        AvroCodec::Snappy => {
            let mut packed = snap::raw::Encoder::new().compress_vec(block)?;
            let mut crc = Crc::new();
            crc.update(block);
            packed.extend_from_slice(&crc.sum().to_be_bytes());
            Ok(Some(packed))
        }
        AvroCodec::Zstandard => Ok(Some(zstd::bulk::compress(block, 3)?)),
    }
}

/// Sixteen bytes that follow from the schema: FNV-1a, twice, from two seeds.
fn sync_marker(text: &[u8]) -> [u8; 16] {
    let half = |seed: u64| {
        text.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut marker = [0; 16];
    marker[..8].copy_from_slice(&half(0xcbf2_9ce4_8422_2325).to_be_bytes());
    marker[8..].copy_from_slice(&half(0x6c62_272e_07bb_0142).to_be_bytes());
    marker
}

#[cfg(test)]
mod tests;
