//! Texts that match a regular expression: a walk over its syntax tree with dice.
//!
//! ECMA's dialect is read as Rust's as far as both mean the same; what looks ahead or behind is left out of the making, and the
//! text is then held against the contract like everything that is not made right by construction.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::generate::dice::Dice;

pub(super) struct Pattern {
    tree: Hir,
    /// What was made may still not match: it has to be looked at.
    pub(super) is_exact: bool,
    /// Anything may stand before and behind what matches.
    pub(super) is_open_before: bool,
    pub(super) is_open_behind: bool,
}

/// Expressions whose tree is larger are refused: `(a{999}){999}`.
const TREE_BYTES_MAX: usize = 4 << 20;
/// Characters of one text.
pub(super) const TEXT_BYTES_MAX: usize = 1 << 20;

impl Pattern {
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let plain = without_lookaround(pattern);
        let is_exact = plain == pattern;
        let parsed = regex_syntax::ParserBuilder::new().nest_limit(100).build().parse(&rust_dialect(&plain));
        let tree = parsed.map_err(|error| {
            let error = error.to_string();
            let last =
                error.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim().to_owned();
            format!("no text can be made for the pattern {pattern:?}: {}", last.trim_start_matches("error: "))
        })?;
        if tree.properties().minimum_len().is_some_and(|bytes| bytes > TREE_BYTES_MAX) {
            return Err(format!("the pattern {pattern:?} asks for more than {TREE_BYTES_MAX} bytes"));
        }
        if tree.properties().minimum_len().is_none() {
            return Err(format!("nothing matches the pattern {pattern:?}"));
        }
        let has_words =
            tree.properties().look_set().iter().any(|look| !matches!(look, Look::Start | Look::End));
        let is_open_before = !tree.properties().look_set_prefix_any().contains(Look::Start);
        let is_open_behind = !tree.properties().look_set_suffix_any().contains(Look::End);
        Ok(Self { tree, is_exact: is_exact && !has_words, is_open_before, is_open_behind })
    }

    /// `stretch`: how often more than needed something may come again.
    pub(super) fn write(&self, dice: &mut Dice, stretch: u64, out: &mut String) {
        walk(&self.tree, dice, stretch, out);
    }

    /// A matcher for the same texts; `None` where ours reads only a part of it.
    pub(super) fn matcher(pattern: &str) -> Option<regex::Regex> {
        if without_lookaround(pattern) != pattern {
            return None;
        }
        regex::RegexBuilder::new(&rust_dialect(pattern)).size_limit(TREE_BYTES_MAX).build().ok()
    }
}

fn walk(tree: &Hir, dice: &mut Dice, stretch: u64, out: &mut String) {
    if out.len() > TEXT_BYTES_MAX {
        return;
    }
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => out.extend(one_of(class, dice)),
        HirKind::Repetition(again) => {
            let most = u64::from(again.max.unwrap_or(u32::MAX));
            let least = u64::from(again.min);
            let count = dice.between(least, most.min(least.saturating_add(stretch)));
            (0..count).for_each(|_| walk(&again.sub, dice, stretch, out));
        }
        HirKind::Capture(group) => walk(&group.sub, dice, stretch, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| walk(part, dice, stretch, out)),
        HirKind::Alternation(ways) => walk(dice.pick(ways), dice, stretch, out),
    }
}

/// Letters and digits where the class has some, else what can be read, else anything of it.
fn one_of(class: &Class, dice: &mut Dice) -> Option<char> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            class.iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Bytes(class) => class.iter().map(|range| (range.start().into(), range.end().into())).collect(),
    };
    const LIKED: [&[(u32, u32)]; 3] = [&[(48, 57), (65, 90), (97, 122)], &[(32, 126)], &[(0, 0x10_FFFF)]];
    LIKED.iter().find_map(|liked| {
        let both = |&(start, end): &(u32, u32)| {
            liked.iter().map(move |&(first, last)| (start.max(first), end.min(last)))
        };
        let parts: Vec<(u32, u32)> =
            ranges.iter().flat_map(both).filter(|(start, end)| start <= end).collect();
        let count: u64 = parts.iter().map(|(start, end)| u64::from(end - start) + 1).sum();
        let mut at = u32::try_from(if count == 0 { return None } else { dice.below(count) }).ok()?;
        for (start, end) in parts {
            match at.checked_sub(end - start + 1) {
                Some(behind) => at = behind,
                // Surrogates are no characters; the one before them is.
                None => return Some(char::from_u32(start + at).unwrap_or('\u{D7FF}')),
            }
        }
        None
    })
}

/// Without the groups that look ahead or behind.
fn without_lookaround(pattern: &str) -> String {
    let bytes = pattern.as_bytes();
    let (mut out, mut at, mut in_class) = (String::with_capacity(pattern.len()), 0, false);
    let begins =
        |at: usize| ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|start| pattern[at..].starts_with(start));
    while at < bytes.len() {
        let step = pattern[at..].chars().next().map_or(1, char::len_utf8);
        match bytes[at] {
            b'\\' => {
                let next = pattern[at + 1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&pattern[at..at + 1 + next]);
                at += 1 + next;
                continue;
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class && begins(at) => {
                at = group_end(bytes, at);
                continue;
            }
            _ => {}
        }
        out.push_str(&pattern[at..at + step]);
        at += step;
    }
    out
}

/// Behind the bracket that closes the one at `at`.
fn group_end(bytes: &[u8], mut at: usize) -> usize {
    let (mut depth, mut in_class) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => depth += 1,
            b')' if !in_class => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// What ECMA writes otherwise: `\d` and `\w` mean ASCII there, `\/` and `\cX` are escapes, `[` in a class is itself.
fn rust_dialect(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(one) = chars.next() {
        match one {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class { "A-Za-z0-9_" } else { "[A-Za-z0-9_]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^A-Za-z0-9_]"),
                Some('c') => {
                    let letter = chars.next().map_or(0, |letter| letter as u32 % 32);
                    out.push_str(&format!("\\x{{{letter:X}}}"));
                }
                Some('u') if chars.peek().is_some_and(|next| *next != '{') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    out.push_str(&format!("\\u{{{digits}}}"));
                }
                // A letter that is escaped without need stands for itself.
                Some(other) if other.is_ascii_alphabetic() && !"abfnrtvsSbBpPxuUAz".contains(other) => {
                    out.push(other)
                }
                Some('/') => out.push('/'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.extend(chars.next());
                }
                // `[]` and `[^]`: nothing, and anything.
                if chars.peek() == Some(&']') {
                    chars.next();
                    in_class = false;
                    let is_any = out.ends_with('^');
                    out.truncate(out.len() - 1 - usize::from(is_any));
                    out.push_str(if is_any { "(?s:.)" } else { "[^\\s\\S]" });
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' | '-' if in_class && chars.peek() == Some(&one) => out.extend(['\\', one]),
            other => out.push(other),
        }
    }
    out
}
