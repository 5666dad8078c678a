//! dlt's naming convention `snake_case`: how fields become columns and collections tables.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use regex::Regex;
use shake::{ExtendableOutput as _, Shake128, Update as _, XofReader as _};

/// Between a table and its child, and between an object's field and what lies in it.
pub(crate) const SEPARATOR: &str = "__";
/// What a name that is empty, or nothing but white space, is called.
const EMPTY: &str = "_empty";
/// What dlt takes where a target names no limit.
const IDENTIFIER_MAX: usize = 65_536;
/// Bytes of the hash in a shortened name: six characters of base64, for dlt's odds of a collision of 0.001.
const TAG_BYTES: usize = 4;

static NOT_ALPHANUMERIC: LazyLock<Regex> = LazyLock::new(|| compiled(r"[^a-zA-Z\d_]+"));
static WORD: LazyLock<Regex> = LazyLock::new(|| compiled("([^_])([A-Z][a-z]+)"));
static HUMP: LazyLock<Regex> = LazyLock::new(|| compiled("([a-z0-9])([A-Z])"));
static DIGITS_FIRST: LazyLock<Regex> = LazyLock::new(|| compiled(r"^\d+"));
static UNDERSCORES: LazyLock<Regex> = LazyLock::new(|| compiled("__+"));

/// Names as a target takes them; `identifier_max` characters at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    pub identifier_max: usize,
}

impl Naming {
    /// The convention for a target with this limit of names; files have none.
    pub fn new(identifier_max: Option<usize>) -> Self {
        Self { identifier_max: identifier_max.unwrap_or(IDENTIFIER_MAX) }
    }

    /// One name, its parts between `__` each for itself: `Customer Address` is `customer_address`.
    pub fn name(&self, name: &str) -> String {
        let parts = name.split(SEPARATOR).map(str::trim).filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(|part| self.part(part)).collect();
        if parts.is_empty() {
            return EMPTY.to_owned();
        }
        self.shortened(parts.join(SEPARATOR), name)
    }

    /// Names that are normal already, joined with `__` and shortened where they are too long.
    pub fn joined(&self, parts: &[&str]) -> String {
        let joined = parts.join(SEPARATOR);
        let whole = joined.clone();
        self.shortened(joined, &whole)
    }

    fn part(&self, part: &str) -> String {
        let reduced: String = part
            .chars()
            .map(|letter| match letter {
                '+' | '*' => 'x',
                '-' => '_',
                '@' => 'a',
                '|' => 'l',
                other => other,
            })
            .collect();
        let plain = NOT_ALPHANUMERIC.replace_all(&reduced, "_");
        let words = WORD.replace_all(&plain, "${1}_${2}");
        let mut snake = HUMP.replace_all(&words, "${1}_${2}").to_lowercase();
        if DIGITS_FIRST.is_match(&snake) {
            snake.insert(0, '_');
        }
        let bare_length = snake.trim_end_matches('_').len();
        let trailing = snake.len() - bare_length;
        snake.truncate(bare_length);
        snake.extend(std::iter::repeat_n('x', trailing));
        self.shortened(UNDERSCORES.replace_all(&snake, "_").into_owned(), part)
    }

    /// Too long a name keeps its two ends, with a tag of the `original` between them.
    fn shortened(&self, name: String, original: &str) -> String {
        let length = name.chars().count();
        if length <= self.identifier_max {
            return name;
        }
        let tag = STANDARD.encode(shake128::<TAG_BYTES>(&[original.as_bytes()]));
        let tag = tag.trim_end_matches('=').replace('/', "a").replace('+', "b").to_lowercase();
        let remaining = self.identifier_max.saturating_sub(tag.len());
        let head: String = name.chars().take(remaining / 2 + remaining % 2).collect();
        let tail: String = name.chars().skip(length - remaining / 2).collect();
        head + &tag + &tail
    }
}

/// The first bytes of SHAKE-128 over all parts.
pub(crate) fn shake128<const LENGTH: usize>(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut hash = Shake128::default();
    for part in parts {
        hash.update(part);
    }
    let mut digest = [0; LENGTH];
    hash.finalize_xof().read(&mut digest);
    digest
}

/// The convention's own patterns, which are always right.
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file, which a test compiles")
}

#[cfg(test)]
mod tests;
