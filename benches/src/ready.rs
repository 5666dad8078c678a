//! Batches as a client makes them, made ready before anything is measured.

use anyhow::{Result, bail};
use bytes::Bytes;
use wire::{batch::BatchBuilder, compression::Compression};

use crate::load;

/// So many, so that they do not stay in the nearest memory.
const BATCHES: usize = 40;

/// What lies in them.
#[derive(clap::Args)]
pub struct Contents {
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none")]
    pub codec: String,
    /// Values are random bytes, so many of them, instead of JSON events of about 100 bytes
    #[arg(long)]
    record_bytes: Option<usize>,
    /// Before they are packed, as clients count
    #[arg(long, default_value_t = 131_072)]
    batch_bytes: usize,
}

impl Contents {
    pub fn batches(&self) -> Result<Vec<Bytes>> {
        let codec = match self.codec.as_str() {
            "none" => Compression::None,
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            other => bail!("no codec {other}"),
        };
        let noise = load::noise(self.record_bytes.unwrap_or(0) + 4096);
        let (mut all, mut value, mut number) = (Vec::new(), Vec::new(), 0);
        let mut builder = BatchBuilder::new(0).compression(codec);
        while all.len() < BATCHES {
            value.clear();
            match self.record_bytes {
                Some(bytes) => {
                    let from = (number % 4096) as usize;
                    value.extend_from_slice(&noise[from..from + bytes]);
                }
                None => load::write_event(&mut value, number),
            }
            if builder.records_count() > 0 && builder.size_bytes() + value.len() > self.batch_bytes {
                let full = std::mem::replace(&mut builder, BatchBuilder::new(0).compression(codec));
                all.push(full.finish()?);
            }
            let offset = i64::from(builder.records_count());
            builder.push(offset, 1_700_000_000_000 + number as i64 / 100, None, Some(&value), []);
            number += 1;
        }
        Ok(all)
    }
}
