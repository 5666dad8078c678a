//! Cron expressions of five fields as croniter reads them, which is how Airflow does: names, ranges that wrap around, steps,
//! `L`, `W`, `#`, presets, and either of day of month and day of week where both are given.
//!
//! Times are local and know no zone; `zones` puts them into one. The `croner` crate reads the same text otherwise: it has
//! other rules for equal and wrapping ranges, for steps from the end of a field, and for `L` with a number.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

/// How far croniter looks before it gives up: `0 0 30 2 *` never comes.
const YEARS_MAX: i32 = 50;
const MINUTE: usize = 0;
const HOUR: usize = 1;
const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;
const NAMES: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];
const RANGES: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Airflow's presets and croniter's, as the expressions they stand for.
const PRESETS: [(&str, &str); 8] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@quarterly", "0 0 1 */3 *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// An expression that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// Presets are written out.
    pub expression: String,
    fields: [Field; 5],
    /// `15W`: the working day nearest to the 15th.
    nearest_workdays: BTreeSet<u32>,
    /// `1#2`, `L5`: which of a month's Mondays, Fridays.
    nth_weekdays: BTreeMap<u32, BTreeSet<Nth>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Field {
    any: bool,
    /// The last day of the month.
    last: bool,
    /// A bit for each value.
    values: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nth {
    Of(u32),
    Last,
}

/// Which way to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    Future,
    Past,
}

impl Field {
    fn has(&self, value: u32) -> bool {
        self.any || self.values & (1 << value) != 0
    }

    fn count(&self) -> u32 {
        self.values.count_ones() + u32::from(self.any) + u32::from(self.last)
    }
}

impl Cron {
    /// The expression, or what is wrong with it in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let preset = PRESETS.iter().find(|(name, _)| *name == lower).map(|(_, expression)| *expression);
        let expression = preset.unwrap_or(text.trim()).to_owned();
        let lower = expression.to_lowercase();
        let texts: Vec<&str> = lower.split_ascii_whitespace().collect();
        let [_, _, day_text, _, weekday_text] = texts[..] else {
            return Err(format!("a cron expression has 5 fields, not {}", texts.len()));
        };
        let mut cron = Cron {
            expression,
            fields: Default::default(),
            nearest_workdays: BTreeSet::new(),
            nth_weekdays: BTreeMap::new(),
        };
        for (index, text) in texts.iter().enumerate() {
            let mut field = Field::default();
            cron.read_field(index, text, &mut field)
                .map_err(|reason| format!("{} `{text}`: {reason}", NAMES[index]))?;
            let (low, high) = RANGES[index];
            // A restricted day field stays one beside a restricted other, so that either of them counts.
            let stays = (index == DAY && !weekday_text.contains('*'))
                || (index == WEEKDAY && !day_text.contains('*'));
            if field.any || (field.count() == high - low + 1 && !stays) {
                field.any = true;
            }
            cron.fields[index] = field;
        }
        cron.refuse_mixed_weekdays()?;
        Ok(cron)
    }

    /// Whether it runs in every hour: then the hour that is repeated when clocks go back has runs of its own.
    pub fn covers_every_hour(&self) -> bool {
        self.fields[HOUR].any
    }

    fn refuse_mixed_weekdays(&self) -> Result<(), String> {
        let weekdays = &self.fields[WEEKDAY];
        let plain = (0..7).any(|day| {
            !weekdays.any && weekdays.values & (1 << day) != 0 && !self.nth_weekdays.contains_key(&day)
        });
        if !self.nth_weekdays.is_empty() && plain && weekdays.count() != 7 {
            return Err("a day of week with # or L does not go together with a plain one".to_owned());
        }
        Ok(())
    }

    fn read_field(&mut self, index: usize, text: &str, field: &mut Field) -> Result<(), String> {
        if text == "?" && matches!(index, DAY | WEEKDAY) {
            field.any = true;
            return Ok(());
        }
        let tokens: Vec<&str> = text.split(',').collect();
        for token in &tokens {
            let (token, nth) = if index == WEEKDAY { split_nth(token)? } else { (*token, None) };
            if index == DAY
                && let Some(day) = workday(token)
            {
                if tokens.len() > 1 || !(1..=31).contains(&day) {
                    return Err("W stands with one day from 1 to 31".to_owned());
                }
                self.nearest_workdays.insert(day);
                field.values |= 1 << day;
                continue;
            }
            match stepped(index, token)? {
                Some(values) => {
                    for value in values {
                        self.add(index, value, nth, field)?;
                    }
                }
                None if token == "*" => field.any = true,
                None if token == "l" && index == DAY => field.last = true,
                None => self.add(index, number(index, token)?, nth, field)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, index: usize, value: u32, nth: Option<Nth>, field: &mut Field) -> Result<(), String> {
        let (low, high) = RANGES[index];
        let value = if index == WEEKDAY && value == 7 { 0 } else { value };
        if !(low..=high).contains(&value) {
            return Err(format!("{value} is not from {low} to {high}"));
        }
        field.values |= 1 << value;
        if let Some(nth) = nth {
            self.nth_weekdays.entry(value).or_default().insert(nth);
        }
        Ok(())
    }

    /// The first time after, or before, `from` that the expression names; `None`: not within 50 years.
    pub fn find(&self, from: NaiveDateTime, towards: Towards) -> Option<NaiveDateTime> {
        if self.fields[DAY].any || self.fields[WEEKDAY].any {
            return self.search(from, towards, |date| self.day_fits(date) && self.weekday_fits(date));
        }
        // Either day will do. What is written with # or W binds both, as in croniter, and then both must be found.
        let by_day = self.search(from, towards, |date| {
            self.day_fits(date) && (self.nth_weekdays.is_empty() || self.weekday_fits(date))
        });
        let by_weekday = self.search(from, towards, |date| {
            self.weekday_fits(date) && (self.nearest_workdays.is_empty() || self.day_fits(date))
        });
        let is_plain = self.nth_weekdays.is_empty() && self.nearest_workdays.is_empty();
        match (by_day, by_weekday) {
            (Some(day), Some(weekday)) if towards == Towards::Future => Some(day.min(weekday)),
            (Some(day), Some(weekday)) => Some(day.max(weekday)),
            (found, None) | (None, found) if is_plain => found,
            (_, None) | (None, _) => None,
        }
    }

    fn day_fits(&self, date: NaiveDate) -> bool {
        if !self.nearest_workdays.is_empty() {
            return self.nearest_workdays.iter().any(|day| nearest_workday(date, *day) == date.day());
        }
        let field = &self.fields[DAY];
        field.has(date.day()) || (field.last && date.day() == month_days(date))
    }

    fn weekday_fits(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_sunday();
        if self.nth_weekdays.is_empty() {
            return self.fields[WEEKDAY].has(weekday);
        }
        self.nth_weekdays.get(&weekday).is_some_and(|nths| {
            nths.iter().any(|nth| match nth {
                Nth::Of(nth) => (date.day() - 1) / 7 + 1 == *nth,
                Nth::Last => date.day() + 7 > month_days(date),
            })
        })
    }

    fn search(
        &self,
        from: NaiveDateTime,
        towards: Towards,
        fits: impl Fn(NaiveDate) -> bool,
    ) -> Option<NaiveDateTime> {
        let start = match towards {
            Towards::Future => from + TimeDelta::minutes(1),
            Towards::Past => from - TimeDelta::microseconds(1),
        };
        let mut date = start.date();
        let mut bound = Some((start.hour(), start.minute()));
        while (date.year() - start.year()).abs() <= YEARS_MAX {
            if !self.fields[MONTH].has(date.month()) {
                date = neighbour_month(date, towards)?;
                bound = None;
                continue;
            }
            if fits(date)
                && let Some(time) = self.time_of_day(bound, towards)
            {
                return Some(date.and_time(time));
            }
            date = match towards {
                Towards::Future => date.checked_add_days(Days::new(1))?,
                Towards::Past => date.checked_sub_days(Days::new(1))?,
            };
            bound = None;
        }
        None
    }

    /// The first time of a day, not before `bound`; or the last, not after it.
    fn time_of_day(&self, bound: Option<(u32, u32)>, towards: Towards) -> Option<NaiveTime> {
        let is_inside = |time: (u32, u32)| {
            bound.is_none_or(|bound| match towards {
                Towards::Future => time >= bound,
                Towards::Past => time <= bound,
            })
        };
        let pick = |(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0);
        let hours = || (0..24).filter(|hour| self.fields[HOUR].has(*hour));
        let minutes = || (0..60).filter(|minute| self.fields[MINUTE].has(*minute));
        match towards {
            Towards::Future => {
                hours().find_map(|hour| minutes().map(|minute| (hour, minute)).find(|time| is_inside(*time)))
            }
            Towards::Past => hours()
                .rev()
                .find_map(|hour| minutes().rev().map(|minute| (hour, minute)).find(|time| is_inside(*time))),
        }
        .and_then(pick)
    }
}

/// `mon#2`, `mon-wed#1`, `L5` as the days and which of the month's is meant.
fn split_nth(token: &str) -> Result<(&str, Option<Nth>), String> {
    if let Some((days, nth)) = token.split_once('#') {
        let is_named = |day: &str| WEEKDAYS.contains(&day);
        if days == "*" || days.split_once('-').is_some_and(|(from, to)| !is_named(from) || !is_named(to)) {
            return Err("before # stands one day, or a range of named ones".to_owned());
        }
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth));
        return nth
            .map(|nth| (days, Some(Nth::Of(nth))))
            .ok_or_else(|| "after # stands a number from 1 to 5".to_owned());
    }
    match token.strip_prefix('l') {
        Some(day) if !day.is_empty() && day.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok((day, Some(Nth::Last)))
        }
        Some(_) | None => Ok((token, None)),
    }
}

/// `15w` or `w15`.
fn workday(token: &str) -> Option<u32> {
    let digits = token.strip_suffix('w').or_else(|| token.strip_prefix('w'))?;
    digits.parse().ok()
}

/// The values of `*/5`, `10/5`, `1-5`, `1-5/2`; `None` for anything else.
fn stepped(index: usize, token: &str) -> Result<Option<Vec<u32>>, String> {
    let (min, max) = RANGES[index];
    let (range, step) = match token.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (token, None),
    };
    let step_count: u32 = match step {
        None => 1,
        Some(step) => step.parse().ok().filter(|step| *step > 0).ok_or("a step is a number from 1 on")?,
    };
    let (low, high, is_open) = match range.split_once('-') {
        _ if range == "*" && step.is_some() => (min, max, false),
        Some((low, high)) => {
            let high = if index == DAY && high == "l" { 31 } else { number(index, high)? };
            (number(index, low)?, high, false)
        }
        None if step.is_some() => (number(index, range)?, max, true),
        None => return Ok(None),
    };
    let wrap = |value| if index == WEEKDAY && value == 7 { 0 } else { value };
    let (low, high) = (wrap(low), wrap(high));
    if low.max(high) > max {
        return Err(format!("{} is not from {min} to {max}", low.max(high)));
    }
    let step_size = step_count as usize;
    if is_open && low == high {
        return Ok(Some(vec![low]));
    }
    // `jan-jan` is the whole year.
    let (low, high) = if low == high { (min, max) } else { (low, high) };
    if low < high {
        return Ok(Some((low..=high).step_by(step_size).collect()));
    }
    let mut values: Vec<u32> = (low..=max).step_by(step_size).collect();
    // Where the next step from the last value falls beyond the field's end, croniter counts on into the next round.
    let last = values.last().copied().unwrap_or(low);
    let (behind, position, size) = (max - last, last - min, max - min + 1);
    let skipped = if position + step_count > size && behind < step_count { step_count - behind } else { 0 };
    values.extend((min + skipped..=high).step_by(step_size));
    Ok(Some(values))
}

fn number(index: usize, text: &str) -> Result<u32, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| format!("{text} is too large"));
    }
    let position = |names: &[&str]| names.iter().position(|name| *name == text);
    let named = match index {
        MONTH => position(&MONTHS).map(|month| month + 1),
        WEEKDAY => position(&WEEKDAYS),
        _ => None,
    };
    named.map(|value| value as u32).ok_or_else(|| format!("`{text}` is no {}", NAMES[index]))
}

fn month_days(date: NaiveDate) -> u32 {
    u32::from(date.num_days_in_month())
}

/// The working day nearest to a day of the month of `date`, without leaving that month.
fn nearest_workday(date: NaiveDate, day: u32) -> u32 {
    let last = month_days(date);
    let day = day.min(last);
    let weekday = date.with_day(day).unwrap_or(date).weekday().num_days_from_monday();
    match weekday {
        5 if day > 1 => day - 1,
        5 => day + 2,
        6 if day < last => day + 1,
        6 => day - 2,
        _ => day,
    }
}

/// The first day of the month after, or the last day of the month before.
fn neighbour_month(date: NaiveDate, towards: Towards) -> Option<NaiveDate> {
    let first = date.with_day(1)?;
    match towards {
        Towards::Future => first.checked_add_months(Months::new(1)),
        Towards::Past => first.pred_opt(),
    }
}
