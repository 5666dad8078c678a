//! Texts: by their format, by their pattern, by the name of their field, or as letters; as long as they may be.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};

use super::{
    names::{self, Word},
    pattern::{Pattern, TEXT_BYTES_MAX},
};
use crate::generate::{dice::Dice, words};

/// What a text is made as, and what it has to be.
pub(super) struct Text {
    pub(super) make: Make,
    pub(super) chars_min: usize,
    pub(super) chars_max: Option<usize>,
    /// It has to match these too.
    pub(super) matchers: Vec<regex::Regex>,
}

pub(super) enum Make {
    Format(Format),
    /// By the first; others follow it where that alone matches too few.
    Patterns(Vec<Pattern>),
    /// By the format while that matches, else by the patterns: whether that has the format is looked at afterwards.
    FormatOrPatterns(Format, Vec<Pattern>),
    Word(Word),
    Letters,
    /// Bytes as base64.
    Base64,
    /// Letters and digits, so many.
    Exactly(usize),
    /// JSON in a text.
    Json {
        is_base64: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Date,
    Time,
    DateTime,
    Duration,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
    UriReference,
    UriTemplate,
    Uuid,
    JsonPointer,
    RelativeJsonPointer,
    Regex,
    /// Google's `Duration`: `3.500s`.
    Seconds,
    /// Google's `FieldMask`: `name,createdAt`.
    FieldMask,
}

const FORMATS: &[(&str, Format)] = &[
    ("date", Format::Date),
    ("time", Format::Time),
    ("date-time", Format::DateTime),
    ("duration", Format::Duration),
    ("email", Format::Email),
    ("idn-email", Format::Email),
    ("hostname", Format::Hostname),
    ("idn-hostname", Format::Hostname),
    ("ipv4", Format::Ipv4),
    ("ipv6", Format::Ipv6),
    ("uri", Format::Uri),
    ("iri", Format::Uri),
    ("uri-reference", Format::UriReference),
    ("iri-reference", Format::UriReference),
    ("uri-template", Format::UriTemplate),
    ("uuid", Format::Uuid),
    ("json-pointer", Format::JsonPointer),
    ("relative-json-pointer", Format::RelativeJsonPointer),
    ("regex", Format::Regex),
];

impl Format {
    /// `None`: a format that nobody checks.
    pub(super) fn named(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }
}

/// Texts that are made until one fits.
const TRIES_MAX: u64 = 60;
const FORMAT_TRIES_MAX: u64 = 15;

impl Text {
    pub(super) fn of(make: Make) -> Self {
        Self { make, chars_min: 0, chars_max: None, matchers: Vec::new() }
    }

    /// Makes one into `out`; `false` where none of those that were made fits.
    pub(super) fn write(&self, number: u64, dice: &mut Dice, out: &mut String) -> bool {
        let mut stretch = 6;
        for round in 0..TRIES_MAX {
            out.clear();
            self.once(number, dice, (round, stretch), out);
            let chars = out.chars().count();
            let fits = chars >= self.chars_min && self.chars_max.is_none_or(|most| chars <= most);
            if fits && self.matchers.iter().all(|matcher| matcher.is_match(out)) {
                return true;
            }
            if chars < self.chars_min {
                stretch = (stretch + 1).saturating_mul(2).min(TEXT_BYTES_MAX as u64);
            } else if self.chars_max.is_some_and(|most| chars > most) {
                stretch /= 2;
            }
        }
        false
    }

    fn once(&self, number: u64, dice: &mut Dice, (round, stretch): (u64, u64), out: &mut String) {
        match &self.make {
            Make::Format(format) => format.write(number, dice, out),
            Make::FormatOrPatterns(format, _) if round < FORMAT_TRIES_MAX => format.write(number, dice, out),
            Make::Patterns(patterns) | Make::FormatOrPatterns(_, patterns) => {
                let mut write = |pattern: &Pattern| pattern.write(dice, stretch, out);
                match round % 3 {
                    0 => patterns.iter().take(1).for_each(&mut write),
                    1 => patterns.iter().for_each(&mut write),
                    _ => patterns.iter().rev().for_each(&mut write),
                }
                self.filled(patterns, dice, out);
            }
            Make::Word(word) => {
                names::write(*word, number, dice, out);
                self.cut(dice, out);
            }
            Make::Letters => {
                let most = self.chars_max.unwrap_or(usize::MAX).min(self.chars_min.saturating_add(12));
                let least = self.chars_min.max(3).min(most);
                letters(dice.between(least as u64, most as u64) as usize, dice, out);
            }
            Make::Base64 => base64(self.chars_min, self.chars_max, dice, out),
            Make::Exactly(count) => out.push_str(&dice.alphanumeric(*count)),
            Make::Json { is_base64 } => {
                let text = format!("{{\"n\":{}}}", dice.below(10_000));
                match is_base64 {
                    true => out.push_str(&STANDARD.encode(text.as_bytes())),
                    false => out.push_str(&text),
                }
            }
        }
    }

    /// A pattern without an anchor matches within a longer text.
    fn filled(&self, patterns: &[Pattern], dice: &mut Dice, out: &mut String) {
        let missing = self.chars_min.saturating_sub(out.chars().count());
        if missing == 0 {
            return;
        }
        if patterns.iter().all(|pattern| pattern.is_open_behind) {
            letters(missing, dice, out);
        } else if patterns.iter().all(|pattern| pattern.is_open_before) {
            let behind = std::mem::take(out);
            letters(missing, dice, out);
            out.push_str(&behind);
        }
    }

    /// A word may be cut and made longer: it only has to look like one.
    fn cut(&self, dice: &mut Dice, out: &mut String) {
        if let Some(most) = self.chars_max
            && let Some((end, _)) = out.char_indices().nth(most)
        {
            out.truncate(end);
        }
        let missing = self.chars_min.saturating_sub(out.chars().count());
        letters(missing, dice, out);
    }
}

fn letters(count: usize, dice: &mut Dice, out: &mut String) {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    out.extend((0..count).map(|_| char::from(*dice.pick(LETTERS))));
}

/// Whole groups of four letters.
fn base64(chars_min: usize, chars_max: Option<usize>, dice: &mut Dice, out: &mut String) {
    let least = chars_min.div_ceil(4);
    let most = chars_max.map_or(least + 6, |most| (most / 4).min(least + 6)).max(least);
    let groups = dice.between(least as u64, most as u64) as usize;
    let bytes: Vec<u8> = (0..groups * 3).map(|_| dice.below(256) as u8).collect();
    out.push_str(&STANDARD.encode(&bytes));
}

/// 2020-01-01 and six years from there.
const FIRST_S: i64 = 1_577_836_800;
const SPAN_S: u64 = 6 * 365 * 86_400;

/// A moment, in milliseconds since 1970.
pub(super) fn moment_ms(dice: &mut Dice) -> i64 {
    FIRST_S * 1000 + dice.below(SPAN_S * 1000) as i64
}

/// The bounds of `moment_ms`, in seconds.
pub(super) fn moments_s() -> (i64, i64) {
    (FIRST_S, FIRST_S + SPAN_S as i64)
}

pub(super) fn rfc3339(at_ms: i64) -> String {
    let at: DateTime<Utc> = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Format {
    fn write(self, number: u64, dice: &mut Dice, out: &mut String) {
        let word = |dice: &mut Dice| names::THINGS[dice.below(names::THINGS.len() as u64) as usize];
        let text = match self {
            Format::Date => rfc3339(moment_ms(dice))[..10].to_owned(),
            Format::Time => rfc3339(moment_ms(dice))[11..].to_owned(),
            Format::DateTime => rfc3339(moment_ms(dice)),
            Format::Duration => match dice.below(3) {
                0 => format!("P{}D", dice.between(1, 30)),
                1 => format!("PT{}H{}M", dice.between(1, 23), dice.between(1, 59)),
                _ => format!("P{}Y{}M", dice.between(1, 9), dice.between(1, 11)),
            },
            Format::Email => return names::write(Word::Email, number, dice, out),
            Format::Hostname => format!("{}.example.com", word(dice)),
            Format::Ipv4 => {
                // Documentation's own addresses (RFC 5737) and private ones.
                let net = *dice.pick(&["192.0.2", "198.51.100", "203.0.113", "10.0.0", "192.168.1"]);
                format!("{net}.{}", dice.between(1, 254))
            }
            Format::Ipv6 => format!("2001:db8::{:x}:{:x}", dice.between(1, 0xFFFF), dice.between(1, 0xFFFF)),
            Format::Uri => format!("https://example.com/{}/{}", word(dice), dice.between(1, 9_999)),
            Format::UriReference => format!("/{}/{}", word(dice), dice.between(1, 9_999)),
            Format::UriTemplate => format!("https://example.com/{}/{{id}}", word(dice)),
            Format::Uuid => uuid(dice),
            Format::JsonPointer => format!("/{}/{}", word(dice), dice.below(10)),
            Format::RelativeJsonPointer => format!("{}/{}", dice.below(3), word(dice)),
            Format::Regex => format!("^{}[0-9]+$", word(dice)),
            Format::Seconds => format!("{}.{:03}s", dice.below(3_600), dice.below(1_000)),
            Format::FieldMask => format!("{},{}", word(dice), word(dice)),
        };
        out.push_str(&text);
    }
}

pub(super) fn uuid(dice: &mut Dice) -> String {
    uuid::Builder::from_random_bytes(dice.bytes()).into_uuid().to_string()
}

/// A city's names for `names`.
pub(super) fn city(dice: &mut Dice) -> &'static words::City {
    dice.pick(words::CITIES)
}
