//! Dates and times in text, taken as dlt takes them: ISO 8601 by pendulum's rules, then `2024/01/15 10:30`.

use chrono::{Datelike as _, NaiveDate};

const DAY_US: i64 = 86_400_000_000;

/// What a text turned out to be. Without a zone it counts as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Iso {
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
}

/// `None` where the text is none of them: an interval or a duration is not.
pub(crate) fn parse(text: &str) -> Option<Iso> {
    // Both forms begin with a digit, a space or a `T`: most texts end here.
    let first = *text.as_bytes().first()?;
    if !(first.is_ascii_digit() || first == b'T' || first == b' ') {
        return None;
    }
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    reader.iso().or_else(|| Reader { bytes: text.as_bytes(), at: 0 }.common())
}

#[derive(Default)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    microsecond: u32,
    offset_s: Option<i32>,
}

impl Clock {
    /// Microseconds since midnight; `None` where a field is out of its range.
    fn us(&self) -> Option<i64> {
        let is_time = self.hour < 24 && self.minute < 60 && self.second < 60;
        let seconds = i64::from(self.hour * 3_600 + self.minute * 60 + self.second);
        is_time.then(|| seconds * 1_000_000 + i64::from(self.microsecond))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn current(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn is_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn takes(&mut self, wanted: u8) -> bool {
        let is_there = self.current() == wanted;
        self.at += usize::from(is_there);
        is_there
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + count)?;
        let mut number = 0;
        for digit in digits {
            number = number * 10 + char::from(*digit).to_digit(10)?;
        }
        self.at += count;
        Some(number)
    }

    fn ends_date(&self) -> bool {
        self.is_end() || matches!(self.current(), b' ' | b'T')
    }

    fn iso(&mut self) -> Option<Iso> {
        if self.current() == b'T' {
            return self.time_alone(false, Clock::default());
        }
        let century = self.digits(2)?;
        if self.current() == b':' {
            return self.time_alone(true, Clock { hour: century, ..Clock::default() });
        }
        let year = i32::try_from(century * 100 + self.digits(2)?).ok()?;
        let is_extended = self.takes(b'-');
        let date = if self.takes(b'W') {
            self.week_date(year, is_extended)?
        } else if is_extended {
            self.extended_date(year)?
        } else {
            self.compact_date(year)?
        };
        let days = date.num_days_from_ce() - 719_163;
        if self.is_end() {
            return (date.year() >= 1).then_some(Iso::Date(days));
        }
        if !(self.takes(b'T') || self.takes(b' ')) {
            return None;
        }
        let mut clock = Clock { hour: self.digits(2)?, ..Clock::default() };
        self.clock(&mut clock, is_extended)?;
        (self.is_end() && date.year() >= 1).then_some(())?;
        let offset_us = i64::from(clock.offset_s.unwrap_or(0)) * 1_000_000;
        Some(Iso::Timestamp(i64::from(days) * DAY_US + clock.us()? - offset_us))
    }

    fn week_date(&mut self, year: i32, is_extended: bool) -> Option<NaiveDate> {
        let week = self.digits(2)?;
        let mut day = 1;
        if !self.ends_date() {
            if is_extended && !self.takes(b'-') {
                return None;
            }
            day = self.digits(1)?;
        }
        if day > 7 || week > 53 {
            return None;
        }
        NaiveDate::from_isoywd_opt(
            year,
            week,
            chrono::Weekday::try_from(u8::try_from(day).ok()?.checked_sub(1)?).ok()?,
        )
    }

    fn extended_date(&mut self, year: i32) -> Option<NaiveDate> {
        let month = self.digits(2)?;
        if self.ends_date() {
            return NaiveDate::from_ymd_opt(year, month, 1);
        }
        if self.takes(b'-') {
            let day = self.digits(2)?;
            return NaiveDate::from_ymd_opt(year, month, day);
        }
        let ordinal = month * 10 + self.digits(1)?;
        NaiveDate::from_yo_opt(year, ordinal)
    }

    fn compact_date(&mut self, year: i32) -> Option<NaiveDate> {
        let month = self.digits(2)?;
        let next = self.digits(1)?;
        if self.ends_date() {
            return NaiveDate::from_yo_opt(year, month * 10 + next);
        }
        let day = next * 10 + self.digits(1)?;
        NaiveDate::from_ymd_opt(year, month, day)
    }

    fn time_alone(&mut self, has_hour: bool, mut clock: Clock) -> Option<Iso> {
        if !has_hour {
            self.at += 1;
            clock.hour = self.digits(2)?;
        }
        self.clock(&mut clock, has_hour)?;
        let offset_us = i64::from(clock.offset_s.unwrap_or(0)) * 1_000_000;
        self.is_end().then_some(())?;
        Some(Iso::Time((clock.us()? - offset_us).rem_euclid(DAY_US)))
    }

    /// Minutes, seconds, fraction and zone, after the hour. Date and time are both with or both without separators.
    fn clock(&mut self, clock: &mut Clock, is_extended: bool) -> Option<()> {
        if !self.ends_clock() {
            let has_colon = self.takes(b':');
            clock.minute = self.digits(2)?;
            if !self.ends_clock() {
                if has_colon && !self.takes(b':') {
                    return None;
                }
                clock.second = self.digits(2)?;
                self.fraction(clock)?;
                if has_colon && !is_extended {
                    return None;
                }
            }
            if !has_colon && is_extended {
                return None;
            }
        }
        if self.takes(b'Z') {
            clock.offset_s = Some(0);
        } else if matches!(self.current(), b'+' | b'-') {
            let sign = if self.current() == b'+' { 1 } else { -1 };
            self.at += 1;
            let hours = self.digits(2)?;
            self.takes(b':');
            let minutes = if self.is_end() { 0 } else { self.digits(2)? };
            let offset = i32::try_from(hours * 60 + minutes).ok()?;
            (offset < 24 * 60).then_some(())?;
            clock.offset_s = Some(sign * offset * 60);
        }
        Some(())
    }

    fn ends_clock(&self) -> bool {
        self.is_end() || matches!(self.current(), b'Z' | b'+' | b'-')
    }

    fn fraction(&mut self, clock: &mut Clock) -> Option<()> {
        if !(self.takes(b'.') || self.takes(b',')) {
            return Some(());
        }
        self.current().is_ascii_digit().then_some(())?;
        let mut unit = 100_000;
        while let Some(digit) = char::from(self.current()).to_digit(10) {
            clock.microsecond += digit * unit;
            unit /= 10;
            self.at += 1;
        }
        Some(())
    }

    /// `2024`, `2024/01/15`, `20240115 10:30`, `10:30:00.5`.
    fn common(&mut self) -> Option<Iso> {
        let date = self.common_date();
        if self.is_end() {
            return date.flatten().map(|date| Iso::Date(date.num_days_from_ce() - 719_163));
        }
        self.takes(b' ');
        let mut clock = Clock { hour: self.one_or_two_digits()?, ..Clock::default() };
        self.takes(b':').then_some(())?;
        clock.minute = self.one_or_two_digits()?;
        if self.takes(b':') {
            clock.second = self.one_or_two_digits()?;
        }
        if matches!(self.current(), b'.' | b'|' | b',') {
            self.at += 1;
            let start = self.at;
            let mut unit = 100_000;
            while let Some(digit) = char::from(self.current()).to_digit(10) {
                clock.microsecond += digit * unit;
                unit /= 10;
                self.at += 1;
            }
            (1..=9).contains(&(self.at - start)).then_some(())?;
        }
        self.is_end().then_some(())?;
        let time = clock.us()?;
        Some(match date {
            Some(date) => Iso::Timestamp(i64::from(date?.num_days_from_ce() - 719_163) * DAY_US + time),
            None => Iso::Time(time),
        })
    }

    /// The outer option: whether there is a date at all; the inner one: whether it exists in the calendar.
    fn common_date(&mut self) -> Option<Option<NaiveDate>> {
        let start = self.at;
        let Some(year) = self.digits(4) else {
            self.at = start;
            return None;
        };
        let (mut month, mut day) = (1, 1);
        let after_year = self.at;
        let separated = |reader: &mut Self| {
            let _ = reader.takes(b'/') || reader.takes(b':');
            reader.digits(2)
        };
        match separated(self).and_then(|month| Some((month, separated(self)?))) {
            Some(found) => (month, day) = found,
            None => self.at = after_year,
        }
        let date = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
        Some(date.filter(|date| date.year() >= 1))
    }

    fn one_or_two_digits(&mut self) -> Option<u32> {
        let first = self.digits(1)?;
        Some(self.digits(1).map_or(first, |second| first * 10 + second))
    }
}

#[cfg(test)]
mod tests;
