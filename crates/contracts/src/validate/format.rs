//! The formats that the fast validator knows. The full one is given the same functions, so that both agree.
//!
//! RFC 3339, section 5.6; a leap second is taken where UTC could have one (23:59 UTC).

/// `2013-01-31`
pub fn is_date(text: &str) -> bool {
    days(text).is_some()
}

/// `2013-01-31` as days since 1970-01-01.
pub fn days(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    let year = i32::from(pair(*y1, *y2)?) * 100 + i32::from(pair(*y3, *y4)?);
    let (month, day) = (u32::from(pair(*m1, *m2)?), u32::from(pair(*d1, *d2)?));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if day == 0 || day > last {
        return None;
    }
    // Days from civil: years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month as i32 + 9) % 12) + 2) / 5 + day as i32 - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Days since 1970-01-01 as `2013-01-31`; `None` beyond the years 0 to 9999.
pub fn date_text(days: i32) -> Option<String> {
    let days = i64::from(days) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let of_year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * of_year + of_year / 4 - of_year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + of_year + i64::from(month <= 2);
    (0..=9_999).contains(&year).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// Microseconds since 1970-01-01 as `2013-01-31T10:00:00Z`, with the digits that there are.
pub fn moment_text(us: i64) -> Option<String> {
    let (days, of_day) = (us.div_euclid(86_400_000_000), us.rem_euclid(86_400_000_000));
    let date = date_text(i32::try_from(days).ok()?)?;
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let fraction = match (fraction, fraction % 1_000) {
        (0, _) => String::new(),
        (_, 0) => format!(".{:03}", fraction / 1_000),
        _ => format!(".{fraction:06}"),
    };
    Some(format!("{date}T{:02}:{:02}:{:02}{fraction}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60))
}

/// `05:15:00Z`, `05:15:00.25-05:00`
pub fn is_time(text: &str) -> bool {
    microseconds(text).is_some()
}

/// `2013-01-01T05:15:00Z`; `t` and `z` may be small, and a space may stand for the `T` nowhere.
pub fn is_date_time(text: &str) -> bool {
    timestamp_ms(text).is_some()
}

/// A date-time as milliseconds since 1970-01-01T00:00:00Z; finer fractions are cut off.
pub fn timestamp_ms(text: &str) -> Option<i64> {
    timestamp_us(text).map(|us| us.div_euclid(1_000))
}

/// The same as microseconds.
pub fn timestamp_us(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let time = rest.strip_prefix(['T', 't'])?;
    Some(i64::from(days(date)?) * 86_400_000_000 + microseconds(time)?)
}

/// A time of day with its offset as microseconds of the UTC day; may lie outside it by the offset.
fn microseconds(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = bytes else { return None };
    let (hour, minute, second) = (pair(*h1, *h2)?, pair(*m1, *m2)?, pair(*s1, *s2)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_us, rest) = match rest {
        [b'.', digits @ ..] => {
            let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
            if count == 0 {
                return None;
            }
            let units = [100_000, 10_000, 1_000, 100, 10, 1];
            let parts = digits[..count].iter().zip(units).map(|(digit, unit)| i64::from(digit - b'0') * unit);
            (parts.sum::<i64>(), &digits[count..])
        }
        rest => (0, rest),
    };
    let offset_minutes = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (pair(*h1, *h2)?, pair(*m1, *m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = i64::from(hours) * 60 + i64::from(minutes);
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let minutes = i64::from(hour) * 60 + i64::from(minute) - offset_minutes;
    if second == 60 && minutes.rem_euclid(24 * 60) != 23 * 60 + 59 {
        return None;
    }
    Some(minutes * 60_000_000 + i64::from(second) * 1_000_000 + fraction_us)
}

fn pair(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for day in (-719_528..2_932_896).step_by(97) {
            assert_eq!(date_text(day).as_deref().and_then(days), Some(day));
        }
        assert_eq!(date_text(2_932_897), None);
        for us in [0, -1, 1_700_000_000_123_456, 1_359_626_400_000_000, -62_167_219_200_000_000] {
            assert_eq!(moment_text(us).as_deref().and_then(timestamp_us), Some(us));
        }
        assert_eq!(moment_text(1_359_626_400_250_000).as_deref(), Some("2013-01-31T10:00:00.250Z"));
    }

    #[test]
    fn dates_and_times_by_the_rfc() {
        let yes = [
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T23:59:60Z",
            "2000-02-29t00:00:00z",
        ];
        let no = [
            "1990-12-31T22:59:60Z",
            "1985-04-12 23:20:50Z",
            "2001-02-29T00:00:00Z",
            "1985-04-12T23:20:50",
            "é985-04-1",
        ];
        assert!(yes.iter().all(|text| is_date_time(text)));
        assert!(no.iter().all(|text| !is_date_time(text)));
        assert_eq!(
            ["1970-01-01", "1969-12-31", "2013-01-31", "0000-01-01"].map(days),
            [0, -1, 15_736, -719_528].map(Some)
        );
        assert_eq!(timestamp_ms("1970-01-02T01:00:00.0019+01:00"), Some(86_400_001));
        assert_eq!(timestamp_us("1969-12-31T23:59:59.0000019Z"), Some(-999_999));
        assert_eq!(timestamp_ms("1969-12-31T23:59:59.0019Z"), Some(-999));
    }
}
