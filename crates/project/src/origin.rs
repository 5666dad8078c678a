//! Where a value was given: a default, a line of a file, a variable, a flag.

use std::{fmt, sync::Arc};

use base::Spot;

/// A text file that was read, kept for errors that show its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// As people see it: relative to the project folder's parent view where that is shorter.
    pub path: Arc<str>,
    pub text: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Line in the built-in defaults.yaml, counted from 1.
    Default { line: u32 },
    /// Bytes `start..start + length` of a project file.
    File { file: TextFile, start: usize, length: usize },
    /// A line of `.env`.
    DotEnv { file: TextFile, start: usize, length: usize, name: String },
    /// The name of an environment variable.
    Env(String),
    /// The flag as typed.
    Flag(String),
}

impl Origin {
    /// The place to underline, with `label`; none for what is not in a file.
    pub fn spot(&self, label: impl Into<String>) -> Option<Spot> {
        match self {
            Origin::File { file, start, length } | Origin::DotEnv { file, start, length, .. } => {
                Some(Spot::Text {
                    path: file.path.clone(),
                    text: file.text.clone(),
                    start: *start,
                    length: *length,
                    label: label.into(),
                })
            }
            Origin::Default { .. } | Origin::Env(_) | Origin::Flag(_) => None,
        }
    }

    /// The place without its text, where that may hold a secret.
    pub fn line(&self) -> Option<Spot> {
        let Some(Spot::Text { path, text, start, .. }) = self.spot("") else { return None };
        let before = text.get(..start).unwrap_or(&text);
        let line = before.matches('\n').count() as u64 + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() as u64 + 1;
        Some(Spot::Line { path, line, column })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default { .. } => f.write_str("default"),
            Origin::File { .. } => match self.spot("") {
                Some(spot) => write!(f, "{spot}"),
                None => Ok(()),
            },
            Origin::DotEnv { file, start, .. } => {
                let line = file.text.get(..*start).unwrap_or("").matches('\n').count() + 1;
                write!(f, "{}:{line}", file.path)
            }
            Origin::Env(name) => write!(f, "{name} in the environment"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}
