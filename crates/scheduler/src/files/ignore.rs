//! `.airflowignore`: patterns as in `.gitignore`, each file's for its own folder and below.

use regex::Regex;

/// One line of such a file.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    includes: bool,
}

/// The patterns of a file's text; what cannot be a pattern matches nothing.
pub(crate) fn patterns(text: &str) -> Vec<Pattern> {
    text.lines().filter_map(|line| pattern(line.split('#').next().unwrap_or("").trim())).collect()
}

/// What the last matching pattern says of a path relative to the patterns' folder; folders end in `/`. `None`: none matches.
pub(crate) fn verdict(patterns: &[Pattern], path: &str) -> Option<bool> {
    patterns.iter().rev().find(|pattern| pattern.regex.is_match(path)).map(|pattern| pattern.includes)
}

fn pattern(line: &str) -> Option<Pattern> {
    let (includes, glob) = match line.strip_prefix('!') {
        Some(glob) => (false, glob),
        None => (true, line),
    };
    let (glob, only_folder) = match glob.strip_suffix('/') {
        Some(glob) => (glob, true),
        None => (glob, false),
    };
    if glob.is_empty() {
        return None;
    }
    let is_anchored = glob.contains('/');
    let mut text = String::from(if is_anchored { "^" } else { "^(?:.*/)?" });
    let mut rest = glob.trim_start_matches('/');
    while let Some(next) = rest.chars().next() {
        let (piece, length) = match next {
            '*' if rest.starts_with("**/") => ("(?:.*/)?".to_owned(), 3),
            '*' if rest.starts_with("**") => (".*".to_owned(), 2),
            '*' => ("[^/]*".to_owned(), 1),
            '?' => ("[^/]".to_owned(), 1),
            '[' if rest[1..].contains(']') => {
                let end = rest[1..].find(']').map_or(1, |end| end + 2);
                (rest[..end].replace("[!", "[^"), end)
            }
            other => (regex::escape(&other.to_string()), other.len_utf8()),
        };
        text += &piece;
        rest = &rest[length..];
    }
    // What lies in an ignored folder is ignored with it.
    text += if only_folder { "/" } else { "(?:/|$)" };
    Regex::new(&text).ok().map(|regex| Pattern { regex, includes })
}
