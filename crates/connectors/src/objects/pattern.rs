//! `path.format`: Joda-Time's patterns (org.joda.time.format.DateTimeFormat), as far as they name folders, in English.

use chrono::{DateTime, Datelike, Offset, Timelike};
use chrono_tz::Tz;

use super::Error;

/// A parsed pattern such as `'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// A letter of Joda's table and how often it stands there.
    Field(char, usize),
}

const LETTERS: &str = "GCYxwEeyDMdaKhHkmsSzZ";
/// Joda's own default for names, and the only language that we have.
const LOCALE_LANGUAGE: &str = "en";

impl Pattern {
    /// `locale` as Confluent takes it (`en-US`); it matters only where the pattern writes names.
    pub fn parse(text: &str, locale: &str) -> Result<Self, Error> {
        let refuse = |what: String| Error::Setting { key: "path.format", what };
        let mut pieces = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter == '\'' {
                literal(
                    &mut pieces,
                    &quoted(&mut letters).ok_or_else(|| refuse(format!("a quote in `{text}` is open")))?,
                );
            } else if letter.is_ascii_alphabetic() {
                if !LETTERS.contains(letter) {
                    return Err(refuse(format!(
                        "`{letter}` in `{text}` is no letter of a Joda pattern; quote plain text"
                    )));
                }
                let mut count = 1;
                while letters.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                pieces.push(Piece::Field(letter, count));
            } else {
                literal(&mut pieces, &letter.to_string());
            }
        }
        if pieces.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        let pattern = Self { text: text.to_owned(), pieces };
        let language = locale.split(['-', '_']).next().unwrap_or(locale);
        if pattern.has_names() && !language.eq_ignore_ascii_case(LOCALE_LANGUAGE) {
            let what = format!(
                "`{locale}`: names of months and days are written in English only; use numbers in path.format"
            );
            return Err(Error::Setting { key: "locale", what });
        }
        Ok(pattern)
    }

    /// `'year'=YYYY/'month'=MM/'day'=dd`, with the delimiter of folders.
    pub fn daily(directory_delim: &str) -> Self {
        let text = format!("'year'=YYYY{directory_delim}'month'=MM{directory_delim}'day'=dd");
        Self::parse(&text, "en").expect("a pattern of ours parses")
    }

    pub fn hourly(directory_delim: &str) -> Self {
        let text = format!("{}{directory_delim}'hour'=HH", Self::daily(directory_delim).text);
        Self::parse(&text, "en").expect("a pattern of ours parses")
    }

    pub fn format(&self, time: &DateTime<Tz>) -> String {
        let mut text = String::with_capacity(self.text.len() + 8);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text += literal,
                Piece::Field(letter, count) => text += &field(*letter, *count, time),
            }
        }
        text
    }

    fn has_names(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Field('M', count) => *count > 2,
            Piece::Field(letter, _) => matches!(letter, 'E' | 'a' | 'G'),
            Piece::Literal(_) => false,
        })
    }
}

fn literal(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// The text up to the closing quote; two quotes are one, inside and alone.
fn quoted(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    if letters.next_if_eq(&'\'').is_some() {
        return Some("'".to_owned());
    }
    let mut text = String::new();
    loop {
        match letters.next()? {
            '\'' if letters.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' => return Some(text),
            letter => text.push(letter),
        }
    }
}

fn field(letter: char, count: usize, time: &DateTime<Tz>) -> String {
    let padded =
        |number: i64| if number < 0 { format!("-{:0count$}", -number) } else { format!("{number:0count$}") };
    let year =
        |year: i32| if count == 2 { format!("{:02}", year.rem_euclid(100)) } else { padded(i64::from(year)) };
    let hour = time.hour();
    match letter {
        'G' => if time.year() > 0 { "AD" } else { "BC" }.to_owned(),
        'C' => padded(i64::from(time.year().div_euclid(100))),
        'Y' => year(time.year_ce().1 as i32),
        'y' => year(time.year()),
        'x' => year(time.iso_week().year()),
        'w' => padded(i64::from(time.iso_week().week())),
        'E' if count >= 4 => time.format("%A").to_string(),
        'E' => time.format("%a").to_string(),
        'e' => padded(i64::from(time.weekday().number_from_monday())),
        'D' => padded(i64::from(time.ordinal())),
        'M' if count >= 4 => time.format("%B").to_string(),
        'M' if count == 3 => time.format("%b").to_string(),
        'M' => padded(i64::from(time.month())),
        'd' => padded(i64::from(time.day())),
        'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'K' => padded(i64::from(hour % 12)),
        'h' => padded(i64::from((hour + 11) % 12 + 1)),
        'H' => padded(i64::from(hour)),
        'k' => padded(i64::from((hour + 23) % 24 + 1)),
        'm' => padded(i64::from(time.minute())),
        's' => padded(i64::from(time.second())),
        // A fraction: cut off, never rounded.
        'S' => format!("{:09}", time.nanosecond() % 1_000_000_000)
            .chars()
            .chain(std::iter::repeat('0'))
            .take(count)
            .collect(),
        'Z' if count >= 3 => time.timezone().name().to_owned(),
        'Z' => {
            let offset = time.offset().fix().local_minus_utc();
            let colon = if count == 2 { ":" } else { "" };
            let minutes = offset.abs() / 60;
            format!("{}{:02}{colon}{:02}", if offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
        }
        // `z`: the zone's short name. No other letter gets past `parse`.
        _ => time.format("%Z").to_string(),
    }
}

#[cfg(test)]
mod tests;
