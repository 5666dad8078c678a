//! Dates and times as RFC 3339 writes them, without a library's general way of saying how.

use base::Value;

use crate::columns::Cell;

const US_PER_DAY: i64 = 86_400_000_000;

/// A date, a time of day or a moment; nothing for any other cell.
pub(crate) fn append(cell: Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Date(days) => append_date(i64::from(days), out),
        Cell::TimeMs(ms) => append_time(i64::from(ms) * 1_000, out),
        Cell::TimestampMs(ms) => append_moment(ms.saturating_mul(1_000), out),
        Cell::TimestampUs(us) => append_moment(us, out),
        _ => {}
    }
}

/// The text of a date, a time of day or a moment; empty for any other value.
pub fn time_text(value: &Value) -> String {
    let mut out = Vec::new();
    append(Cell::of(value), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn append_moment(us: i64, out: &mut Vec<u8>) {
    append_date(us.div_euclid(US_PER_DAY), out);
    out.push(b'T');
    append_time(us.rem_euclid(US_PER_DAY), out);
    out.push(b'Z');
}

/// `2013-01-31`; years beyond four digits get a sign, as ISO 8601 has it.
fn append_date(days: i64, out: &mut Vec<u8>) {
    // Civil from days: years begin in March, so that the leap day is the last.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9_999).contains(&year) {
        append_digits(year, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        append_digits(year.abs(), 6, out);
    }
    out.push(b'-');
    append_digits(month, 2, out);
    out.push(b'-');
    append_digits(day, 2, out);
}

/// `10:00:00`, with as much of a fraction as there is.
fn append_time(us: i64, out: &mut Vec<u8>) {
    let seconds = us / 1_000_000;
    append_digits(seconds / 3_600, 2, out);
    out.push(b':');
    append_digits(seconds / 60 % 60, 2, out);
    out.push(b':');
    append_digits(seconds % 60, 2, out);
    let fraction = us % 1_000_000;
    if fraction == 0 {
        return;
    }
    out.push(b'.');
    if fraction % 1_000 == 0 {
        append_digits(fraction / 1_000, 3, out);
    } else {
        append_digits(fraction, 6, out);
    }
}

fn append_digits(number: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        out.push(b'0' + (number / 10i64.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_rfc_says() {
        let text = |value: Value| {
            let mut out = Vec::new();
            append(Cell::of(&value), &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        let days = [0, -1, 15_736, -719_528, 2_932_896, 2_932_897].map(|days| text(Value::Date(days)));
        let expected =
            ["1970-01-01", "1969-12-31", "2013-01-31", "0000-01-01", "9999-12-31", "+010000-01-01"];
        assert_eq!(days, expected);
        assert_eq!(text(Value::TimeMs(3_723_004)), "01:02:03.004");
        assert_eq!(text(Value::TimestampMs(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(text(Value::TimestampUs(1_000_001)), "1970-01-01T00:00:01.000001Z");
    }
}
