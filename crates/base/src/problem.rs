//! What every error of ours can say: what, where, why, what to do, and a code that names its page.
//!
//! The one list of codes is here; `docs/errors/` has a page for each, and a test compares the two. Only the binary draws.

use std::{error::Error, fmt, sync::Arc};

use crate::Origin;

/// An error that a person will read. `Display` is what happened, `source` why.
pub trait Problem: Error + Send + Sync + 'static {
    fn code(&self) -> Code;
    fn spot(&self) -> Option<Spot> {
        None
    }
    /// What to do, as an order: `free the port, or set registry.listen`.
    fn help(&self) -> String;
}

/// An error as plain lines: what, where, why down to the root, what to do. Snapshots and logs use it.
pub fn plain(problem: &dyn Problem) -> String {
    let mut text = format!("{} × {problem}", problem.code().id);
    if let Some(spot) = problem.spot() {
        text += &format!("\n  at {spot}");
        if let Spot::Text { label, .. } = spot
            && !label.is_empty()
        {
            text += &format!(": {label}");
        }
    }
    let mut cause = problem.source();
    while let Some(error) = cause {
        text += &format!("\n  because {error}");
        cause = error.source();
    }
    text + &format!("\n  help: {}\n", problem.help())
}

/// Where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// In a text file: the bytes `start..start + length` of `text` are underlined and carry `label`.
    Text { path: Arc<str>, text: Arc<str>, start: usize, length: usize, label: String },
    /// One record: topic/partition/offset, file:line, collection/_id.
    Record(Origin),
    /// A file:line:column whose text is not at hand (it is too large, or came from a stream).
    Line { path: Arc<str>, line: u64, column: u64 },
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::Text { path, text, start, .. } => {
                let before = text.get(..*start).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
                write!(f, "{path}:{line}:{column}")
            }
            Spot::Record(origin) => write!(f, "{origin}"),
            Spot::Line { path, line, column } => write!(f, "{path}:{line}:{column}"),
        }
    }
}

/// The process's exit code for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    OurBug = 1,
    Usage = 2,
    Settings = 3,
    Denied = 4,
    Unreachable = 5,
    DataRefused = 6,
    PartFailed = 7,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `TM0412`; the page is `docs/errors/TM0412.md`.
    pub id: &'static str,
    /// A few words for lists and for the docs' index.
    pub title: &'static str,
    pub exit: Exit,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

macro_rules! codes {
    ($($id:ident $exit:ident $title:literal;)*) => {
        /// Every code there is, as a constant.
        pub mod code {
            use super::{Code, Exit};
            $(pub const $id: Code = Code { id: stringify!($id), title: $title, exit: Exit::$exit };)*
            /// In the order of their numbers; tests hold the pages against it.
            pub const ALL: &[Code] = &[$($id),*];
        }
    };
}

// 00 the process · 01 engine · 02 project · 03 broker · 04 registry · 05 contracts · 06 formats · 07 connectors
// 08 connect · 09 cloud and stores · 10 command line and environment. A number is never used twice.
codes! {
    TM0001 OurBug "a bug in tidemill";
    TM0002 PartFailed "the embedded environment failed";
    TM0951 PartFailed "the S3 endpoint cannot listen";
    TM0952 PartFailed "the folder of the S3 endpoint cannot be used";
    TM0953 Settings "a bucket cannot have this name";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_none_comes_twice() {
        assert!(code::ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn a_spot_counts_lines_and_columns_from_one() {
        let text: Arc<str> = "first\nsecond line\n".into();
        let spot = Spot::Text { path: "a.yaml".into(), text, start: 13, length: 4, label: String::new() };
        assert_eq!(spot.to_string(), "a.yaml:2:8");
    }
}
