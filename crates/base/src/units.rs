//! Sizes, counts and times as people write and read them. Nothing here rounds what a program reads back.

/// `1536` as `1.5 KiB`.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `336776` as `336,776`.
pub fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2,000 records`.
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", count_text(count)) }
}

/// `0.042` as `42 ms`, `3.2` as `3.2 s`, `130.0` as `2 min 10 s`.
pub fn seconds_text(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1_000.0);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    format!("{} min {:.0} s", (seconds / 60.0).floor(), (seconds % 60.0).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([bytes_text(0), bytes_text(1_536), bytes_text(5 << 30)], ["0 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!([count_text(0), count_text(999), count_text(336_776)], ["0", "999", "336,776"]);
        assert_eq!([counted(1, "record"), counted(2_000, "record")], ["1 record", "2,000 records"]);
        assert_eq!(
            [seconds_text(0.042), seconds_text(3.21), seconds_text(130.0)],
            ["42 ms", "3.2 s", "2 min 10 s"]
        );
    }
}
