//! Numbers with bounds and steps: counted in whole steps of a power of ten, so that what is printed is exactly what was meant.

use crate::generate::dice::Dice;

/// `units * 10^-scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decimal {
    pub(super) units: i128,
    pub(super) scale: u32,
}

/// Digits behind the point that are worked with; bounds beyond are refused.
const SCALE_MAX: u32 = 18;
/// Bounds further out are as good as none.
const FAR: f64 = 1e17;

impl Decimal {
    pub(super) fn whole(units: i128) -> Self {
        Self { units, scale: 0 }
    }

    /// `None`: too fine or too large to be worked with.
    pub(super) fn of(number: &serde_json::Number) -> Option<Self> {
        if let Some(whole) = number.as_i64() {
            return Some(Self::whole(whole.into()));
        }
        if let Some(whole) = number.as_u64() {
            return Some(Self::whole(whole.into()));
        }
        // The shortest text that is this number, never with an exponent.
        let text = format!("{}", number.as_f64()?);
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= SCALE_MAX)?;
        let units = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { units, scale })
    }

    /// In units of `10^-scale`, where that is a finer one.
    fn at(self, scale: u32) -> Option<i128> {
        self.units.checked_mul(10i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }
}

/// What is asked of a number.
#[derive(Debug, Clone, Default)]
pub(super) struct NumberWish {
    /// The bound, and whether it may not be reached itself.
    pub(super) lower: Option<(Decimal, bool)>,
    pub(super) upper: Option<(Decimal, bool)>,
    pub(super) steps: Vec<Decimal>,
    pub(super) is_whole: bool,
}

/// What people would expect of a number of this name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Expected {
    Nothing,
    Between(i64, i64, u32),
    /// Each record its own.
    Counted,
}

#[derive(Debug, Clone)]
pub(super) struct Number {
    /// In steps: the first and the last.
    first: i128,
    last: i128,
    /// Units of a step.
    step: i128,
    scale: u32,
    is_whole: bool,
    is_counted: bool,
}

impl NumberWish {
    /// The tighter of both bounds.
    pub(super) fn at_least(&mut self, bound: Decimal, is_open: bool) {
        tighten(&mut self.lower, bound, is_open, |new, old| new > old);
    }

    pub(super) fn at_most(&mut self, bound: Decimal, is_open: bool) {
        tighten(&mut self.upper, bound, is_open, |new, old| new < old);
    }

    pub(super) fn number(&self, expected: Expected) -> Result<Number, String> {
        let (wanted, counted) = match expected {
            Expected::Nothing => (None, false),
            Expected::Between(first, last, scale) => (Some((first, last, scale)), false),
            Expected::Counted => (None, true),
        };
        let scale = match (self.is_whole, wanted) {
            (true, _) => 0,
            (false, Some((.., scale))) => scale,
            (false, None) => 2,
        };
        let given = self.steps.iter().chain(self.lower.iter().chain(&self.upper).map(|(bound, _)| bound));
        let scale = given.map(|decimal| decimal.scale).max().unwrap_or(0).max(scale);
        // Between bounds that lie close together there is something only further behind the point.
        let found = (scale..=SCALE_MAX.max(scale)).find_map(|scale| self.at_scale(scale));
        let mut number = found.ok_or("no number lies between its bounds")?;
        number.is_counted = counted;
        if let Some((first, last, _)) = wanted {
            number.narrow(first, last);
        }
        Ok(number)
    }

    fn at_scale(&self, scale: u32) -> Option<Number> {
        let unit = 10i128.checked_pow(scale)?;
        let mut step = if self.is_whole { unit } else { 1 };
        for other in &self.steps {
            step = common_multiple(step, other.at(scale)?)?;
        }
        let lower = match self.lower {
            Some((bound, is_open)) => Some(bound.at(scale)? + i128::from(is_open)),
            None => None,
        };
        let upper = match self.upper {
            Some((bound, is_open)) => Some(bound.at(scale)? - i128::from(is_open)),
            None => None,
        };
        let (lower, upper) = match (lower, upper) {
            (Some(lower), Some(upper)) => (lower, upper),
            (Some(lower), None) => (lower, lower.checked_add(span(unit, step))?),
            (None, Some(upper)) if upper >= 0 => (0, upper.min(span(unit, step))),
            (None, Some(upper)) => (upper.checked_sub(span(unit, step))?, upper),
            (None, None) => (0, span(unit, step)),
        };
        let (first, last) = (-(-lower).div_euclid(step), upper.div_euclid(step));
        let number = Number { first, last, step, scale, is_whole: self.is_whole, is_counted: false };
        (first <= last).then_some(number)
    }
}

/// So far from its one bound a number goes where nothing else is said; at least a hundred steps.
fn span(unit: i128, step: i128) -> i128 {
    unit.saturating_mul(1_000).max(step.saturating_mul(100)) - 1
}

fn tighten(
    kept: &mut Option<(Decimal, bool)>,
    bound: Decimal,
    is_open: bool,
    is_tighter: impl Fn(i128, i128) -> bool,
) {
    let Some((old, was_open)) = *kept else {
        *kept = Some((bound, is_open));
        return;
    };
    let scale = old.scale.max(bound.scale);
    if let (Some(new), Some(old)) = (bound.at(scale), old.at(scale))
        && (is_tighter(new, old) || (new == old && is_open && !was_open))
    {
        *kept = Some((bound, is_open));
    }
}

fn common_multiple(one: i128, other: i128) -> Option<i128> {
    let (mut a, mut b) = (one, other.checked_abs().filter(|other| *other > 0)?);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    (one / a).checked_mul(other.abs())
}

/// A bound as the contract has it: none where it lies so far out that nothing comes near.
pub(super) fn bound(number: &serde_json::Number) -> Result<Option<Decimal>, String> {
    if number.as_i64().is_none()
        && number.as_u64().is_none()
        && number.as_f64().is_some_and(|far| far.abs() >= FAR)
    {
        return Ok(None);
    }
    Decimal::of(number).map(Some).ok_or_else(|| format!("{number} is too fine a number"))
}

impl Number {
    /// To what is expected, as far as the contract leaves it.
    fn narrow(&mut self, first: i64, last: i64) {
        let Some(unit) = 10i128.checked_pow(self.scale) else { return };
        let first = (-(-(i128::from(first) * unit)).div_euclid(self.step)).max(self.first);
        let last = (i128::from(last) * unit).div_euclid(self.step).min(self.last);
        if first <= last {
            (self.first, self.last) = (first, last);
        }
    }

    pub(super) fn write(&self, number: u64, dice: &mut Dice, out: &mut Vec<u8>) {
        let count = (self.last - self.first) as u128;
        let at = match (self.is_counted, u64::try_from(count)) {
            (true, _) => {
                u128::from(number + u64::from(self.first <= 0 && count > 0)) % (count.saturating_add(1))
            }
            (false, Ok(count)) => {
                u128::from(if count == u64::MAX { dice.between(0, count) } else { dice.below(count + 1) })
            }
            (false, Err(_)) => {
                (u128::from(dice.between(0, u64::MAX)) << 63 | u128::from(dice.between(0, u64::MAX))) % count
            }
        };
        let units = (self.first + at as i128) * self.step;
        print(units, self.scale, self.is_whole, out);
    }
}

/// `12.50`; `is_whole`: what is behind the point is nothing.
pub(super) fn print(units: i128, scale: u32, is_whole: bool, out: &mut Vec<u8>) {
    use std::io::Write;
    let power = 10u128.pow(scale);
    let (whole, fraction) = (units.unsigned_abs() / power, units.unsigned_abs() % power);
    let sign = if units < 0 { "-" } else { "" };
    let written = match scale {
        _ if is_whole || scale == 0 => write!(out, "{sign}{whole}"),
        scale => write!(out, "{sign}{whole}.{fraction:0width$}", width = scale as usize),
    };
    written.expect("a vector takes everything");
}
