//! `.env`: `NAME=VALUE` lines, read by dotenvy, with the line each came from. A connection or a variable that is bare JSON
//! is taken as it stands, as `docker --env-file` takes it: dotenvy would take its quotes away.

use crate::{Error, origin::TextFile};

pub(crate) struct Line {
    pub name: String,
    pub value: String,
    pub start: usize,
    pub length: usize,
}

pub(crate) fn lines(file: &TextFile) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    let mut rest = String::with_capacity(file.text.len());
    for text in file.text.split_inclusive('\n') {
        match bare_json(text) {
            Some((name, value)) => {
                let (start, length) = (rest.len(), text.trim_end().len());
                lines.push(Line { name: name.to_owned(), value: value.to_owned(), start, length });
                // As long as the line was, so that what follows keeps its place.
                rest.extend(std::iter::once('#').chain(std::iter::repeat_n(' ', text.trim_end().len() - 1)));
                rest.push_str(&text[text.trim_end().len()..]);
            }
            None => rest.push_str(text),
        }
    }
    for pair in dotenvy::from_read_iter(rest.as_bytes()) {
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

/// `AIRFLOW_CONN_X={"conn_type": …}`, in one line.
fn bare_json(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_ours = name.starts_with("AIRFLOW_CONN_") || name.starts_with("AIRFLOW_VAR_");
    (is_ours && value.starts_with(['{', '['])).then_some((name, value))
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
