//! Texts of numbers, money, dates and truths, brought to the one way that casts and contracts read.

use std::borrow::Cow;

use chrono::format::{Parsed, parse};

use super::{DateFormat, Type};

/// What is done to a field's text. A text that is none of the kind is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// `1.234,5` or `1 234,5`: another mark than a point.
    Number {
        mark: u8,
    },
    Money {
        mark: u8,
    },
    Truth,
    Date {
        format: DateFormat,
    },
    /// By a format; without one as SQL and Python write it, `2013-01-31 10:00`.
    Moment {
        format: Option<DateFormat>,
    },
    /// As ISO 8601 has it, a date alone being its midnight.
    Midnight,
    /// What can be read by these, and all else as it is: before it is known what a column holds.
    Either(Box<[Reading]>),
}

impl Reading {
    pub(crate) fn of(kind: Type, mark: u8, format: Option<&DateFormat>) -> Option<Self> {
        match kind {
            Type::Int | Type::Float | Type::Decimal(_) => (mark != b'.').then_some(Reading::Number { mark }),
            Type::Money(_) => Some(Reading::Money { mark }),
            Type::Bool => Some(Reading::Truth),
            Type::Text => None,
            Type::Date => format.map(|format| Reading::Date { format: format.clone() }),
            Type::Timestamp => Some(Reading::Moment { format: format.cloned() }),
        }
    }

    /// Where nobody said what a column is: by the mark and the format that were given, if any were.
    pub(crate) fn of_unknown(mark: u8, format: Option<&DateFormat>) -> Option<Self> {
        let mut all = Vec::new();
        if let Some(format) = format {
            let is_time = format.has_time();
            let format = format.clone();
            all.push(if is_time {
                Reading::Moment { format: Some(format) }
            } else {
                Reading::Date { format }
            });
        }
        if mark != b'.' {
            all.push(Reading::Number { mark });
        }
        (!all.is_empty()).then(|| Reading::Either(all.into()))
    }

    pub(crate) fn read<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match self {
            Reading::Number { mark } => number(text, *mark),
            Reading::Money { mark } => money(text, *mark),
            Reading::Truth => truth(text),
            Reading::Date { format } => {
                let date = format.parsed(text)?.to_naive_date().ok()?;
                Some(Cow::Owned(date.format("%Y-%m-%d").to_string().into_bytes()))
            }
            Reading::Moment { format: Some(format) } => format.moment(text),
            Reading::Moment { format: None } => moment(text),
            Reading::Midnight if text.len() == 10 => {
                let mut whole = text.to_vec();
                whole.extend_from_slice(b"T00:00:00Z");
                Some(Cow::Owned(whole))
            }
            Reading::Midnight => Some(Cow::Borrowed(text)),
            Reading::Either(all) => {
                Some(all.iter().find_map(|reading| reading.read(text)).unwrap_or(Cow::Borrowed(text)))
            }
        }
    }
}

impl DateFormat {
    /// Whether it has more than a date.
    pub(crate) fn has_time(&self) -> bool {
        ["%H", "%I", "%T", "%R", "%X", "%c", "%s", "%+", "%k", "%l", "%r"]
            .iter()
            .any(|item| self.text.contains(item))
    }

    fn parsed(&self, text: &[u8]) -> Option<Parsed> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        Some(parsed)
    }

    /// A time without a zone is taken for UTC, a date alone for its midnight.
    fn moment(&self, text: &[u8]) -> Option<Cow<'static, [u8]>> {
        let parsed = self.parsed(text)?;
        let moment = match parsed.offset().or(parsed.timestamp().map(|_| 0)) {
            Some(_) => parsed.to_datetime().ok()?.naive_utc(),
            None => match parsed.to_naive_datetime_with_offset(0) {
                Ok(moment) => moment,
                Err(_) if !self.has_time() => parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?,
                Err(_) => return None,
            },
        };
        Some(Cow::Owned(moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into_bytes()))
    }
}

/// `2013-01-31 10:00`, `2013-01-31T10:00:00.5`: the `T`, the seconds and the zone that RFC 3339 wants, where they are missing.
fn moment(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let text = text.trim_ascii();
    if text.len() < 16 || !matches!(text[10], b' ' | b'T' | b't') {
        // A date alone is its midnight; a number is milliseconds, which the cast reads.
        return match text {
            [.., b'0'..=b'9'] if text.len() == 10 && text[4] == b'-' => {
                Some(Cow::Owned([text, b"T00:00:00Z"].concat()))
            }
            _ => Some(Cow::Borrowed(text)),
        };
    }
    let (date, rest) = (&text[..10], &text[11..]);
    let zone =
        rest.iter().position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-' | b' ')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone);
    let zone = zone.trim_ascii_start();
    if text[10] == b'T' && time.len() >= 8 && matches!(zone, [b'Z'] | [_, _, _, b':', _, _]) {
        return Some(Cow::Borrowed(text));
    }
    let mut whole = Vec::with_capacity(32);
    whole.extend_from_slice(date);
    whole.push(b'T');
    whole.extend_from_slice(time);
    if time.len() == 5 {
        whole.extend_from_slice(b":00");
    }
    match zone {
        b"" | b"UTC" | b"GMT" => whole.push(b'Z'),
        // `+0100` and `+01`
        [sign @ (b'+' | b'-'), hours @ ..] if hours.len() == 4 && !hours.contains(&b':') => {
            whole.push(*sign);
            whole.extend_from_slice(&hours[..2]);
            whole.push(b':');
            whole.extend_from_slice(&hours[2..]);
        }
        [b'+' | b'-', _, _] => {
            whole.extend_from_slice(zone);
            whole.extend_from_slice(b":00");
        }
        other => whole.extend_from_slice(other),
    }
    Some(Cow::Owned(whole))
}

fn truth(text: &[u8]) -> Option<Cow<'static, [u8]>> {
    let small = text.trim_ascii().to_ascii_lowercase();
    match &small[..] {
        b"true" | b"t" | b"yes" | b"y" | b"on" | b"1" => Some(Cow::Borrowed(b"true")),
        b"false" | b"f" | b"no" | b"n" | b"off" | b"0" => Some(Cow::Borrowed(b"false")),
        _ => None,
    }
}

/// A number whose fraction stands behind `mark`; points, blanks and apostrophes between its thousands are left out.
fn number(text: &[u8], mark: u8) -> Option<Cow<'_, [u8]>> {
    let text = text.trim_ascii();
    let (sign, digits) = match text {
        [sign @ (b'-' | b'+'), rest @ ..] => (Some(*sign), rest),
        rest => (None, rest),
    };
    let mut out = Vec::with_capacity(text.len());
    out.extend(sign.filter(|sign| *sign == b'-'));
    if let Some(at) = digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        ungroup(&digits[..at], mark, &mut out)?;
        out.extend_from_slice(&digits[at..]);
    } else {
        ungroup(digits, mark, &mut out)?;
    }
    Some(Cow::Owned(out))
}

/// Money: a sign, a currency before or behind, thousands in groups; parentheses are a minus.
fn money(text: &[u8], mark: u8) -> Option<Cow<'_, [u8]>> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (inner, mut is_negative) = match text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let is_currency =
        |letter: char| letter.is_alphabetic() || letter.is_whitespace() || is_currency_sign(letter);
    let mut signs_count = 0;
    let mut rest = inner;
    let mut strip = |rest: &mut &str| {
        *rest = rest.trim_start_matches(is_currency);
        if let Some(bare) = rest.strip_prefix(['-', '+', '\u{2212}']) {
            is_negative |= !rest.starts_with('+');
            signs_count += 1;
            *rest = bare;
        }
    };
    strip(&mut rest);
    strip(&mut rest);
    rest = rest.trim_start_matches(is_currency);
    rest = rest.trim_end_matches(is_currency);
    if let Some(bare) = rest.strip_suffix('-') {
        rest = bare.trim_end_matches(is_currency);
        is_negative = true;
        signs_count += 1;
    }
    if signs_count > 1 {
        return None;
    }
    let mut out = Vec::with_capacity(rest.len() + 1);
    if is_negative {
        out.push(b'-');
    }
    ungroup(rest.as_bytes(), mark, &mut out)?;
    Some(Cow::Owned(out))
}

/// The signs of the Unicode block, and the four that are older.
fn is_currency_sign(letter: char) -> bool {
    matches!(letter, '$' | '¢' | '£' | '¤' | '¥' | '€' | '₹' | '\u{20a0}'..='\u{20cf}')
}

/// Digits in groups of two or three, then the mark and a fraction; written without groups, with a point.
fn ungroup(text: &[u8], mark: u8, out: &mut Vec<u8>) -> Option<()> {
    let (whole, fraction) = match memchr::memchr(mark, text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &text[text.len()..]),
    };
    let comma = if mark == b',' { b'.' } else { b',' };
    let start = out.len();
    let (mut group_count, mut has_groups, mut at) = (0, false, 0);
    while let Some(&byte) = whole.get(at) {
        // A blank that does not break, and a narrow one, are two and three bytes of UTF-8.
        let separator = match &whole[at..] {
            [b'\xc2', b'\xa0', ..] => 2,
            [b'\xe2', b'\x80', b'\xaf' | b'\x89', ..] => 3,
            _ if byte == comma || matches!(byte, b' ' | b'\'' | b'_') => 1,
            _ => 0,
        };
        if separator > 0 {
            let fits = if has_groups { matches!(group_count, 2 | 3) } else { matches!(group_count, 1..=3) };
            if !fits {
                return None;
            }
            (has_groups, group_count) = (true, 0);
            at += separator;
            continue;
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        out.push(byte);
        group_count += 1;
        at += 1;
    }
    if has_groups && group_count != 3 {
        return None;
    }
    if out.len() == start {
        if fraction.is_empty() {
            return None;
        }
        out.push(b'0');
    }
    if !fraction.is_empty() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    Some(())
}
