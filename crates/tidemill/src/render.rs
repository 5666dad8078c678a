//! Drawing: errors with their place, reason and help; logs on stderr.

use std::{
    fmt,
    io::{IsTerminal, Write},
};

use base::{
    Problem, Spot,
    problem::{causes, plain},
};
use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode};
use tracing_subscriber::{
    filter::dynamic_filter_fn,
    layer::{Layer, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{
    context::Context,
    notices::{self, Notices},
};

/// Prints an error to stderr: drawn on a terminal, plain lines elsewhere, an object with `--output json`.
pub fn failure(problem: &dyn Problem, context: &Context) {
    let text = if context.is_json() {
        json(problem) + "\n"
    } else if std::io::stderr().is_terminal() {
        drawn(problem)
    } else {
        plain(problem)
    };
    // A closed stderr has nobody to tell.
    std::io::stderr().write_all(text.as_bytes()).ok();
}

/// `{"code", "message", "place", "causes", "help"}` in one line.
pub fn json(problem: &dyn Problem) -> String {
    let causes: Vec<String> = causes(problem).map(ToString::to_string).collect();
    let object = serde_json::json!({
        "code": problem.code().id,
        "message": problem.to_string(),
        "place": problem.spot().map(|spot| spot.to_string()),
        "causes": causes,
        "help": problem.help(),
    });
    object.to_string()
}

/// With the lines of the file and colours, as miette draws them.
pub fn drawn(problem: &dyn Problem) -> String {
    let report = Report { problem, source: source(problem.spot()), spot: problem.spot() };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new().with_links(false);
    if handler.render_report(&mut text, &report).is_err() {
        return plain(problem);
    }
    text
}

fn source(spot: Option<Spot>) -> Option<NamedSource<String>> {
    match spot {
        Some(Spot::Text { path, text, .. }) => Some(NamedSource::new(&*path, text.to_string())),
        Some(Spot::Record(_) | Spot::Line { .. }) | None => None,
    }
}

/// A problem in miette's words.
struct Report<'a> {
    problem: &'a dyn Problem,
    source: Option<NamedSource<String>>,
    spot: Option<Spot>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.problem, f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)?;
        match &self.spot {
            Some(spot @ (Spot::Record(_) | Spot::Line { .. })) => write!(f, "\nat {spot}"),
            Some(Spot::Text { .. }) | None => Ok(()),
        }
    }
}

impl std::error::Error for Report<'_> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

impl Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code().id))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.help()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Some(Spot::Text { start, length, label, .. }) = &self.spot else { return None };
        let label = (!label.is_empty()).then(|| label.clone());
        Some(Box::new(std::iter::once(LabeledSpan::new(label, *start, (*length).max(1)))))
    }
}

/// What a shell reports of a program that SIGPIPE has ended: 128 + 13.
const EXIT_BROKEN_PIPE: i32 = 141;

/// `tidemill … | head`: when nobody reads any more, a command ends as others do, not with a panic. The signal itself stays
/// ignored, since a client that closes its connection must not end the environment. A panic that becomes an error is told as one.
pub fn end_quietly_without_a_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if base::panics::is_contained() {
            return;
        }
        let text = panic.payload_as_str().unwrap_or("");
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(EXIT_BROKEN_PIPE);
        }
        otherwise(panic);
    }));
}

/// From here on only a panic of this thread is told: the others are about to be cut off, and may panic for that.
pub fn hear_only_this_thread() {
    let (this, otherwise) = (std::thread::current().id(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == this {
            otherwise(panic);
        }
    }));
}

/// Logs go to stderr; `RUST_LOG` wins over `-v`.
pub fn start_logs(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    // The S3 library calls every refused request an error of its own; the client that sent it is told anyway.
    // AWS's prints whole answers of a metadata service that is not there; whoever asked says that nobody was found. Kafka's logs each
    // connection that it could not make; what it gives up comes back from its calls.
    let quiet = if verbose == 0 { ",s3s=off,aws_config=off,librdkafka=off,rdkafka=off" } else { "" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("{level}{quiet}")));
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| Lossy)
        .with_filter(dynamic_filter_fn(|metadata, _| !notices::is_notice(metadata)));
    tracing_subscriber::registry().with(filter).with(log).with(Notices).init();
}

/// Where the log goes to. On a disk that is full a line of it is lost; an error would end the thread that had something to say.
struct Lossy;

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        notices::beside_the_bar(|| Ok(std::io::stderr().write(bytes).unwrap_or(bytes.len())))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
