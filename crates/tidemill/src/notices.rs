//! What goes wrong and mends itself while work is shown: a line above the bar on a terminal, a plain line elsewhere, an event where events
//! are wanted. Whoever notices it writes a warning into the log; where nothing is shown, it is a line of the log as every other.

use std::{
    fmt::{Debug, Write as _},
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
};

use base::units::seconds_text;
use indicatif::ProgressBar;
use serde_json::json;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// How the work is shown that goes on.
#[derive(Debug, Clone)]
pub enum Manner {
    Bar(ProgressBar),
    Lines,
    Events,
}

/// A process shows one work at a time.
static SHOWN: Mutex<Option<Manner>> = Mutex::new(None);

/// Until it is dropped, warnings are part of what is shown; then they are what they were before.
pub struct Showing {
    before: Option<Manner>,
}

impl Showing {
    pub fn begin(manner: Manner) -> Self {
        let before = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).replace(manner);
        Self { before }
    }

    /// For a command that has no bar yet, or none at all.
    pub fn of_command(is_json: bool) -> Self {
        Self::begin(if is_json { Manner::Events } else { Manner::Lines })
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = self.before.take();
    }
}

fn shown() -> Option<Manner> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Writes to stderr without a bar across it.
pub fn beside_the_bar<T>(write: impl FnOnce() -> T) -> T {
    match shown() {
        Some(Manner::Bar(bar)) => bar.suspend(write),
        Some(Manner::Lines | Manner::Events) | None => write(),
    }
}

/// Crates whose warnings are about the work itself.
const OURS: [&str; 5] = ["cloud", "connectors", "engine", "pipelines", "tidemill"];

/// Whether it is told as part of what is shown, and so not in the log.
pub fn is_notice(metadata: &Metadata<'_>) -> bool {
    let room = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() == Level::WARN && OURS.contains(&room) && shown().is_some()
}

/// Tells notices.
pub struct Notices;

impl<S: Subscriber> Layer<S> for Notices {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !is_notice(event.metadata()) {
            return;
        }
        let mut notice = Notice::default();
        event.record(&mut notice);
        let text = notice.text();
        // Where nobody listens any more the notice is lost, and not the work.
        let tell = || writeln!(io::stderr(), "warning: {text}").ok();
        match shown() {
            Some(Manner::Bar(bar)) => bar.suspend(tell),
            Some(Manner::Lines) => tell(),
            Some(Manner::Events) => {
                let event = json!({ "event": "warning", "message": text, "wait_ms": notice.wait_ms });
                writeln!(io::stdout(), "{event}").ok()
            }
            None => None,
        };
    }
}

/// `SUBJECT: what happens in 0.2 s: why`
#[derive(Default)]
struct Notice {
    subject: String,
    message: String,
    wait_ms: Option<u64>,
    why: String,
}

impl Notice {
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.subject.is_empty() {
            text = format!("{}: ", self.subject);
        }
        text += &self.message;
        if let Some(wait_ms) = self.wait_ms {
            text += &format!(" in {}", seconds_text(wait_ms as f64 / 1_000.0));
        }
        if !self.why.is_empty() {
            text += &format!(": {}", self.why);
        }
        text
    }
}

impl Visit for Notice {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let into = match field.name() {
            "message" => &mut self.message,
            "error" | "why" => &mut self.why,
            _ => &mut self.subject,
        };
        if !into.is_empty() {
            into.push(' ');
        }
        // A text has no error to give.
        write!(into, "{value:?}").ok();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "wait_ms" => self.wait_ms = Some(value),
            _ => self.record_debug(field, &value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_a_sentence() {
        let notice = |subject: &str, wait_ms, why: &str| {
            let message = "asks again".to_owned();
            Notice { subject: subject.to_owned(), message, wait_ms, why: why.to_owned() }.text()
        };
        assert_eq!(notice("", None, ""), "asks again");
        assert_eq!(notice("a.csv", None, "no"), "a.csv: asks again: no");
        assert_eq!(notice("a.csv", Some(200), ""), "a.csv: asks again in 200 ms");
        assert_eq!(notice("", Some(1_500), "status 503"), "asks again in 1.5 s: status 503");
    }
}
