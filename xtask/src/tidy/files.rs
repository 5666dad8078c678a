//! Each source file: its first line, its length, its functions' length, its words.

use std::collections::BTreeMap;

use super::{File, assert_none, rust_files};
use crate::run::root;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn every_file_says_first_what_it_is() {
    let broken = rust_files().into_iter().filter(|file| !file.text.starts_with("//!"));
    assert_none("a file begins with //!", &broken.map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_stay_short() {
    let ratchet = ratchet();
    let mut broken = Vec::new();
    for file in rust_files() {
        let lines = file.text.lines().count();
        let (name, longest) = longest_function(&file.text);
        let cases = [
            ("file_lines", "the file", lines, FILE_LINES_MAX),
            ("function_lines", &name, longest, FUNCTION_LINES_MAX),
        ];
        for (table, what, lines, allowed) in cases {
            let known = ratchet.get(&(table.to_owned(), file.path.clone())).copied();
            match known {
                Some(known) if lines <= allowed => {
                    broken.push(format!("{}: no longer needs its {known} in ratchet.toml", file.path));
                }
                Some(known) if lines < known => {
                    broken.push(format!("{}: lower {known} to {lines} in ratchet.toml", file.path));
                }
                _ if lines > known.unwrap_or(allowed) => {
                    broken.push(format!("{}: {what} has {lines} lines", file.path));
                }
                _ => {}
            }
        }
    }
    assert_none("files <= 800 lines, functions <= 70", &broken);
}

fn ratchet() -> BTreeMap<(String, String), usize> {
    let text = std::fs::read_to_string(root().join("ratchet.toml")).unwrap();
    let tables: BTreeMap<String, BTreeMap<String, usize>> = toml::from_str(&text).unwrap();
    let entries = tables
        .into_iter()
        .flat_map(|(table, rows)| rows.into_iter().map(move |(path, lines)| ((table.clone(), path), lines)));
    entries.collect()
}

/// rustfmt ends a function with a `}` as far in as its `fn`.
fn longest_function(text: &str) -> (String, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let mut longest = (String::new(), 0);
    for (at, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        let Some(name) = function_name(body) else { continue };
        if body.ends_with(';') || body.ends_with('}') {
            continue;
        }
        let end = lines[at..].iter().position(|line| *line == format!("{indent}}}"));
        let length = end.map_or(0, |end| end + 1);
        if length > longest.1 {
            longest = (format!("fn {name}"), length);
        }
    }
    longest
}

fn function_name(body: &str) -> Option<&str> {
    let words = ["pub", "async", "const", "unsafe", "extern", "\"C\""];
    let mut rest = body;
    loop {
        let (word, more) = rest.split_once(' ')?;
        if word == "fn" {
            return more.split(['(', '<']).next();
        }
        if !(words.contains(&word) || word.starts_with("pub(")) {
            return None;
        }
        rest = more;
    }
}

#[test]
fn a_function_is_measured_from_its_name_to_its_brace() {
    let text = "impl A {\n    pub(crate) async fn one(\n        a: u8,\n    ) {\n        if a {\n        }\n    }\n}\nfn two() {}\n";
    assert_eq!(longest_function(text), ("fn one".to_owned(), 6));
}

/// A word, what to say instead, and the files that may have it.
const BANNED: &[(&str, &str, &[&str])] = &[
    ("SystemTime::now", "take a &dyn Clock", &["crates/base/src/clock.rs"]),
    ("Utc::now", "take a &dyn Clock", &[]),
    ("Local::now", "take a &dyn Clock", &[]),
    ("mod util", "a function lives with its noun", &[]),
    ("mod helper", "a function lives with its noun", &[]),
    ("mod common", "a function lives with its noun", &[]),
    ("prelude::*", "name what is used", &[]),
    ("dbg!(", "remove it", &[]),
    ("todo!(", "finish it, or file an issue", &[]),
    ("unimplemented!(", "finish it, or answer with an error", &[]),
    ("#[ignore", "a test runs, or says what is absent", &[]),
];

/// In tests only: nothing there may wait for time to pass.
const BANNED_IN_TESTS: &[(&str, &str)] = &[
    ("time::sleep", "poll with a deadline: testkit::poll"),
    ("thread::sleep", "poll with a deadline: testkit::poll"),
];

#[test]
fn banned_words_stay_out() {
    let mut broken = Vec::new();
    for file in rust_files().iter().filter(|file| !file.path.ends_with("tidy/files.rs")) {
        for (number, line) in file.text.lines().enumerate() {
            let at = |word: &str, instead: &str| format!("{}:{}: {word}: {instead}", file.path, number + 1);
            let code = line.split("//").next().unwrap_or("");
            for (word, instead, allowed) in BANNED {
                let may = allowed.iter().any(|path| file.path.starts_with(path));
                if code.contains(word) && !may && !code.contains("proptest::prelude::*") {
                    broken.push(at(word, instead));
                }
            }
            for (word, instead) in BANNED_IN_TESTS {
                if code.contains(word) && is_test(file) {
                    broken.push(at(word, instead));
                }
            }
        }
    }
    assert_none("banned words", &broken);
}

fn is_test(file: &File) -> bool {
    file.path.contains("/tests/") || file.path.ends_with("tests.rs")
}

#[test]
fn lints_are_allowed_with_a_reason_only() {
    let bare = |file: &File| {
        let mut broken = Vec::new();
        for (number, line) in file.text.lines().enumerate() {
            let body = line.trim_start();
            let is_one = body.starts_with("#[allow(") || body.starts_with("#![allow(");
            if is_one && body.ends_with(")]") && !body.contains("reason") {
                broken.push(format!("{}:{}", file.path, number + 1));
            }
        }
        broken
    };
    let files = rust_files();
    let others = files.iter().filter(|file| !file.path.ends_with("tidy/files.rs"));
    assert_none("#[allow] without a reason", &others.flat_map(bare).collect::<Vec<_>>());
}

/// Names of machines, of work places and of tools that have no business in a public tree.
#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let endings = [".rs", ".md", ".toml", ".yaml", ".yml", ".json", ".py", ".java"];
    let mut broken = Vec::new();
    for ending in endings {
        for file in
            super::files(&["crates", "xtask", "benches", "fuzz", "docs", "examples", "changelog.d"], ending)
        {
            for (number, line) in file.text.lines().enumerate() {
                if line.contains(concat!("/wo", "rk/")) || line.contains(concat!("/ro", "ot/")) {
                    broken.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
                }
            }
        }
    }
    assert_none("paths of one machine", &broken);
}
