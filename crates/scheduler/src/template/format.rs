//! `strftime` as Python has it, `format` as pendulum has it, and `strptime`.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::values::Moment;

/// Directives that chrono and the C library write alike.
const SAME: &str = "YmdHMSjUWwaAbBpIyGuVeCkDFTRhn%";

pub(super) fn strftime(moment: &Moment, form: &str) -> String {
    let local = moment.local();
    let mut result = String::with_capacity(form.len() + 8);
    let mut chars = form.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        let Some(directive) = chars.next() else {
            result.push('%');
            break;
        };
        match directive {
            'f' => write!(result, "{:06}", local.nanosecond() / 1_000).ok(),
            'c' => write!(result, "{}", local.format("%a %b %e %H:%M:%S %Y")).ok(),
            'x' => write!(result, "{}", local.format("%m/%d/%y")).ok(),
            'X' => write!(result, "{}", local.format("%H:%M:%S")).ok(),
            's' => write!(result, "{}", moment.at.timestamp()).ok(),
            'z' => write!(result, "{}", moment.offset_text().replace(':', "")).ok(),
            'Z' => write!(result, "{}", moment.zone_abbreviation()).ok(),
            '-' => match chars.next() {
                Some(unpadded) if "mdHIMSjye".contains(unpadded) => {
                    let form = format!("%-{unpadded}");
                    write!(result, "{}", local.format(&form)).ok()
                }
                other => write!(result, "%-{}", other.map(String::from).unwrap_or_default()).ok(),
            },
            same if SAME.contains(same) => {
                let form = format!("%{same}");
                write!(result, "{}", local.format(&form)).ok()
            }
            other => write!(result, "%{other}").ok(),
        };
    }
    result
}

/// Tokens of pendulum's `format`, longer ones first.
const TOKENS: [&str; 33] = [
    "YYYY", "dddd", "DDDD", "MMMM", "SSSSSS", "MMM", "DDD", "ddd", "SSS", "YY", "MM", "DD", "Do", "HH", "hh",
    "mm", "ss", "SS", "ZZ", "zz", "Q", "M", "D", "d", "E", "H", "h", "m", "s", "S", "A", "Z", "z",
];

pub(super) fn pendulum(moment: &Moment, form: &str) -> String {
    let mut result = String::with_capacity(form.len() + 8);
    let mut rest = form;
    while let Some(c) = rest.chars().next() {
        if let Some((literal, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            result.push_str(literal);
            rest = behind;
            continue;
        }
        if let Some(escaped) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) {
            result.push(escaped);
            rest = &rest[1 + escaped.len_utf8()..];
            continue;
        }
        match longest(rest) {
            Some(token) => {
                result.push_str(&token_text(moment, token));
                rest = &rest[token.len()..];
            }
            None => {
                result.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    result
}

fn longest(rest: &str) -> Option<&'static str> {
    TOKENS.iter().copied().filter(|token| rest.starts_with(token)).max_by_key(|token| token.len())
}

fn token_text(moment: &Moment, token: &str) -> String {
    let local = moment.local();
    let micros = local.nanosecond() / 1_000;
    let hour = match local.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    match token {
        "YYYY" => format!("{:04}", local.year()),
        "YY" => format!("{:02}", local.year().rem_euclid(100)),
        "Q" => (local.month0() / 3 + 1).to_string(),
        "MMMM" => local.format("%B").to_string(),
        "MMM" => local.format("%b").to_string(),
        "MM" => format!("{:02}", local.month()),
        "M" => local.month().to_string(),
        "DDDD" => format!("{:03}", local.ordinal()),
        "DDD" => local.ordinal().to_string(),
        "DD" => format!("{:02}", local.day()),
        "D" => local.day().to_string(),
        "Do" => ordinal(local.day()),
        "dddd" => local.format("%A").to_string(),
        "ddd" => local.format("%a").to_string(),
        "d" => local.weekday().num_days_from_monday().to_string(),
        "E" => local.weekday().number_from_monday().to_string(),
        "HH" => format!("{:02}", local.hour()),
        "H" => local.hour().to_string(),
        "hh" => format!("{hour:02}"),
        "h" => hour.to_string(),
        "mm" => format!("{:02}", local.minute()),
        "m" => local.minute().to_string(),
        "ss" => format!("{:02}", local.second()),
        "s" => local.second().to_string(),
        "SSSSSS" => format!("{micros:06}"),
        "SSS" => format!("{:03}", micros / 1_000),
        "SS" => format!("{:02}", micros / 10_000),
        "S" => (micros / 100_000).to_string(),
        "A" => local.format("%p").to_string(),
        "ZZ" => moment.offset_text().replace(':', ""),
        "Z" => moment.offset_text(),
        "zz" => moment.zone_abbreviation(),
        _ => match moment.zone {
            super::values::Zone::Named(zone) => zone.name().to_owned(),
            super::values::Zone::Fixed(offset) => offset.to_string(),
            super::values::Zone::Naive => String::new(),
        },
    }
}

fn ordinal(day: u32) -> String {
    let ending = match (day % 10, day % 100) {
        (1, teens) if teens != 11 => "st",
        (2, teens) if teens != 12 => "nd",
        (3, teens) if teens != 13 => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

/// `datetime.strptime`: a date alone is midnight.
pub(super) fn strptime(text: &str, form: &str) -> Option<NaiveDateTime> {
    let form = form.replace(".%f", "%.f");
    NaiveDateTime::parse_from_str(text, &form)
        .or_else(|_| NaiveDate::parse_from_str(text, &form).map(|date| date.and_time(NaiveTime::MIN)))
        .or_else(|_| {
            // A month, or a year: the rest is the first of it.
            let (text, form) = (format!("{text}|01|01"), format!("{form}|%m|%d"));
            NaiveDate::parse_from_str(&text, &form)
                .or_else(|_| {
                    let (text, form) = (text.replacen("|01", "", 1), form.replacen("|%m", "", 1));
                    NaiveDate::parse_from_str(&text, &form)
                })
                .map(|date| date.and_time(NaiveTime::MIN))
        })
        .ok()
}
