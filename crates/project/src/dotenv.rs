//! `.env`: `NAME=VALUE` lines, read by dotenvy, with the line each came from.

use crate::{Error, origin::TextFile};

pub(crate) struct Line {
    pub name: String,
    pub value: String,
    pub start: usize,
    pub length: usize,
}

pub(crate) fn lines(file: &TextFile) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for pair in dotenvy::from_read_iter(file.text.as_bytes()) {
        match pair {
            Ok((name, value)) => {
                let (start, length) = place(&file.text, &name);
                lines.push(Line { name, value, start, length });
            }
            Err(error) => {
                let part = match &error {
                    dotenvy::Error::LineParse(line, _) => line.clone(),
                    _ => String::new(),
                };
                let start = file.text.find(part.as_str()).unwrap_or(0);
                let line = file.text[..start].matches('\n').count() + 1;
                return Err(Error::DotEnv { file: file.clone(), start, line });
            }
        }
    }
    Ok(lines)
}

/// Where the last line that sets `name` stands.
fn place(text: &str, name: &str) -> (usize, usize) {
    let mut start = 0;
    let mut found = (0, 0);
    for line in text.split_inclusive('\n') {
        let words = line.trim_start().trim_start_matches("export ").trim_start();
        if words.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('=')) {
            found = (start, line.trim_end().len());
        }
        start += line.len();
    }
    found
}
