//! What it takes to look at every record of the batches that producers send: the check that a log makes before it takes them.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use wire::{
    batch::{Batch, BatchBuilder, BatchError},
    compression::Compression,
};

use crate::load;

/// As the log has it.
const RECORDS_BYTES_MAX: usize = 256 << 20;

/// Which batches.
#[derive(clap::Args)]
pub struct Args {
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long)]
    codec: String,
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
    /// Values are random bytes, so many of them, instead of JSON events of about 100 bytes
    #[arg(long)]
    record_bytes: Option<usize>,
    /// Before they are packed
    #[arg(long, default_value_t = 131_072)]
    batch_bytes: usize,
}

/// Seconds of this thread's CPU, for the checksum and for the records.
pub fn run(args: &Args) -> Result<serde_json::Value> {
    let batches = batches(args)?;
    let (mut seen, mut last) = (0, 0);
    let (mut crc_seconds, mut walk_seconds) = (0.0, 0.0);
    for bytes in batches.iter().cycle() {
        if seen >= args.records {
            break;
        }
        let batch = Batch::first(bytes)?;
        let start = cpu_seconds()?;
        batch.check_crc()?;
        let checked = cpu_seconds()?;
        batch.walk::<BatchError>(RECORDS_BYTES_MAX, |record| {
            last = last.max(record.timestamp_ms);
            Ok(())
        })?;
        crc_seconds += checked - start;
        walk_seconds += cpu_seconds()? - checked;
        seen += batch.header.records_count as u64;
    }
    ensure!(last > 0, "no record has a time");
    let per_million = |seconds: f64| seconds * 1e6 / seen as f64;
    Ok(serde_json::json!({
        "codec": args.codec, "records": seen, "packed_bytes": batches[0].len(),
        "crc_seconds_per_million": per_million(crc_seconds), "walk_seconds_per_million": per_million(walk_seconds),
    }))
}

/// A few, so that they do not stay in the nearest memory.
fn batches(args: &Args) -> Result<Vec<Bytes>> {
    let codec = match args.codec.as_str() {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => bail!("no codec {other}"),
    };
    let noise = load::noise(args.record_bytes.unwrap_or(0) + 4096);
    let (mut all, mut value, mut number) = (Vec::new(), Vec::new(), 0);
    while all.len() < 40 {
        let mut builder = BatchBuilder::new(0).compression(codec);
        while builder.size_bytes() < args.batch_bytes {
            value.clear();
            match args.record_bytes {
                Some(bytes) => {
                    let from = (number % 4096) as usize;
                    value.extend_from_slice(&noise[from..from + bytes]);
                }
                None => load::write_event(&mut value, number),
            }
            let offset = i64::from(builder.records_count());
            builder.push(offset, 1_700_000_000_000 + number as i64 / 100, None, Some(&value), []);
            number += 1;
        }
        all.push(builder.finish()?);
    }
    Ok(all)
}

/// Of this thread so far, as Linux counts them.
fn cpu_seconds() -> Result<f64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let on_cpu_ns: u64 = told.split(' ').next().context("the time on a processor")?.parse()?;
    Ok(on_cpu_ns as f64 / 1e9)
}
