//! How a load is shown: a bar on a terminal, a line every few seconds elsewhere, a summary at its end; with `--output json` an event
//! a line on stdout.

use std::{future::Future, path::Path, sync::Arc};

use async_trait::async_trait;
use base::{
    Extent, Fault, Rejects, Split,
    units::{bytes_text, count_text, counted, seconds_text},
};
use engine::{DeadLetters, Histogram, Progress, Summary};
use serde_json::{Value, json};

use super::job::milliseconds;
use crate::{context::Context, shown::Shown};

/// Tells of one load.
pub(super) struct Reporter {
    shown: Shown,
    is_json: bool,
    target: String,
    id: String,
    /// What its target's kind has to say of it.
    told: Value,
}

impl Reporter {
    /// A bar where the sources' size is known.
    pub(super) fn new(context: &Context, target: &str, id: &str, told: Value, total: Option<u64>) -> Self {
        let bar = "{bar:32.cyan/blue} {percent:>3}%  {msg}  eta {eta}";
        let shown = match context.is_json() {
            true => Shown::silent(),
            false => Shown::begin(total, if total.is_some() { bar } else { "{spinner} {msg}" }),
        };
        let reporter =
            Self { shown, is_json: context.is_json(), target: target.to_owned(), id: id.to_owned(), told };
        reporter.event("started", json!({ "bytes_total": total }));
        reporter
    }

    /// Something of the target that is known only at the end.
    pub(super) fn tell(&mut self, name: &str, value: Value) {
        self.told[name] = value;
    }

    /// Runs the load and tells of it meanwhile.
    pub(super) async fn until<T>(&self, work: impl Future<Output = T>, progress: &Progress) -> T {
        let told = |seconds| {
            self.event("progress", counts(progress, seconds));
            line(progress, seconds)
        };
        self.shown.until(work, told).await
    }

    /// The closing lines, or the last event.
    pub(super) fn finished(
        &self,
        summary: &Summary,
        commits: &Histogram,
        dead_letters: Option<&Path>,
        was_interrupted: bool,
    ) {
        let seconds = self.shown.seconds();
        let rate = (summary.records_count as f64 / seconds.max(0.001)) as u64;
        if self.is_json {
            self.event(
                "finished",
                json!({
                    "interrupted": was_interrupted,
                    "records_count": summary.records_count,
                    "bytes": summary.bytes,
                    "rejected_count": summary.rejected_count,
                    "retries_count": summary.retries_count,
                    "dead_letters": dead_letters,
                    "seconds": seconds,
                    "records_per_second": rate,
                    "commits": {
                        "count": commits.count(),
                        "p50_ms": milliseconds(commits.percentile(50)),
                        "p90_ms": milliseconds(commits.percentile(90)),
                        "p99_ms": milliseconds(commits.percentile(99)),
                        "max_ms": milliseconds(commits.max()),
                    },
                }),
            );
            return;
        }
        println!(
            "{} ({}) to {} in {}: {} records/s",
            counted(summary.records_count, "record"),
            bytes_text(summary.bytes),
            self.target,
            seconds_text(seconds),
            count_text(rate)
        );
        // One commit has no distribution.
        if commits.count() > 1 {
            let ms = |time| format!("{:.1} ms", milliseconds(time));
            println!(
                "{} commits: p50 {}, p90 {}, p99 {}, max {}",
                count_text(commits.count()),
                ms(commits.percentile(50)),
                ms(commits.percentile(90)),
                ms(commits.percentile(99)),
                ms(commits.max())
            );
        }
        if let Some(folder) = dead_letters {
            let (were, they_are) =
                if summary.rejected_count == 1 { ("was", "it is") } else { ("were", "they are") };
            let refused = counted(summary.rejected_count, "record");
            println!("{refused} {were} refused; {they_are} in {}", folder.display());
        }
    }

    fn event(&self, event: &str, more: Value) {
        if !self.is_json {
            return;
        }
        let mut object = json!({ "event": event, "load": self.id });
        if let Value::Object(object) = &mut object {
            for part in [self.told.clone(), more] {
                if let Value::Object(part) = part {
                    object.extend(part);
                }
            }
        }
        println!("{object}");
    }
}

fn counts(progress: &Progress, seconds: f64) -> Value {
    json!({
        "records_count": progress.records_written(),
        "committed_count": progress.records_committed(),
        "bytes_read": progress.bytes_read(),
        "rejected_count": progress.rejected(),
        "retries_count": progress.retries(),
        "seconds": seconds,
        "records_per_second": (progress.records_written() as f64 / seconds) as u64,
    })
}

/// The line while it runs, and how far the sources are read.
fn line(progress: &Progress, seconds: f64) -> (u64, String) {
    let (records, bytes) = (progress.records_written(), progress.bytes_read());
    let mut text = format!(
        "{} records  {}  {}/s  {}/s",
        count_text(records),
        bytes_text(bytes),
        count_text((records as f64 / seconds) as u64),
        bytes_text((bytes as f64 / seconds) as u64)
    );
    for (count, what) in [(progress.rejected(), "refused"), (progress.retries(), "retries")] {
        if count > 0 {
            text += &format!("  {} {what}", count_text(count));
        }
    }
    (bytes, text)
}

/// Dead letters, each told of as it comes where events are wanted.
pub(super) struct Announced {
    inner: Arc<dyn DeadLetters>,
    is_json: bool,
}

impl Announced {
    pub(super) fn new(inner: Arc<dyn DeadLetters>, context: &Context) -> Self {
        Self { inner, is_json: context.is_json() }
    }
}

#[async_trait]
impl DeadLetters for Announced {
    async fn put(&self, split: &Split, rejects: Rejects) -> Result<(), Fault> {
        if self.is_json {
            for reject in &rejects.0 {
                let (place, code) = (reject.origin.to_string(), reject.code.id);
                println!(
                    "{}",
                    json!({ "event": "rejected", "place": place, "code": code, "reason": reject.reason })
                );
            }
        }
        self.inner.put(split, rejects).await
    }

    async fn flush(&self, extent: &Extent) -> Result<(), Fault> {
        self.inner.flush(extent).await
    }

    async fn discard(&self, split: &Split) {
        self.inner.discard(split).await;
    }
}
