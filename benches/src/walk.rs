//! What it takes to look at every record of the batches that producers send: the check that a log makes before it takes them.

use anyhow::{Context, Result, ensure};
use wire::batch::{Batch, BatchError};

use crate::ready::Contents;

/// As the log has it.
const RECORDS_BYTES_MAX: usize = 256 << 20;

/// Which batches.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    contents: Contents,
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
}

/// Seconds of this thread's CPU, for the checksum and for the records.
pub fn run(args: &Args) -> Result<serde_json::Value> {
    let batches = args.contents.batches()?;
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
        "codec": args.contents.codec, "records": seen, "packed_bytes": batches[0].len(),
        "crc_seconds_per_million": per_million(crc_seconds), "walk_seconds_per_million": per_million(walk_seconds),
    }))
}

/// Of this thread so far, as Linux counts them.
fn cpu_seconds() -> Result<f64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let on_cpu_ns: u64 = told.split(' ').next().context("the time on a processor")?.parse()?;
    Ok(on_cpu_ns as f64 / 1e9)
}
