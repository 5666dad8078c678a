//! How a load is shown: a bar on a terminal, a line every few seconds elsewhere, a summary at its end.

use std::path::Path;

use base::units::{bytes_text, count_text, seconds_text};
use engine::{Progress, Summary};
use serde_json::{Value, json};

use crate::{context::Context, shown::Shown};

/// A bar where the sources' size is known.
pub(super) fn begin(total: Option<u64>) -> Shown {
    let bar = "{bar:32.cyan/blue} {percent:>3}%  {msg}  eta {eta}";
    Shown::begin(total, if total.is_some() { bar } else { "{spinner} {msg}" })
}

/// The line while it runs, and how far the sources are read.
pub(super) fn line(progress: &Progress, seconds: f64) -> (u64, String) {
    let (records, bytes) = (progress.records_written(), progress.bytes_read());
    let text = format!(
        "{} records  {}/s  {}/s",
        count_text(records),
        count_text((records as f64 / seconds) as u64),
        bytes_text((bytes as f64 / seconds) as u64)
    );
    (bytes, text)
}

/// The closing line, or the object of `--output json`.
pub(super) fn result(
    context: &Context,
    summary: &Summary,
    target: &str,
    told: Value,
    seconds: f64,
    dead_letters: Option<&Path>,
) {
    let rate = (summary.records_count as f64 / seconds.max(0.001)) as u64;
    if context.is_json() {
        let mut object = told;
        let counts = json!({
            "records_count": summary.records_count,
            "bytes": summary.bytes,
            "rejected_count": summary.rejected_count,
            "dead_letters": dead_letters,
            "seconds": seconds,
            "records_per_second": rate,
        });
        if let (Value::Object(object), Value::Object(counts)) = (&mut object, counts) {
            object.extend(counts);
        }
        println!("{object}");
        return;
    }
    println!(
        "{} records ({}) to {target} in {}: {} records/s",
        count_text(summary.records_count),
        bytes_text(summary.bytes),
        seconds_text(seconds),
        count_text(rate)
    );
    if let Some(folder) = dead_letters {
        println!(
            "{} records were refused; they are in {}",
            count_text(summary.rejected_count),
            folder.display()
        );
    }
}
