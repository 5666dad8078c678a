//! How a load is shown: a bar on a terminal, a line every few seconds elsewhere, a summary at its end.

use std::{
    future::Future,
    io::IsTerminal,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use base::units::{bytes_text, count_text, seconds_text};
use connectors::files::Config;
use engine::{Progress, Summary};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::context::Context;

pub(super) struct Shown {
    progress: Arc<Progress>,
    bar: Option<ProgressBar>,
    began: Instant,
}

const BAR_MS: u64 = 100;
const LINE_MS: u64 = 5_000;

impl Shown {
    pub(super) fn begin(progress: Arc<Progress>, config: &Config) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| match total_bytes(config) {
            Some(bytes) => {
                let bar = ProgressBar::new(bytes);
                bar.set_style(style("{bar:32.cyan/blue} {percent:>3}%  {msg}  eta {eta}"));
                bar
            }
            None => {
                let bar = ProgressBar::new_spinner();
                bar.set_style(style("{spinner} {msg}"));
                bar
            }
        });
        Self { progress, bar, began: Instant::now() }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Draws until `work` is done.
    pub(super) async fn until<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let every = Duration::from_millis(if self.bar.is_some() { BAR_MS } else { LINE_MS });
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = ticks.tick() => self.draw(),
            }
        };
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        done
    }

    fn draw(&self) {
        let (records, bytes) = (self.progress.records_written(), self.progress.bytes_read());
        let seconds = self.seconds().max(0.001);
        let text = format!(
            "{} records  {}/s  {}/s",
            count_text(records),
            count_text((records as f64 / seconds) as u64),
            bytes_text((bytes as f64 / seconds) as u64)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(bytes);
                bar.set_message(text);
            }
            None => eprintln!("{text}"),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Known where all sources are plain files.
fn total_bytes(config: &Config) -> Option<u64> {
    let is_packed =
        |path: &Path| matches!(path.extension().and_then(|text| text.to_str()), Some("gz" | "zst"));
    config.paths.iter().try_fold(0, |sum, path| {
        if path == Path::new("-") || is_packed(path) {
            return None;
        }
        path.metadata().ok().map(|file| sum + file.len())
    })
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
