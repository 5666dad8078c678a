//! Decimal128 as text and back, by the rules of BSON's specification: the exponent and trailing zeros are kept.

/// The largest coefficient: 34 digits.
const COEFFICIENT_MAX: u128 = 10u128.pow(34) - 1;
const BIAS: i32 = 6_176;
const EXPONENT_MIN: i32 = -BIAS;
const EXPONENT_MAX: i32 = 6_111;
const SIGN: u128 = 1 << 127;
const INFINITY: u128 = 0x78 << 120;
const NAN: u128 = 0x7c << 120;

/// `None` where the text would not give the same bytes again: a payload in a NaN, a coefficient that is too large.
pub(super) fn text(bytes: [u8; 16]) -> Option<String> {
    let bits = u128::from_le_bytes(bytes);
    let (magnitude, is_negative) = (bits & !SIGN, bits & SIGN != 0);
    match (magnitude, is_negative) {
        (NAN, false) => return Some("NaN".to_owned()),
        (INFINITY, false) => return Some("Infinity".to_owned()),
        (INFINITY, true) => return Some("-Infinity".to_owned()),
        _ => {}
    }
    let coefficient = magnitude & ((1 << 113) - 1);
    // The other layout, marked by two set bits, only has coefficients that are too large.
    if magnitude >> 125 == 3 || coefficient > COEFFICIENT_MAX {
        return None;
    }
    let exponent = (magnitude >> 113) as i32 - BIAS;
    let sign = if is_negative { "-" } else { "" };
    let digits = coefficient.to_string();
    let adjusted = exponent + digits.len() as i32 - 1;
    if exponent > 0 || adjusted < -6 {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        return Some(format!("{sign}{first}{dot}{rest}E{adjusted:+}"));
    }
    let fraction = exponent.unsigned_abs() as usize;
    if fraction == 0 {
        return Some(format!("{sign}{digits}"));
    }
    let padded = format!("{digits:0>width$}", width = fraction + 1);
    let (whole, part) = padded.split_at(padded.len() - fraction);
    Some(format!("{sign}{whole}.{part}"))
}

/// A number in any usual notation; `None` where it has more digits or a larger exponent than Decimal128.
pub(super) fn parse(text: &str) -> Option<[u8; 16]> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    match unsigned {
        "NaN" if !is_negative => return Some(NAN.to_le_bytes()),
        "Infinity" => return Some((INFINITY | if is_negative { SIGN } else { 0 }).to_le_bytes()),
        _ => {}
    }
    let (number, exponent) = match unsigned.split_once(['E', 'e']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let mut coefficient: u128 = 0;
    for digit in whole.chars().chain(part.chars()) {
        coefficient = coefficient.checked_mul(10)?.checked_add(u128::from(digit.to_digit(10)?))?;
    }
    pack(is_negative, coefficient, exponent.checked_sub(part.len() as i32)?)
}

/// `unscaled * 10^-scale`.
pub(super) fn of(unscaled: i128, scale: i32) -> Option<[u8; 16]> {
    pack(unscaled < 0, unscaled.unsigned_abs(), scale.checked_neg()?)
}

fn pack(is_negative: bool, coefficient: u128, exponent: i32) -> Option<[u8; 16]> {
    if coefficient > COEFFICIENT_MAX || !(EXPONENT_MIN..=EXPONENT_MAX).contains(&exponent) {
        return None;
    }
    let biased = (exponent + BIAS) as u128;
    Some((if is_negative { SIGN } else { 0 } | biased << 113 | coefficient).to_le_bytes())
}
