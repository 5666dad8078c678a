//! Decimals as a number and a scale: read from text, printed, and brought to another scale.

/// As Python's `Decimal(text)` reads it, without its names for what is no number.
pub(crate) fn parse(text: &str) -> Option<(i128, i32)> {
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled = 0i128;
    for digit in whole.bytes().chain(fraction.bytes()).filter(|byte| *byte != b'_') {
        let digit = char::from(digit).to_digit(10)?;
        unscaled = unscaled.checked_mul(10)?.checked_add(digit.into())?;
    }
    let scale =
        i32::try_from(fraction.bytes().filter(u8::is_ascii_digit).count()).ok()?.checked_sub(exponent)?;
    Some((if is_negative { -unscaled } else { unscaled }, scale))
}

/// The same number with `to` digits behind the point; `None` where digits would be lost or it grows too large.
pub(crate) fn rescaled(unscaled: i128, scale: i32, to: i32) -> Option<i128> {
    if unscaled == 0 {
        return Some(0);
    }
    let shift = to.checked_sub(scale)?;
    let power = 10i128.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 { unscaled.checked_mul(power) } else { (unscaled % power == 0).then(|| unscaled / power) }
}

/// As Python prints it: plain digits, or an exponent where the number is far from its point.
pub(crate) fn text(unscaled: i128, scale: i32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    let length = digits.len() as i64;
    let leftmost = length - i64::from(scale);
    if scale < 0 || leftmost <= -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent = leftmost - 1;
        return format!("{sign}{first}{point}{rest}E{exponent:+}");
    }
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if leftmost <= 0 {
        let zeros = "0".repeat(usize::try_from(-leftmost).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    }
    let (whole, fraction) = digits.split_at(usize::try_from(leftmost).unwrap_or(0));
    format!("{sign}{whole}.{fraction}")
}
